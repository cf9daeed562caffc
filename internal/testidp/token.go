// SPDX-License-Identifier: Apache-2.0

package testidp

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

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
	redeem := g.redeem
	switch t := form.Get("grant_type"); {
	case t == "refresh_token" && g.cfg.App:
		redeem = g.redeemRefresh
	case t != "" && t != "authorization_code":
		tokenError(w, r, "unsupported_grant_type", "The grant_type is not supported.")
		return
	}
	g.mu.Lock()
	t, problem := redeem(form)
	g.mu.Unlock()
	if problem != "" {
		tokenError(w, r, problem, tokenProblems[problem])
		return
	}
	answer := url.Values{"access_token": {t.value}, "token_type": {"bearer"}, "scope": {strings.Join(t.scopes, ",")}}
	if t.refresh != "" {
		answer.Set("expires_in", seconds(accessLifetime))
		answer.Set("refresh_token", t.refresh)
		answer.Set("refresh_token_expires_in", seconds(refreshLifetime))
	}
	tokenAnswer(w, r, answer)
}

func seconds(d time.Duration) string { return strconv.Itoa(int(d.Seconds())) }

var tokenProblems = map[string]string{
	"bad_verification_code": "The code passed is incorrect or expired.",
	"redirect_uri_mismatch": "The redirect_uri MUST match the registered callback URL for this application.",
	"unverified_user_email": "The user must have a verified primary email.",
	"bad_refresh_token":     "The refresh token passed is incorrect or expired.",
}

// redeem trades a code for a token. A code works once, also if what comes with
// it is wrong. The caller holds mu.
func (g *GitHub) redeem(form url.Values) (t token, problem string) {
	c := g.codes[form.Get("code")]
	if c == nil {
		return token{}, "bad_verification_code"
	}
	delete(g.codes, form.Get("code"))
	if !g.cfg.Now().Before(c.expires) || g.users[c.user] == nil {
		return token{}, "bad_verification_code"
	}
	if uri := form.Get("redirect_uri"); uri != "" && uri != c.redirectURI {
		return token{}, "redirect_uri_mismatch"
	}
	if c.challenge != "" {
		sum := sha256.Sum256([]byte(form.Get("code_verifier")))
		if base64.RawURLEncoding.EncodeToString(sum[:]) != c.challenge {
			return token{}, "bad_verification_code"
		}
	}
	return *g.issue(c.user, c.scopes), ""
}

// redeemRefresh trades a refresh token. It works once, and ends the access token
// it came with. The caller holds mu.
func (g *GitHub) redeemRefresh(form url.Values) (t token, problem string) {
	value, now := form.Get("refresh_token"), g.cfg.Now()
	i := slices.IndexFunc(g.tokens, func(t *token) bool { return t.refresh != "" && t.refresh == value })
	if i < 0 || g.users[g.tokens[i].user] == nil || !now.Before(g.tokens[i].refreshEnds) {
		return token{}, "bad_refresh_token"
	}
	user := g.tokens[i].user
	g.tokens = slices.Delete(g.tokens, i, i+1)
	return *g.issue(user, nil), ""
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
	flat := make(map[string]any, len(v))
	for name := range v {
		flat[name] = v.Get(name)
		if n, err := strconv.Atoi(v.Get(name)); err == nil && strings.HasSuffix(name, "expires_in") {
			flat[name] = n
		}
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	_ = json.NewEncoder(w).Encode(flat)
}
