// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"

	"github.com/caddy-mcp/caddy-mcp-oauth/oauth"
)

// Reasons a token is refused. They are logged; the client learns the description only.
var (
	errTokenForged   = refusedToken{"token_invalid", "the access token is not valid"}
	errTokenExpired  = refusedToken{"token_expired", "the access token expired"}
	errTokenRevoked  = refusedToken{"token_revoked", "the access token was revoked"}
	errTokenAudience = refusedToken{"token_audience", "the access token is for another resource"}
	errTokenSignIn   = refusedToken{"sign_in_needed", "the identity provider wants another sign-in"}
	errTokenUpstream = refusedToken{"upstream_token", "there is no usable token of the identity provider, sign in again"}
	// missingToken: the client did nothing wrong yet.
	missingToken = refusedToken{}

	tokenRefusals = []refusedToken{
		missingToken, errTokenForged, errTokenExpired, errTokenRevoked, errTokenAudience, errTokenSignIn, errTokenUpstream,
	}
)

type refusedToken struct{ reason, description string }

func (e refusedToken) Error() string { return e.description }

// unauthorized is an answer 401 as it is sent. They are made once: who tries tokens
// shall cost as little as can be.
type unauthorized struct {
	challenge string
	body      []byte
}

// unauthorizedKey: a challenge depends on the URL path it is for.
type unauthorizedKey struct {
	path    string
	refused refusedToken
}

// newUnauthorized makes an answer. Without credentials it carries no error code
// (RFC 6750 §3.1, R8.5).
func newUnauthorized(c oauth.Challenge, refused refusedToken) unauthorized {
	said := oauth.Error{Code: "unauthorized", Description: "sign in to use this MCP server; see WWW-Authenticate"}
	if refused != missingToken {
		c.Error, c.Description = oauth.CodeInvalidToken, refused.description
		said = oauth.Error{Code: c.Error, Description: c.Description}
	}
	body, err := json.Marshal(&said)
	if err != nil { // two texts of ours
		panic(err)
	}
	return unauthorized{c.String(), body}
}

// challenge answers 401.
func (g *Guard) challenge(w http.ResponseWriter, r *http.Request, refused refusedToken) {
	path := g.challengePath(r.URL.Path)
	answer, ok := g.unauthorized[unauthorizedKey{path, refused}]
	if !ok {
		answer = newUnauthorized(g.challenges[path], refused)
	}
	w.Header()["Www-Authenticate"] = []string{answer.challenge}
	sendJSON(w, http.StatusUnauthorized, answer.body)
}

// challengePath is the configured path that a request is for, with its trailing slash:
// the challenge names the metadata document whose `resource` is the URL the client
// used, and some clients compare byte for byte (R2.5).
func (g *Guard) challengePath(path string) string {
	if _, ok := g.challenges[path]; ok {
		return path
	}
	best := ""
	for _, p := range append([]string{g.cfg.Path}, g.cfg.Also...) {
		if _, ok := cutPathPrefix(path, p); ok && len(p) > len(best) {
			best = p
		}
	}
	return orElse(best, g.cfg.Path)
}

// notVerified answers a refused token, and returns what could not be decided.
func (g *Guard) notVerified(w http.ResponseWriter, r *http.Request, err error) error {
	refused, ok := errors.AsType[refusedToken](err)
	if !ok {
		if errors.Is(err, errUpstreamOutage) {
			w.Header().Set("Retry-After", "30")
			return &Unavailable{err}
		}
		w.Header().Set("Retry-After", "5")
		return &Unavailable{fmt.Errorf("look up grant: %w", err)}
	}
	g.log.LogAttrs(r.Context(), slog.LevelInfo, "request refused",
		slog.String("reason", refused.reason), slog.String("resource", g.resource), slog.String("method", r.Method))
	g.challenge(w, r, refused)
	return nil
}
