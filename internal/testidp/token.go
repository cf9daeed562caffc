// SPDX-License-Identifier: Apache-2.0

package testidp

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// maxTokens is how many tokens GitHub keeps per user, app and set of scopes.
const maxTokens = 10

// token is a live access token. Revoked ones are gone.
type token struct {
	value  string
	user   int64
	scopes []string
	used   int // requests made with it
}

// serveToken is the token endpoint. Its errors have status 200, except that an
// unknown client id is a 404.
func (g *GitHub) serveToken(w http.ResponseWriter, r *http.Request) {
	form := r.PostForm
	if form.Get("client_id") != g.cfg.ClientID {
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		w.WriteHeader(http.StatusNotFound)
		_, _ = w.Write([]byte(`{"error":"Not Found"}`))
		return
	}
	if subtle.ConstantTimeCompare([]byte(form.Get("client_secret")), []byte(g.cfg.ClientSecret)) != 1 {
		tokenError(w, r, "incorrect_client_credentials", "The client_id and/or client_secret passed are incorrect.")
		return
	}
	if t := form.Get("grant_type"); t != "" && t != "authorization_code" {
		tokenError(w, r, "unsupported_grant_type", "The grant_type is not supported.")
		return
	}
	g.mu.Lock()
	value, scopes, problem := g.redeem(form)
	g.mu.Unlock()
	if problem != "" {
		tokenError(w, r, problem, tokenProblems[problem])
		return
	}
	tokenAnswer(w, r, url.Values{"access_token": {value}, "token_type": {"bearer"}, "scope": {strings.Join(scopes, ",")}})
}

var tokenProblems = map[string]string{
	"bad_verification_code": "The code passed is incorrect or expired.",
	"redirect_uri_mismatch": "The redirect_uri MUST match the registered callback URL for this application.",
	"unverified_user_email": "The user must have a verified primary email.",
}

// redeem trades a code for a token. A code works once, also if what comes with
// it is wrong. The caller holds mu.
func (g *GitHub) redeem(form url.Values) (value string, scopes []string, problem string) {
	c := g.codes[form.Get("code")]
	if c == nil {
		return "", nil, "bad_verification_code"
	}
	delete(g.codes, form.Get("code"))
	if !g.cfg.Now().Before(c.expires) || g.users[c.user] == nil {
		return "", nil, "bad_verification_code"
	}
	if uri := form.Get("redirect_uri"); uri != "" && uri != c.redirectURI {
		return "", nil, "redirect_uri_mismatch"
	}
	if c.challenge != "" {
		sum := sha256.Sum256([]byte(form.Get("code_verifier")))
		if base64.RawURLEncoding.EncodeToString(sum[:]) != c.challenge {
			return "", nil, "bad_verification_code"
		}
	}
	t := g.issue(c.user, c.scopes)
	return t.value, t.scopes, ""
}

// issue adds a token and drops the oldest beyond ten. The caller holds mu.
func (g *GitHub) issue(user int64, scopes []string) *token {
	t := &token{value: "gho_" + randomHex(18), user: user, scopes: scopes}
	if g.cfg.App {
		t.value, t.scopes = "ghu_"+randomHex(18), nil
	}
	g.tokens = append(g.tokens, t)
	same := func(o *token) bool { return o.user == user && slices.Equal(o.scopes, t.scopes) }
	surplus := -maxTokens
	for _, o := range g.tokens {
		if same(o) {
			surplus++
		}
	}
	g.dropTokens(func(o *token) bool {
		if surplus <= 0 || !same(o) {
			return false
		}
		surplus--
		return true
	})
	return t
}

func (g *GitHub) dropTokens(gone func(*token) bool) {
	g.tokens = slices.DeleteFunc(g.tokens, gone)
}

// IssueToken gives a user a token without the web flow.
func (g *GitHub) IssueToken(user int64, scopes ...string) string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.issue(user, normalizeScopes(scopes)).value
}

// Tokens are the live tokens of a user, oldest first.
func (g *GitHub) Tokens(user int64) []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	var values []string
	for _, t := range g.tokens {
		if t.user == user {
			values = append(values, t.value)
		}
	}
	return values
}

// RevokeToken kills one token.
func (g *GitHub) RevokeToken(value string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.dropTokens(func(t *token) bool { return t.value == value })
}

// RevokeTokens is the user revoking the app in GitHub's settings: all tokens
// die, and consent is asked for again.
func (g *GitHub) RevokeTokens(user int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.dropTokens(func(t *token) bool { return t.user == user })
	for a := range g.approved {
		if a.user == user {
			delete(g.approved, a)
		}
	}
}

func tokenError(w http.ResponseWriter, r *http.Request, code, description string) {
	tokenAnswer(w, r, url.Values{
		"error":             {code},
		"error_description": {description},
		"error_uri":         {"/apps/managing-oauth-apps/troubleshooting-oauth-app-access-token-request-errors/#" + strings.ReplaceAll(code, "_", "-")},
	})
}

// tokenAnswer is form-encoded unless JSON was asked for.
func tokenAnswer(w http.ResponseWriter, r *http.Request, v url.Values) {
	w.Header().Set("Cache-Control", "max-age=0, private, must-revalidate")
	if !strings.Contains(r.Header.Get("Accept"), "json") {
		w.Header().Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
		_, _ = w.Write([]byte(v.Encode()))
		return
	}
	flat := make(map[string]string, len(v))
	for name := range v {
		flat[name] = v.Get(name)
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	_ = json.NewEncoder(w).Encode(flat)
}

// includes lists the scopes that a wider scope contains. GitHub reports only
// the wider one.
var includes = map[string][]string{
	"user":      {"read:user", "user:email", "user:follow"},
	"admin:org": {"write:org", "read:org"},
	"write:org": {"read:org"},
}

func normalizeScopes(asked []string) []string {
	scopes := slices.DeleteFunc(slices.Clone(asked), func(s string) bool {
		return slices.ContainsFunc(asked, func(wider string) bool { return slices.Contains(includes[wider], s) })
	})
	slices.Sort(scopes)
	return slices.Compact(scopes)
}

func isScopeSeparator(c rune) bool { return c == ' ' || c == ',' }

func randomHex(bytes int) string {
	b := make([]byte, bytes)
	_, _ = rand.Read(b) // never fails since Go 1.24
	return hex.EncodeToString(b)
}
