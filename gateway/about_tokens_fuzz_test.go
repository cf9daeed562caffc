// SPDX-License-Identifier: Apache-2.0

package gateway_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-mcp/caddy-mcp-oauth/oauth"
)

// Whatever is asked about a token: no 5xx, no other answer than those of RFC 7009
// and RFC 7662, and nothing is told to or done for a client that does not prove
// itself, since none of these has a secret.
func FuzzRevokeAndIntrospect(f *testing.F) {
	g := newFuzzGateway(f)
	cookies, _, state := g.begin(f.Fatal)
	loc, err := g.send(http.MethodGet, oauth.PathCallback+"github", "code=x&state="+state, "", "Cookie", cookies).Location()
	if err != nil {
		f.Fatal(err)
	}
	resp := g.send(http.MethodPost, oauth.PathToken, "", codeForm(g.loopback, loc.Query().Get("code")).Encode(), "Content-Type", formEncoded)
	var tok tokens
	if err := json.NewDecoder(resp.Body).Decode(&tok); err != nil {
		f.Fatal(err)
	}
	text := strings.NewReplacer("ACCESS", tok.AccessToken, "REFRESH", tok.RefreshToken, "CLIENT", g.loopback, "OTHER", g.web)
	for _, form := range []string{
		"token=ACCESS&client_id=OTHER", "token=REFRESH&client_id=OTHER&token_type_hint=access_token", "token=x&client_id=CLIENT",
		"token=mcprt_.&client_id=CLIENT", "token=mcpat_&client_id=CLIENT&client_secret=", "token=ACCESS&token=REFRESH&client_id=CLIENT",
		"token=%zz", "client_id=CLIENT;token=x", "token_type_hint=a&token_type_hint=b&client_id=CLIENT&token=x",
	} {
		f.Add(form, "", true)
		f.Add(form, "Bearer ACCESS", false)
		f.Add(form, "Basic Q0xJRU5UOg==", false)
	}
	f.Fuzz(func(t *testing.T, form, authorization string, revoke bool) {
		path := oauth.PathIntrospect
		if revoke {
			path = oauth.PathRevoke
		}
		header := []string{"Content-Type", formEncoded}
		if authorization != "" {
			header = append(header, "Authorization", text.Replace(authorization))
		}
		resp := g.send(http.MethodPost, path, "", text.Replace(form), header...)
		answer := body(t, resp)
		switch {
		case resp.StatusCode == http.StatusOK && revoke && answer == "":
		case resp.StatusCode == http.StatusBadRequest, resp.StatusCode == http.StatusUnauthorized:
			var e oauthError
			if err := json.Unmarshal([]byte(answer), &e); err != nil ||
				!slices.Contains([]string{"invalid_request", "invalid_client", "invalid_grant"}, e.Error) {
				t.Fatalf("%d %q", resp.StatusCode, answer)
			}
		default:
			t.Fatalf("%s: %d %q", path, resp.StatusCode, answer)
		}
		if strings.Contains(answer, "github:583231") || strings.Contains(answer, `"active":true`) {
			t.Fatalf("told %q", answer)
		}
	})
}

// A registration is read and deleted with its own token only, whatever path and
// header come.
func FuzzManageRegistration(f *testing.F) {
	g := newFuzzGateway(f)
	resp := g.send(http.MethodPost, oauth.PathRegister, "", registration(webURI), "Content-Type", "application/json")
	var m managed
	if err := json.NewDecoder(resp.Body).Decode(&m); err != nil {
		f.Fatal(err)
	}
	text := strings.NewReplacer("TOKEN", m.Token, "OWN", m.ClientID, "OTHER", g.web)
	for _, path := range []string{"OWN", "OTHER", "", "OWN/", "../OWN", "%2e", "OWN?x", "\x00", strings.Repeat("x", 5000)} {
		for _, authorization := range []string{"Bearer TOKEN", "bearer  TOKEN", "Bearer TOKENx", "", "Bearer", "TOKEN", "Basic TOKEN"} {
			f.Add(path, authorization)
		}
	}
	f.Fuzz(func(t *testing.T, id, authorization string) {
		id, authorization = text.Replace(id), text.Replace(authorization)
		for _, method := range []string{http.MethodGet, http.MethodDelete} {
			r := request(method, "/", "")
			r.URL.Path = "/register/" + id
			if authorization != "" {
				r.Header["Authorization"] = []string{authorization}
			}
			right := id == m.ClientID && strings.Contains(authorization, m.Token)
			if right && method == http.MethodDelete {
				continue // it is needed for the next input
			}
			rec := g.record(r)
			switch answer := body(t, rec); {
			case rec.StatusCode == http.StatusOK && right:
			case rec.StatusCode >= 400 && rec.StatusCode < 500 && json.Valid([]byte(answer)) && !strings.Contains(answer, webURI):
			default:
				t.Fatalf("%s %q with %q: %d %q", method, id, authorization, rec.StatusCode, answer)
			}
		}
	})
}
