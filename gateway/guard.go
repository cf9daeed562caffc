// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/caddy-mcp/caddy-mcp-oauth/oauth"
)

// Guard stands in front of one resource. It decides on every request by itself:
// nothing is skipped for a path, method, address or header.
type Guard struct {
	st  *State
	cfg *Resource
	log *slog.Logger

	issuer, scheme, host string
	// resource is the canonical identifier, the audience of its tokens.
	resource string
	origins  originSet
	// keys sign what the backend is told of the caller.
	keys *issuerKeys
	// challenges by the URL path they are for, see challengePath, and the answers that
	// carry them.
	challenges   map[string]oauth.Challenge
	unauthorized map[unauthorizedKey]unauthorized
}

// Unavailable is an infrastructure failure: nothing was decided, nothing was
// forwarded. Answer it with 503.
type Unavailable struct{ Err error }

func (e *Unavailable) Error() string { return "gateway unavailable: " + e.Err.Error() }
func (e *Unavailable) Unwrap() error { return e.Err }

// Next is the handler behind the guard.
type Next func(http.ResponseWriter, *http.Request, *Admitted) error

// Serve admits a request to next or answers it. matched is the configured path of
// this resource that the request's path matched: Path or one of Also.
//
// A refusal is written and nil is returned. *Unavailable is returned unwritten;
// an error of next is returned as it is. Handlers that answer in place of either get
// the request without credentials: they may ask a server for a page that is none of
// our backends.
func (g *Guard) Serve(w http.ResponseWriter, r *http.Request, matched string, next Next) error {
	err := g.serve(w, r, matched, next)
	delete(r.Header, "Authorization") // the client's or, see ForwardUpstreamToken, the user's
	stripCookies(r.Header)
	return err
}

func (g *Guard) serve(w http.ResponseWriter, r *http.Request, matched string, next Next) error {
	origin, ok := g.screen(w, r, matched)
	if !ok {
		return nil
	}
	doubts, now := g.st.doubts.Load(), g.st.now()
	tok, err := g.authenticate(w, r, now)
	if tok == nil {
		return err
	}
	judged := g.st.judge.Load()
	v := tok.viewFor(g.cfg.Policy, g.log)
	if !v.allowed {
		g.refuse(w, r, http.StatusForbidden, "not_allowed", "this account is not allowed to use this MCP server",
			"subject", v.principal.Subject)
		return nil
	}
	if !g.suffices(tok) {
		g.stepUp(w, r, tok, v.principal.Subject)
		return nil
	}
	authorization, err := g.authorizationFor(r.Context(), tok)
	if err != nil {
		return g.notVerified(w, r, err)
	}
	return g.forward(w, r, admission{now, matched, origin, authorization, tok, v, judged, doubts}, next)
}

// screen answers what no token is looked at for, and returns whether it did not.
func (g *Guard) screen(w http.ResponseWriter, r *http.Request, matched string) (origin string, passes bool) {
	origin, ok := g.checkOrigin(r)
	if !ok {
		g.refuse(w, r, http.StatusForbidden, "origin", "this web origin may not use this MCP server")
		return "", false
	}
	switch r.Method {
	case http.MethodOptions:
		preflight(w, r, origin)
		return "", false
	case http.MethodConnect, http.MethodTrace:
		// CONNECT over HTTP/2 and 3 becomes an upgrade in the proxy behind us,
		// and TRACE would show the client what we tell the backend.
		w.Header().Set("Allow", corsMethods)
		g.refuse(w, r, http.StatusMethodNotAllowed, "method", "method not allowed, use "+corsMethods)
		return "", false
	}
	if origin != "" {
		setCORS(w.Header(), origin)
	}
	if !checkPath(r.URL, matched) {
		g.refuse(w, r, http.StatusBadRequest, "path", "the request path is not acceptable")
		return "", false
	}
	return origin, true
}

// authorizationFor is what the backend gets as Authorization, "" for nothing.
func (g *Guard) authorizationFor(ctx context.Context, tok *liveToken) (string, error) {
	if !g.cfg.ForwardUpstreamToken {
		return "", nil
	}
	if !tok.grant.forwards { // of before the option: nobody was told
		return "", errTokenUpstream
	}
	return g.st.upstreamToken(ctx, tok.grant.account, tok.ring)
}

// authenticate returns the token of the request. Where it returns nil, the
// request was answered, or the error says that it could not be decided.
func (g *Guard) authenticate(w http.ResponseWriter, r *http.Request, now time.Time) (*liveToken, error) {
	raw, ok, bad := oauth.CutBearer(r.Header)
	switch {
	case bad != nil:
	case !ok:
		g.challenge(w, r, missingToken)
		return nil, nil
	default:
		tok, err := g.st.admit(r.Context(), raw, g.issuer, g.resource, now)
		if err == nil {
			return tok, nil
		}
		// Only a token that opens needs no look at its characters.
		if bad = oauth.CheckBearer(raw); bad == nil {
			return nil, g.notVerified(w, r, err)
		}
	}
	g.refuse(w, r, bad.HTTPStatus(), "authorization_header", bad.Description)
	return nil, nil
}

// admission is what let a request through.
type admission struct {
	now             time.Time
	matched, origin string
	// authorization is what the backend gets in the header of that name.
	authorization string
	tok           *liveToken
	view          *view
	// judged is the judge at the time of the verdict.
	judged *judge
	// doubts is State.doubts before it.
	doubts uint64
}

// overtaken reports whether the request was ended by something that happened
// between the verdict and its entry in the table of streams: what ends streams did
// not see it there.
func (g *Guard) overtaken(a admission) (refused refusedToken, overtaken bool) {
	grant := a.tok.grant
	if grant.state.Load() != grantLive && g.st.live.isGone(grant.id) {
		return errTokenRevoked, true
	}
	if facts := grant.account.facts.Load(); facts != a.view.facts && !g.cfg.Policy.Allows(*facts) {
		return errTokenRevoked, true
	}
	if j := g.st.judge.Load(); j != a.judged && j != nil && !j.allowed(grant.resource, *grant.account.facts.Load()) {
		return errTokenRevoked, true
	}
	return refusedToken{}, false
}

// forward prepares the request for the backend and hands it on, as one of those that
// can be ended from outside.
func (g *Guard) forward(w http.ResponseWriter, r *http.Request, a admission, next Next) error {
	session := sessionBinding{ring: a.tok.ring, token: a.tok}
	query, ok := session.checkEndpoint(r.URL)
	if !ok || !session.checkInbound(r.Header) {
		// 404 is how a server says that a session is over: the client starts a
		// new one (Streamable HTTP, Session Management).
		g.refuse(w, r, http.StatusNotFound, "session", "session not found", "subject", a.view.principal.Subject)
		return nil
	}
	gw := &guardedWriter{
		ResponseWriter: w, guard: g, matched: a.matched, session: session, cors: a.origin,
		admitted: Admitted{Principal: a.view.principal, guard: g},
	}
	ctx := r.Context()
	// Of calls few are event streams, and of those few are broken off.
	listening := r.Method == http.MethodGet
	if listening {
		ctx = context.WithoutCancel(ctx)
	}
	gw.stream.client = w
	ctx = g.st.streams.add(ctx, a.tok.grant, &gw.stream)
	defer gw.stream.remove()
	if listening {
		defer context.AfterFunc(r.Context(), gw.stream.hangUp)()
	}
	if refused, overtaken := g.overtaken(a); overtaken {
		g.challenge(w, r, refused)
		return nil
	}
	if g.st.doubts.Load() != a.doubts {
		return g.notVerified(w, r, errStale)
	}
	out := r.WithContext(ctx)
	if query != out.URL.RawQuery {
		setQuery(out, query)
	}
	return g.handOn(gw, r, out, a, next)
}

// handOn asks the backend by next, and has the last word about what it made of it.
func (g *Guard) handOn(gw *guardedWriter, r, out *http.Request, a admission, next Next) error {
	if err := g.prepare(out, gw, a); err != nil {
		gw.ResponseWriter.Header().Set("Retry-After", "5")
		return &Unavailable{err}
	}
	err := next(gw, out, &gw.admitted)
	gw.admitted.over = true
	if cause := gw.stream.cause(); cause != nil && !gw.done {
		return g.cutOff(gw.ResponseWriter, r, cause) // whatever the proxy makes of it
	}
	gw.flushEndpoint()
	if err == nil && !gw.done {
		gw.edit(http.StatusOK) // what is sent where nobody wrote anything
	}
	return err
}

// prepare makes of the client's request what the backend is to get. An error means
// that it must not get it.
func (g *Guard) prepare(r *http.Request, gw *guardedWriter, a admission) error {
	stripCredentials(r)
	if a.authorization != "" {
		gw.authorization[0] = a.authorization
		r.Header["Authorization"] = gw.authorization[:]
	}
	if r.Method == http.MethodGet {
		gw.watchEndpoint(r)
	}
	if g.cfg.IdentityHeaders {
		if err := g.identify(r.Context(), a.view, a.now, &gw.admitted); err != nil {
			return err
		}
		if !g.cfg.DeferIdentity {
			gw.admitted.setIdentity(r.Header)
			gw.admitted.names = nil // handlers have the last word from here on
		}
	}
	if g.cfg.BackendPath != "" {
		rewritePath(r, a.matched, g.cfg.BackendPath)
	}
	return nil
}

// cutOff answers a call that we ended before the backend had answered it.
func (g *Guard) cutOff(w http.ResponseWriter, r *http.Request, cause error) error {
	if errors.Is(cause, errStreamRevoked) || errors.Is(cause, errStreamDenied) {
		return g.notVerified(w, r, errTokenRevoked)
	}
	w.Header().Set("Retry-After", "5")
	return &Unavailable{cause}
}

// checkOrigin refuses foreign browser origins, so that a page that got hold of a
// name for a local address cannot use the server behind it (R10.25). No Origin is
// no browser, and allowed.
func (g *Guard) checkOrigin(r *http.Request) (origin string, ok bool) {
	switch origins := r.Header["Origin"]; len(origins) {
	case 0:
		return "", true
	case 1:
		return origins[0], g.origins.allows(origins[0])
	}
	return "", false
}

func (g *Guard) refuse(w http.ResponseWriter, r *http.Request, status int, reason, description string, args ...any) {
	code := oauth.CodeInvalidRequest
	if status == http.StatusForbidden {
		code = oauth.CodeAccessDenied
	}
	g.refuseWith(w, r, &oauth.Error{Code: code, Description: description, Status: status}, reason, args...)
}

func (g *Guard) refuseWith(w http.ResponseWriter, r *http.Request, e *oauth.Error, reason string, args ...any) {
	g.log.Info("request refused", append([]any{"reason", reason, "resource", g.resource, "method", r.Method}, args...)...)
	writeOAuthError(w, e)
}

// newGuard precomputes all that does not depend on the request.
func newGuard(st *State, issuer string, cfg *Resource, log *slog.Logger) *Guard {
	scheme, host, _ := strings.Cut(issuer, "://")
	g := &Guard{
		st: st, cfg: cfg, log: log, issuer: issuer, scheme: scheme, host: host, keys: st.keys.of(issuer),
		resource: resourceURL(issuer, cfg.Path), origins: newOriginSet(issuer, cfg.AllowedOrigins),
		challenges: map[string]oauth.Challenge{}, unauthorized: map[unauthorizedKey]unauthorized{},
	}
	for _, p := range append([]string{cfg.Path}, cfg.Also...) {
		for _, variant := range []string{p, strings.TrimSuffix(p, "/") + "/"} {
			c := oauth.Challenge{ResourceMetadata: issuer + wellKnownFor(variant), Scope: oauth.FormatScope(cfg.Scopes)}
			g.challenges[variant] = c
			for _, refused := range tokenRefusals {
				g.unauthorized[unauthorizedKey{variant, refused}] = newUnauthorized(c, refused)
			}
		}
	}
	return g
}
