// SPDX-License-Identifier: Apache-2.0

package testidp

import (
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

const docsURL = "https://docs.github.com/rest"

// object is one JSON object of an answer.
type object map[string]any

// call is an authenticated API request with a snapshot of its user.
type call struct {
	w    http.ResponseWriter
	r    *http.Request
	user User
}

// acceptedScopes is what GitHub lists for an endpoint, by the least of them.
var acceptedScopes = map[string]string{
	"":           "",
	"user:email": "user, user:email",
	"read:org":   "admin:org, read:org, repo, user, write:org",
}

// api authenticates a request and answers it if it may not go on. What it answers
// with 200 has an entity tag, and is worth a 304 to those who have it.
func (g *GitHub) api(needs string, serve func(call)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-GitHub-Media-Type", "github.v3; format=json")
		w.Header().Set("Vary", "Accept, Authorization, Cookie, X-GitHub-OTP")
		if r.UserAgent() == "" {
			http.Error(w, "Request forbidden by administrative rules. Please make sure your request has a User-Agent header.", http.StatusForbidden)
			return
		}
		bearer := bearerOf(r)
		if bearer == "" {
			apiError(w, http.StatusUnauthorized, "Requires authentication")
			return
		}
		g.mu.Lock()
		t, user := g.authenticate(bearer)
		spent := t != nil && g.spent(user.ID)
		if t != nil {
			g.describeToken(w.Header(), t, needs)
		}
		g.mu.Unlock()
		switch {
		case t == nil:
			apiError(w, http.StatusUnauthorized, "Bad credentials")
		case spent:
			g.describeQuota(w.Header(), user.ID, 0)
			apiError(w, http.StatusForbidden, "API rate limit exceeded for user ID "+strconv.FormatInt(user.ID, 10)+".")
		default:
			g.counted(w, r, t, func(w http.ResponseWriter) { g.serveAs(call{w: w, r: r, user: user}, t, needs, serve) })
		}
	}
}

// serveAs answers somebody who is known, or says why not.
func (g *GitHub) serveAs(c call, t *token, needs string, serve func(call)) {
	switch {
	case c.user.Suspended:
		apiError(c.w, http.StatusForbidden, "Sorry. Your account was suspended.")
	case !g.cfg.App && needs == "user:email" && !t.has("user:email"):
		g.notFound(c.w)
	case !g.cfg.App && needs == "read:org" && !t.has("read:org") && !t.has("user"):
		apiError(c.w, http.StatusForbidden, "You need at least read:org scope or user scope to list your organizations.")
	default:
		serve(c)
	}
}

// authenticate finds the token's user, as a copy. The caller holds mu.
func (g *GitHub) authenticate(bearer string) (*token, User) {
	i := slices.IndexFunc(g.tokens, func(t *token) bool { return t.value == bearer })
	if i < 0 || g.users[g.tokens[i].user] == nil || g.tokens[i].ended(g.cfg.Now()) {
		return nil, User{}
	}
	t := g.tokens[i]
	g.uses++
	t.lastUse = g.uses
	same := *t
	return &same, *g.users[t.user].clone()
}

func (g *GitHub) describeToken(h http.Header, t *token, needs string) {
	if !g.cfg.App {
		h.Set("X-OAuth-Scopes", strings.Join(t.scopes, ", "))
		h.Set("X-Accepted-OAuth-Scopes", acceptedScopes[needs])
		h.Set("X-OAuth-Client-Id", g.cfg.ClientID)
	}
}

// has says whether a scope is granted, itself or within a wider one.
func (t *token) has(scope string) bool {
	return slices.ContainsFunc(t.scopes, func(s string) bool {
		return s == scope || slices.Contains(includes[s], scope)
	})
}

func bearerOf(r *http.Request) string {
	scheme, value, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if strings.EqualFold(scheme, "bearer") || strings.EqualFold(scheme, "token") {
		return strings.TrimSpace(value)
	}
	return ""
}

func apiError(w http.ResponseWriter, status int, message string) {
	writeJSON(w, status, object{"message": message, "documentation_url": docsURL, "status": strconv.Itoa(status)})
}

func (g *GitHub) notFound(w http.ResponseWriter) { apiError(w, http.StatusNotFound, "Not Found") }

func writeJSON(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // the client may be gone
}
