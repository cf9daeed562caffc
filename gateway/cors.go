// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/caddy-mcp/caddy-mcp-oauth/oauth"
)

// CORS of the guarded resource (R12.3). Origins are checked against DNS
// rebinding (R10.25), so the answer names the one origin and never "*".
const (
	corsMethods = "GET, POST, DELETE, OPTIONS"
	corsHeaders = "Authorization, Content-Type, Accept, MCP-Protocol-Version, Mcp-Session-Id, " +
		"Last-Event-ID, Mcp-Method, Mcp-Name"
	corsExpose = "WWW-Authenticate, Mcp-Session-Id, MCP-Protocol-Version, Retry-After"
	corsMaxAge = "7200"
)

// originSet is the browser origins that may use a resource.
type originSet struct {
	exact map[string]bool
	// loopback allows every http origin on this machine: only for an issuer
	// that is itself on loopback, for MCP Inspector and the like.
	loopback bool
}

func newOriginSet(issuer string, extra []string) originSet {
	s := originSet{exact: map[string]bool{issuer: true}}
	for _, o := range extra {
		s.exact[strings.ToLower(strings.TrimSuffix(o, "/"))] = true
	}
	if u, err := url.Parse(issuer); err == nil {
		s.loopback = isLoopbackHost(u.Hostname())
	}
	return s
}

func (s originSet) allows(origin string) bool {
	origin = strings.ToLower(origin)
	if s.exact[origin] {
		return true
	}
	if !s.loopback {
		return false
	}
	u, err := url.Parse(origin)
	return err == nil && "http://"+u.Host == origin && isLoopbackHost(u.Hostname())
}

// isLoopbackHost knows the names RFC 8252 §7.3 and §8.3 speak of.
func isLoopbackHost(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback()
}

func setCORS(h http.Header, origin string) {
	h.Set("Access-Control-Allow-Origin", origin)
	h.Set("Access-Control-Expose-Headers", corsExpose)
	if !slices.Contains(h["Vary"], "Origin") {
		h.Add("Vary", "Origin")
	}
}

// preflight answers OPTIONS before any authentication: browsers send it without
// credentials (R12.4). Mcp-Param-* is an open set and "*" does not cover
// Authorization, so the requested names are echoed, as far as they are names.
func preflight(w http.ResponseWriter, r *http.Request, origin string) {
	h := w.Header()
	if origin != "" {
		setCORS(h, origin)
		h.Set("Access-Control-Allow-Methods", corsMethods)
		h.Set("Access-Control-Allow-Headers", corsHeaders)
		if asked := r.Header.Get("Access-Control-Request-Headers"); headerNames(asked) {
			h.Set("Access-Control-Allow-Headers", corsHeaders+", "+asked)
		}
		h.Set("Access-Control-Max-Age", corsMaxAge)
		h.Add("Vary", "Access-Control-Request-Headers")
	}
	h.Set("Allow", corsMethods)
	w.WriteHeader(http.StatusNoContent)
}

// headerNames reports whether s is a list of header names and nothing else.
func headerNames(s string) bool {
	if s == "" || len(s) > 2048 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		alnum := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if !alnum && !strings.ContainsRune("-_, \t", rune(c)) {
			return false
		}
	}
	return true
}

// openCORS is for the endpoints that any web page may call: metadata, token and
// registration. They take no cookies, so "*" gives nothing away (R12.2).
func openCORS(w http.ResponseWriter, r *http.Request, methods string) (done bool) {
	h := w.Header()
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("Access-Control-Expose-Headers", "WWW-Authenticate, Retry-After")
	if r.Method != http.MethodOptions {
		return false
	}
	h.Set("Access-Control-Allow-Methods", methods)
	h.Set("Access-Control-Allow-Headers", "Authorization, Content-Type, Accept, MCP-Protocol-Version")
	h.Set("Access-Control-Max-Age", corsMaxAge)
	h.Set("Allow", methods)
	w.WriteHeader(http.StatusNoContent)
	return true
}

// ReservedPath reports whether a path belongs to the gateway's own endpoints, so
// that no resource may be configured there.
func ReservedPath(path string) bool {
	p := strings.ToLower(path)
	switch p {
	case oauth.PathToken, oauth.PathRegister, oauth.PathRevoke, oauth.PathIntrospect,
		oauth.PathJWKS, oauth.PathAccount, oauth.PathSignOut:
		return true
	}
	for _, prefix := range []string{oauth.PathAuthorize, strings.TrimSuffix(oauth.PathCallback, "/"), "/.well-known"} {
		if p == prefix || strings.HasPrefix(p, prefix+"/") {
			return true
		}
	}
	return strings.HasPrefix(p, oauth.PathRegister+"/")
}

// SensitivePath reports whether the URL or the Location of a request there may
// carry a code or a state, which access logs must not keep.
func SensitivePath(path string) bool {
	return path == oauth.PathAuthorize || strings.HasPrefix(path, oauth.PathAuthorize+"/") ||
		strings.HasPrefix(path, oauth.PathCallback)
}
