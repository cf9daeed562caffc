// SPDX-License-Identifier: Apache-2.0

package testop

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
)

// Paths of the endpoints, as Tamper and Requests want them.
const (
	PathDiscovery = "/.well-known/openid-configuration"
	PathAuthorize = "/authorize"
	PathToken     = "/oauth/token"
	PathUserinfo  = "/userinfo"
	PathKeys      = "/keys"

	pathLogin = "/login"
)

const (
	maxRequests = 10_000
	maxForm     = 64 << 10 // bytes
)

// Fault stands in the way of a request. It may answer itself, or let next answer.
// Those of package testidp fit.
type Fault = func(w http.ResponseWriter, r *http.Request, next http.Handler)

// Tamper makes every request of a path meet a fault, until one is set that is nil.
func (p *Provider) Tamper(path string, f Fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.faults[path] = f
}

// TamperJSON edits the JSON answers of a path. Removing a member is deleting it.
func (p *Provider) TamperJSON(path string, edit func(answer map[string]any)) {
	p.Tamper(path, func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		rec := httptest.NewRecorder()
		next.ServeHTTP(rec, r)
		var answer map[string]any
		if err := json.Unmarshal(rec.Body.Bytes(), &answer); err != nil || rec.Code != http.StatusOK {
			copyAnswer(w, rec)
			return
		}
		edit(answer)
		w.Header().Set("Content-Type", "application/json")
		if err := json.NewEncoder(w).Encode(answer); err != nil {
			panic(err)
		}
	})
}

// TamperIDToken edits the claims of every id_token, which is signed again.
func (p *Provider) TamperIDToken(edit func(claims map[string]any)) {
	p.TamperJSON(PathToken, func(answer map[string]any) {
		raw, ok := answer["id_token"].(string)
		if !ok {
			return
		}
		parts := strings.Split(raw, ".")
		payload, err := base64.RawURLEncoding.DecodeString(parts[1])
		if err != nil {
			panic(err)
		}
		var claims map[string]any
		if err := json.Unmarshal(payload, &claims); err != nil {
			panic(err)
		}
		edit(claims)
		answer["id_token"] = p.SignJWT(claims)
	})
}

func copyAnswer(w http.ResponseWriter, rec *httptest.ResponseRecorder) {
	for name, values := range rec.Header() {
		w.Header()[name] = values
	}
	w.WriteHeader(rec.Code)
	_, _ = w.Write(rec.Body.Bytes())
}

// Request is what the provider was asked, secrets included.
type Request struct {
	Method string
	// Path is without Config.IssuerPath.
	Path   string
	Query  url.Values
	Form   url.Values // of the body
	Header http.Header
}

// Requests are the requests so far, to these paths or to all of them.
func (p *Provider) Requests(paths ...string) []Request {
	p.mu.Lock()
	defer p.mu.Unlock()
	var found []Request
	for _, r := range p.requests {
		if len(paths) == 0 || slices.Contains(paths, r.Path) {
			found = append(found, r)
		}
	}
	return found
}

// ServeHTTP implements http.Handler: the login page, the faults, and the provider.
func (p *Provider) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(nil, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	p.mu.Lock()
	path := strings.TrimPrefix(r.URL.Path, p.cfg.prefix())
	if len(p.requests) < maxRequests {
		p.requests = append(p.requests, Request{
			Method: r.Method, Path: path, Query: r.URL.Query(), Form: r.PostForm, Header: r.Header.Clone(),
		})
	}
	next, fault := p.op, p.faults[path]
	p.mu.Unlock()
	switch path {
	case pathLogin:
		next = http.HandlerFunc(p.serveLogin)
	case PathUserinfo:
		next = refuseProperly(next)
	}
	if fault != nil {
		fault(w, r, next)
		return
	}
	next.ServeHTTP(w, r)
}

// refuseProperly answers 401 to a token that is not good, as RFC 6750 §3.1 wants. The
// implementation answers 403.
func refuseProperly(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rec := httptest.NewRecorder()
		next.ServeHTTP(rec, r)
		if rec.Code == http.StatusForbidden {
			rec.Code = http.StatusUnauthorized
			rec.Header().Set("WWW-Authenticate", `Bearer error="invalid_token"`)
		}
		copyAnswer(w, rec)
	})
}
