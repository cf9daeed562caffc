// SPDX-License-Identifier: Apache-2.0

package caddymodule

import (
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-mcp/caddy-mcp-oauth/gateway"
)

// resourceVar is set on admitted requests, and on no others. It is for matchers of the
// operator, who may set it too: nothing here relies on it.
const resourceVar = "mcp_oauth_resource"

// admittedVar is the *gateway.Admitted of a request.
const admittedVar = "mcp_oauth_admitted"

// admittedOf returns what the guard said of a request, or nil if it did not see it.
func admittedOf(r *http.Request) *gateway.Admitted {
	a, _ := caddyhttp.GetVar(r.Context(), admittedVar).(*gateway.Admitted)
	return a
}

// ServeHTTP answers the endpoints of the issuer, guards the resource, and hands
// on what is neither.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	if by := admittedOf(r); by != nil {
		// Another handler has guarded the request: its path may be rewritten by now,
		// and its identity headers are ours. If that was for another issuer it says
		// nothing about a path that is protected here.
		if by.Issuer() != h.issuers[hostOf(r.Host)] {
			if h.matchesOwn(r) {
				return misdirected(w)
			}
			return next.ServeHTTP(w, r)
		}
		return h.handOn(w, r, by, next)
	}
	gateway.StripInbound(r)
	t, err := h.app.open()
	if err != nil {
		return caddyhttp.Error(http.StatusServiceUnavailable, err)
	}
	host := hostOf(r.Host)
	iss := t.issuers[h.issuers[host]]
	if iss == nil {
		// Handlers behind a guard-only directive must not see such a request
		// either, even if the host belongs to another site.
		if h.matchesOwn(r) || !t.hosts[host] && gateway.ReservedPath(r.URL.Path) {
			return misdirected(w)
		}
		return next.ServeHTTP(w, r)
	}
	matched := iss.match(r)
	if isEarlyData(r) && (matched != nil || gateway.ReservedPath(r.URL.Path)) {
		return tooEarly(w)
	}
	if gateway.SensitivePath(r.URL.Path) {
		caddyhttp.SetVar(r.Context(), caddyhttp.LogSkipVar, true)
	}
	if iss.server.ServeEndpoint(w, r) {
		return nil
	}
	// A longer path of another resource may win over ours. Whether its own handler
	// still follows cannot be known here (it may be on another server), so whoever
	// sees the request first guards it, for the resource that won.
	if matched == nil || matched.resource != h.Path && !h.matchesOwn(r) {
		return next.ServeHTTP(w, r)
	}
	return h.guard(w, r, matched, next)
}

// guard lets the gateway decide. Only from inside of its callback does a request
// get to the proxy, or get the mark that handlers behind this one ask for.
func (h *Handler) guard(w http.ResponseWriter, r *http.Request, matched *rule, next caddyhttp.Handler) error {
	err := matched.guard.Serve(w, r, matched.path, func(w http.ResponseWriter, r *http.Request, a *gateway.Admitted) error {
		caddyhttp.SetVar(r.Context(), resourceVar, matched.resource)
		caddyhttp.SetVar(r.Context(), admittedVar, a)
		if repl, ok := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer); ok {
			repl.Map(placeholders(a.Principal))
		}
		return h.handOn(w, r, a, next)
	})
	if _, handled := errors.AsType[caddyhttp.HandlerError](err); handled {
		return err
	}
	if unavailable, ok := errors.AsType[*gateway.Unavailable](err); ok {
		return caddyhttp.Error(http.StatusServiceUnavailable, unavailable)
	}
	return err
}

// handOn hands on a request that was admitted for a resource of this issuer: to our
// proxy if the resource is ours.
func (h *Handler) handOn(w http.ResponseWriter, r *http.Request, a *gateway.Admitted, next caddyhttp.Handler) error {
	if h.proxy != nil && a.Path() == h.Path {
		if a.Over() {
			return caddyhttp.Error(http.StatusBadGateway, errOver)
		}
		return h.proxy.ServeHTTP(w, r, next)
	}
	return next.ServeHTTP(w, r)
}

var errOver = errors.New("an error route leads to the proxy of mcp_gateway again, past the guard")

// placeholders names the principal for handlers behind this one. The values are
// final: a login is never expanded as if it were a template.
func placeholders(p *gateway.Principal) caddy.ReplacerFunc {
	return func(key string) (any, bool) {
		switch key {
		case "http.auth.user.id":
			return p.Subject, true
		case "http.auth.user.login":
			return p.Login, true
		case "http.auth.user.name":
			return p.Name, true
		case "http.auth.user.email":
			return p.Email, true
		case "http.auth.user.groups":
			return strings.Join(p.Groups, ","), true
		case "http.mcp_oauth.client_id":
			return p.ClientID, true
		case "http.mcp_oauth.scope":
			return p.Scope, true
		case "http.mcp_oauth.resource":
			return p.Resource, true
		}
		return nil, false
	}
}

func (h *Handler) matchesOwn(r *http.Request) bool {
	return slices.ContainsFunc(h.own, func(m caddyhttp.MatchPath) bool { return m.Match(r) })
}

// misdirected answers 421 (RFC 9110 §15.5.20): under this name there is no
// issuer, and answering in the name of another one would be a lie.
func misdirected(w http.ResponseWriter) error {
	w.Header().Set("Cache-Control", "no-store")
	http.Error(w, "this host name is not the address of an MCP server here; "+
		"use the public address, or set the option issuer to it", http.StatusMisdirectedRequest)
	return nil
}

// isEarlyData is true for requests that change something and may have been
// replayed, because the TLS handshake is not complete (RFC 8470).
func isEarlyData(r *http.Request) bool {
	if r.TLS == nil || r.TLS.HandshakeComplete {
		return false
	}
	return r.Method != http.MethodGet && r.Method != http.MethodHead && r.Method != http.MethodOptions
}

func tooEarly(w http.ResponseWriter) error {
	w.Header().Set("Cache-Control", "no-store")
	http.Error(w, "send this again after the TLS handshake", http.StatusTooEarly)
	return nil
}
