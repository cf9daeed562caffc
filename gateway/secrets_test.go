// SPDX-License-Identifier: Apache-2.0

package gateway_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/caddy-mcp/caddy-mcp-oauth/internal/testidp"
	"github.com/caddy-mcp/caddy-mcp-oauth/oauth"
)

// secrets collects what must never be written down anywhere.
type secrets map[string]string

func (s secrets) add(name, value string) {
	if len(value) < 8 {
		panic("no secret: " + name)
	}
	s[name] = value
}

func (s secrets) addCookies(b *browser) {
	for name, c := range b.cookies {
		s.add("cookie "+name, c.Value)
	}
}

// Everything a debug log and a store could see of whole flows, good and bad, is
// searched for every token, code, state, verifier, secret and cookie in them
// (R7.11, M-12, M-40).
func TestNoSecretIsWrittenDown(t *testing.T) {
	t.Parallel()
	w, idp := atGitHub(t)
	w.config.Registration.Mode = "token"
	w.config.Registration.Token = "initial-access-token-of-the-operator"
	w.reload()
	rec := w.observed()
	s := secrets{}
	s.add("initial access token", w.config.Registration.Token)
	s.add("GitHub client secret", idp.ClientSecret())
	s.add("password of nobody", "hunter2hunter2")

	reg := decode[registered](t, w.postJSON(oauth.PathRegister,
		`{"client_name":"x","redirect_uris":["`+loopbackURI+`"]}`, "Authorization", "Bearer "+w.config.Registration.Token))
	w.postJSON(oauth.PathRegister, `{}`, "Authorization", "Bearer "+w.config.Registration.Token[1:])
	s.add("client secret", reg.ClientSecret)

	b := w.browser()
	q := authorizeQuery(reg.ClientID, loopbackURI)
	action, fields := b.open(q)
	s.add("sealed request", fields.Get("request"))
	s.add("csrf", fields.Get("csrf"))
	s.addCookies(b)
	b.submit(action, with(fields, "csrf", "x", "decision", "approve"))
	approved := b.approve(action, fields)
	s.addCookies(b)
	callback := b.visit(approved)
	s.add("upstream state", callback.Query().Get("state"))
	s.add("upstream code", callback.Query().Get("code"))
	w.browser().get(callback.RequestURI())
	code := location(t, b.get(callback.RequestURI())).Query().Get("code")
	b.get(callback.RequestURI())
	for _, r := range idp.Requests("/login/oauth/access_token") {
		s.add("upstream verifier", r.Form.Get("code_verifier"))
	}
	for _, tok := range idp.Tokens(583231) {
		s.add("GitHub token", tok)
	}
	s.add("code", code)
	s.add("verifier", verifier)

	f := with(codeForm(reg.ClientID, code), "client_secret", reg.ClientSecret)
	w.postForm(oauth.PathToken, with(f, "client_secret", flip(reg.ClientSecret)))
	w.postForm(oauth.PathToken, with(f, "code_verifier", s256))
	w.postForm(oauth.PathToken, f, "Authorization", basic(reg.ClientID, reg.ClientSecret))
	tok := w.redeem(f)
	s.add("access token", tok.AccessToken)
	s.add("refresh token", tok.RefreshToken)
	w.wantCall("/mcp", tok.AccessToken, http.StatusOK)
	w.call(tok.AccessToken + "x")
	w.get("/mcp?access_token=" + url.QueryEscape(tok.AccessToken))
	refresh := with(refreshForm(reg.ClientID, tok.RefreshToken), "client_secret", reg.ClientSecret)
	second := w.redeem(refresh)
	s.add("second refresh token", second.RefreshToken)
	s.add("second access token", second.AccessToken)
	w.redeem(with(refresh, "refresh_token", second.RefreshToken))
	w.clock.Advance(2 * time.Minute)
	w.refused(refresh) // reuse
	w.refused(f)

	// Failures, too: of the store, of the upstream, of a panic.
	for _, verb := range []string{"Client", "CreatePending", "Grant", "CreateClient"} {
		w.store.failOn(verb, errDisk)
		b.get(oauth.PathAuthorize + "?" + q.Encode())
		b.approve(action, fields)
		w.postForm(oauth.PathToken, f)
		w.postJSON(oauth.PathRegister, mcpClients[0].body, "Authorization", "Bearer "+w.config.Registration.Token)
		w.store.failOn(verb, nil)
	}
	// A second client goes on in the session, and it ends.
	action2, fields2 := b.open(q)
	second2 := location(t, b.approve(action2, fields2))
	s.add("code of the session", second2.Query().Get("code"))
	s.addCookies(b)
	action2, fields2 = b.openSignOut()
	s.add("csrf of the sign-out", fields2.Get("csrf"))
	b.submit(action2, with(fields2, "csrf", flip(fields2.Get("csrf"))))
	b.submit(action2, fields2)
	if !strings.Contains(w.log.String(), "signed out") {
		t.Error("not signed out")
	}

	idp.SetMode(testidp.Deny)
	denied := b.visit(b.approve(action, fields))
	s.add("denied state", denied.Query().Get("state"))
	b.get(denied.RequestURI())
	s.addCookies(b)

	log, rest := w.log.String(), rec.atRest()
	if !strings.Contains(log, "signed in") || !strings.Contains(log, "refresh token reused") || !strings.Contains(rest, reg.ClientID) {
		t.Fatal("the flows did not happen as meant")
	}
	for name, value := range s {
		for form, text := range hidingPlaces(value) {
			if strings.Contains(log, text) {
				t.Errorf("%s (%s) is in the log", name, form)
			}
			if strings.Contains(rest, text) {
				t.Errorf("%s (%s) is in the store", name, form)
			}
		}
	}
	// What is stored of a token is its hash, and even that is not logged.
	for _, name := range []string{"code", "refresh token", "access token", "client secret"} {
		sum := sha256.Sum256([]byte(s[name]))
		if strings.Contains(log, base64.RawURLEncoding.EncodeToString(sum[:])) || strings.Contains(log, hex.EncodeToString(sum[:])) {
			t.Errorf("the hash of the %s is in the log", name)
		}
	}
	for _, private := range []string{"octocat@github.example", "The Octocat"} {
		if strings.Contains(log, private) {
			t.Errorf("%q is in the log (M-40)", private)
		}
	}
}

// hidingPlaces are forms in which a value could hide.
func hidingPlaces(v string) map[string]string {
	forms := map[string]string{
		"as it is": v, "query": url.QueryEscape(v), "hex": hex.EncodeToString([]byte(v)),
		"base64": base64.StdEncoding.EncodeToString([]byte(v))[:len(v)],
	}
	if prefix, secret, ok := strings.Cut(v, "."); ok && strings.HasPrefix(prefix, "mcp") {
		forms["without its prefix"] = secret
	}
	return forms
}
