// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"

	"github.com/caddy-mcp/caddy-mcp-oauth/internal/limiter"
	"github.com/caddy-mcp/caddy-mcp-oauth/oauth"
	"github.com/caddy-mcp/caddy-mcp-oauth/upstream"
)

// Server is the authorization server of one issuer.
type Server struct {
	st  *State
	cfg *Config
	log *slog.Logger

	ownHost   string
	cookies   cookieJar
	upstreams map[string]upstream.Upstream
	// guards by resource path, and by canonical resource identifier. Every also
	// path is a further identifier of the same resource.
	guards     map[string]*Guard
	byResource map[string]*Guard
	documents  map[string][]byte
	// configured are the clients of the configuration, by id.
	configured map[string]*client
	endpoints  map[string]endpoint
	answered   answeredSignIns

	limitRegistrations, limitWebRegistrations *limiter.Limiter
	limitAuthorizations, limitTokens          *limiter.Limiter
	limitProofs, limitAssertions              *limiter.Limiter
}

// endpoint answers one path. methods are for Allow and CORS; open ones may be
// called by any web page.
type endpoint struct {
	methods string
	open    bool
	serve   func(http.ResponseWriter, *http.Request)
	// refusal is why there are no other methods, where that needs to be said.
	refusal string
}

// New checks the configuration of one issuer and builds its server.
func New(st *State, cfg Config) (*Server, error) {
	if cfg.Logger == nil {
		cfg.Logger = st.log
	}
	if cfg.ClientAddr == nil {
		cfg.ClientAddr = func(r *http.Request) string { return r.RemoteAddr }
	}
	if err := cfg.validate(); err != nil {
		return nil, fmt.Errorf("issuer %s: %w", cfg.Issuer, err)
	}
	u, err := url.Parse(cfg.Issuer)
	if err != nil {
		return nil, err
	}
	s := &Server{
		st: st, cfg: &cfg, log: cfg.Logger, ownHost: u.Hostname(), cookies: newCookieJar(u),
		upstreams: map[string]upstream.Upstream{}, guards: map[string]*Guard{}, byResource: map[string]*Guard{},
		limitRegistrations: st.limiters.get(cfg.Issuer+" registrations", cfg.Limits.Registrations, st.now),
		limitProofs:        st.limiters.get(cfg.Issuer+" proofs", cfg.Limits.Tokens, st.now),
		limitAssertions:    st.limiters.get(cfg.Issuer+" assertions", cfg.Limits.Tokens.times(assertionFactor), st.now),
		limitWebRegistrations: st.limiters.get(cfg.Issuer+" web registrations",
			cfg.Limits.Registrations.times(webAddressFactor), st.now),
		limitAuthorizations: st.limiters.get(cfg.Issuer+" authorizations", cfg.Limits.Authorizations, st.now),
		limitTokens:         st.limiters.get(cfg.Issuer+" tokens", cfg.Limits.Tokens, st.now),
	}
	for _, up := range cfg.Upstreams {
		s.upstreams[up.Name()] = up
	}
	for _, res := range cfg.Resources {
		g := newGuard(st, cfg.Issuer, res, cfg.Logger)
		s.guards[res.Path] = g
		for _, p := range append([]string{res.Path}, res.Also...) {
			s.byResource[resourceURL(cfg.Issuer, p)] = g
		}
	}
	if s.configured, err = newConfiguredClients(cfg.Issuer, cfg.Clients); err != nil {
		return nil, err
	}
	if s.documents, err = s.metadataDocuments(); err != nil {
		return nil, err
	}
	s.endpoints = s.routes()
	st.issuers.Store(cfg.Issuer, nil)
	return s, nil
}

func (s *Server) routes() map[string]endpoint {
	const get = "GET, HEAD, OPTIONS"
	m := map[string]endpoint{
		oauth.PathAuthorize: {methods: "GET, HEAD, POST", serve: s.serveAuthorize},
		pathConsent:         {methods: "POST", serve: s.serveConsent},
		pathSignOut:         {methods: "GET, HEAD, POST", serve: s.serveSignOut},
		oauth.PathToken:     {methods: "POST, OPTIONS", open: true, serve: s.serveToken},
	}
	if s.cfg.Registration.Mode != RegistrationOff {
		m[oauth.PathRegister] = endpoint{methods: "POST, OPTIONS", open: true, serve: s.serveRegister}
	}
	m[oauth.PathRevoke] = endpoint{methods: "POST, OPTIONS", open: true, serve: s.serveRevoke}
	// Not open: no web page has a client secret to ask with.
	m[oauth.PathIntrospect] = endpoint{methods: "POST", serve: s.serveIntrospect}
	m[oauth.PathJWKS] = endpoint{methods: get, open: true, serve: s.serveJWKS}
	for path, doc := range s.documents {
		m[path] = endpoint{methods: get, open: true, serve: serveDocument(doc)}
	}
	for _, path := range s.appendedWellKnowns() {
		m[path] = endpoint{methods: get, open: true, serve: s.serveNothing}
	}
	for name, up := range s.upstreams {
		switch up := up.(type) {
		case upstream.Redirector:
			m[oauth.PathCallback+name] = endpoint{methods: "GET", serve: s.callback(up)}
		case upstream.PasswordChecker:
			m[oauth.PathCallback+name] = endpoint{methods: "GET, HEAD, POST", serve: s.signIn(up)}
		}
	}
	return m
}

// ServeEndpoint answers the issuer's own endpoints. It is false for every other
// path. A path that belongs to us but has no endpoint is 404 from us: a backend
// behind "/" must never speak in the name of the authorization server (R1.4).
func (s *Server) ServeEndpoint(w http.ResponseWriter, r *http.Request) bool {
	path := r.URL.Path
	e, ok := s.endpoints[path]
	if !ok {
		e, ok = s.registrationEndpoint(path)
	}
	if !ok && !ownPath(path) {
		return false
	}
	defer s.recover(w, r)
	if !ok {
		s.serveNothing(w, r)
		return true
	}
	if e.open && openCORS(w, r, e.methods) {
		return true
	}
	if !allowsMethod(e.methods, r.Method) {
		w.Header().Set("Allow", e.methods)
		writeJSON(w, http.StatusMethodNotAllowed, &oauth.Error{
			Code: oauth.CodeInvalidRequest, Description: orElse(e.refusal, "method not allowed, use "+e.methods),
		})
		return true
	}
	e.serve(w, r)
	return true
}

// serveNothing answers a path of ours that has no endpoint: with a page where
// people are sent, with JSON that any web page may read elsewhere.
func (s *Server) serveNothing(w http.ResponseWriter, r *http.Request) {
	if path := strings.ToLower(r.URL.Path); SensitivePath(path) || SensitivePath(path+"/") {
		s.showProblem(w, r, problemNotFound)
		return
	}
	if openCORS(w, r, "GET, HEAD, OPTIONS") {
		return
	}
	writeJSON(w, http.StatusNotFound, &oauth.Error{Code: "not_found", Description: "there is nothing here"})
}

// ownPath is ReservedPath less the rest of /.well-known, which others share.
func ownPath(path string) bool {
	if strings.HasPrefix(path, "/.well-known/") {
		for _, p := range []string{oauth.WellKnownResource, oauth.WellKnownServer, oauth.WellKnownOpenID} {
			if path == p || strings.HasPrefix(path, p+"/") {
				return true
			}
		}
		return false
	}
	return ReservedPath(path)
}

func allowsMethod(methods, method string) bool {
	for m := range strings.SplitSeq(methods, ", ") {
		if m == method {
			return true
		}
	}
	return false
}

// Guard returns the guard of a resource path, or nil.
func (s *Server) Guard(resourcePath string) *Guard { return s.guards[resourcePath] }

// recover turns a bug into a plain 500 and a log line instead of a torn
// connection (M-41).
func (s *Server) recover(w http.ResponseWriter, r *http.Request) {
	v := recover()
	if v == nil {
		return
	}
	if err, ok := v.(error); ok && errors.Is(err, http.ErrAbortHandler) {
		panic(v)
	}
	s.log.Error("panic in endpoint", "path", r.URL.Path, "panic", fmt.Sprint(v))
	writeJSON(w, http.StatusInternalServerError, &oauth.Error{
		Code: oauth.CodeServerError, Description: "internal error",
	})
}
