// SPDX-License-Identifier: Apache-2.0

package gateway_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/caddy-mcp/caddy-mcp-oauth/gateway"
	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
	"github.com/caddy-mcp/caddy-mcp-oauth/token"
)

// R8.5, R8.6 and R2.5: the challenge begins with "Bearer ", names the metadata of
// the very URL the client used, in every method, and says nothing about an error
// to a client that made none.
func TestChallengeWithoutCredentials(t *testing.T) {
	t.Parallel()
	w := newWorld(t, guardedPair(t))
	calls := w.countCalls()
	const meta = issuer + "/.well-known/oauth-protected-resource"
	for _, tt := range []struct{ path, metadata, scope string }{
		{"/mcp", meta + "/mcp", "mcp"},
		{"/mcp/", meta + "/mcp/", "mcp"},
		{"/mcp/below", meta + "/mcp", "mcp"},
		{"/MCP", meta + "/mcp", "mcp"},
		{"/sse", meta + "/sse", "mcp"},
		{"/sse/", meta + "/sse/", "mcp"},
		{"/sse/below", meta + "/sse", "mcp"}, // shorter than "/mcp/…", yet the one that matched
		{"/messages?sessionId=1", meta + "/messages", "mcp"},
		{"/ops", meta + "/ops", "ops ops:read"},
		{"/mcp?access_token=x", meta + "/mcp", "mcp"},
	} {
		for _, method := range []string{"GET", "POST", "DELETE", "HEAD", "PUT", "PATCH", "MADEUP"} {
			t.Run(method+" "+tt.path, func(t *testing.T) {
				resp := w.do(request(method, tt.path, ""))
				want := `Bearer resource_metadata="` + tt.metadata + `", scope="` + tt.scope + `"`
				if got := resp.Header.Values("WWW-Authenticate"); resp.StatusCode != 401 || len(got) != 1 || got[0] != want {
					t.Errorf("%d %q, want 401 %q", resp.StatusCode, got, want)
				}
				if resp.Header.Get("Cache-Control") != "no-store" || resp.Header.Get("Content-Type") != "application/json" {
					t.Errorf("header %v", resp.Header)
				}
				if e := decode[oauthError](t, resp); e.Error != "unauthorized" {
					t.Errorf("body %+v", e)
				}
				// What the challenge names must exist and say the same URL.
				if doc := w.get(strings.TrimPrefix(tt.metadata, issuer)); doc.StatusCode != 200 {
					t.Errorf("metadata: %d", doc.StatusCode)
				}
			})
		}
	}
	if calls.Load() != 0 {
		t.Errorf("the backend was called %d times", calls.Load())
	}
}

// The TypeScript SDK compares the document's resource with the URL it called.
func TestChallengeLeadsToTheURLTheClientUsed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, guardedPair(t))
	for _, path := range []string{"/mcp", "/mcp/", "/sse", "/sse/", "/messages", "/ops", "/ops/"} {
		m := regexp.MustCompile(`resource_metadata="([^"]+)"`).FindStringSubmatch(w.get(path).Header.Get("WWW-Authenticate"))
		if m == nil {
			t.Fatalf("%s: no resource_metadata", path)
		}
		doc := decode[struct{ Resource string }](t, w.get(strings.TrimPrefix(m[1], issuer)))
		if doc.Resource != issuer+path {
			t.Errorf("%s leads to %s", path, doc.Resource)
		}
	}
}

// What the Authorization header may look like and what each gets.
func TestChallengeByAuthorizationHeader(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	calls := w.countCalls()
	good := w.issue().token
	const invalid = "invalid_token"
	for _, tt := range []struct {
		name   string
		values []string
		status int
		code   string // error of the challenge
	}{
		{"good", []string{"Bearer " + good}, 202, ""},
		{"lower-case scheme", []string{"bearer " + good}, 202, ""},
		{"upper-case scheme", []string{"BEARER " + good}, 202, ""},
		{"two spaces", []string{"Bearer  " + good}, 202, ""},
		{"none", nil, 401, ""},
		{"empty", []string{""}, 401, ""},
		{"scheme only", []string{"Bearer"}, 401, ""},
		{"unset variable", []string{"Bearer "}, 401, ""},
		{"Basic", []string{"Basic b2N0b2NhdDpwdw=="}, 401, ""},
		{"DPoP", []string{"DPoP " + good}, 401, ""},
		{"token without scheme", []string{good}, 401, ""},
		{"word that begins like the scheme", []string{"BearerX " + good}, 401, ""},
		{"forged", []string{"Bearer mcpat_Zm9yZ2Vk"}, 401, invalid},
		{"tampered", []string{"Bearer " + good[:len(good)-4] + "AAAA"}, 401, invalid},
		{"cut", []string{"Bearer " + good[:len(good)-1]}, 401, invalid},
		{"prefix in another case", []string{"Bearer MCPAT" + good[5:]}, 401, invalid},
		{"foreign JWT", []string{"Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJyb290In0."}, 401, invalid},
		{"two good", []string{"Bearer " + good, "Bearer " + good}, 400, ""},
		{"good and Basic", []string{"Bearer " + good, "Basic eDp5"}, 400, ""},
		{"two in one", []string{"Bearer " + good + ", Bearer " + good}, 400, ""},
		{"blank inside", []string{"Bearer " + good + " x"}, 400, ""},
		{"tab for blank", []string{"Bearer\t" + good}, 401, ""},
		{"quotes", []string{`Bearer "` + good + `"`}, 400, ""},
		{"NUL", []string{"Bearer " + good + "\x00"}, 400, ""},
		{"huge", []string{"Bearer " + strings.Repeat("A", 9000)}, 400, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			before := calls.Load()
			r := request("POST", "/mcp", "{}")
			r.Header["Authorization"] = tt.values
			resp := w.do(r)
			w := &world{t: t}
			w.wantStatus(resp, tt.status)
			challenge := resp.Header.Get("WWW-Authenticate")
			if has := challenge != ""; has != (tt.status == 401) {
				t.Errorf("challenge %q with %d", challenge, tt.status)
			}
			if code := challengeParam(challenge, "error"); code != tt.code {
				t.Errorf("error %q, want %q", code, tt.code)
			}
			if tt.code != "" && challengeParam(challenge, "error_description") == "" {
				t.Error("no error_description")
			}
			if called := calls.Load() - before; (called == 1) != (tt.status == 202) {
				t.Errorf("backend called %d times", called)
			}
		})
	}
	if strings.Contains(w.log.String(), good[10:40]) {
		t.Error("a token is in the log")
	}
}

// challengeParam reads a parameter as the TypeScript SDK does: the first match.
func challengeParam(challenge, name string) string {
	m := regexp.MustCompile(`(?:^|[ ,])` + name + `="([^"]*)"`).FindStringSubmatch(challenge)
	if m == nil {
		return ""
	}
	return m[1]
}

// The attack: a value the gateway made for another purpose is presented as an
// access token.
func TestNothingButAnAccessTokenIsABearer(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	calls := w.countCalls()
	clientID := w.register(loopbackURI)
	b := w.browser()
	code := b.code(authorizeQuery(clientID, loopbackURI))
	tok := decode[tokens](t, w.postForm("/token", codeForm(clientID, code)))
	ring := token.NewRing(token.Key{1})
	payload, _ := json.Marshal(map[string]any{
		"i": issuer, "g": "g", "s": "github:583231", "c": clientID, "r": resource, "e": 4102444800,
	})
	values := map[string]string{
		"code": code, "refresh token": tok.RefreshToken, "client id": clientID,
		"refresh token renamed": token.AccessPrefix + strings.TrimPrefix(tok.RefreshToken, token.RefreshPrefix),
		"consent value":         token.AccessPrefix + ring.Seal(token.PurposeConsent, payload, token.AccessPrefix),
		"verifier value":        token.AccessPrefix + ring.Seal(token.PurposeVerifier, payload, token.AccessPrefix),
		"other associated data": token.AccessPrefix + ring.Seal(token.PurposeAccess, payload, ""),
		"other key":             token.AccessPrefix + token.NewRing(token.Key{2}).Seal(token.PurposeAccess, payload, token.AccessPrefix),
	}
	for name, c := range b.cookies {
		if c.Value != "" {
			values["cookie "+name] = c.Value
		}
	}
	for name, v := range values {
		resp := w.call(v)
		if resp.StatusCode != 401 || challengeParam(resp.Header.Get("WWW-Authenticate"), "error") != "invalid_token" {
			t.Errorf("%s: %d %q", name, resp.StatusCode, resp.Header.Get("WWW-Authenticate"))
		}
	}
	if calls.Load() != 0 {
		t.Errorf("the backend was called %d times", calls.Load())
	}
	w.wantStatus(w.call(tok.AccessToken), 202)
}

// The attack: a token for one server is replayed by it, or by its user, at another.
func TestTokenOfOneResourceIsRefusedAtEveryOther(t *testing.T) {
	t.Parallel()
	w := newWorld(t, guardedPair(t))
	calls := w.countCalls()
	tok := w.issue().token
	status := func(path string) int {
		return w.do(request("POST", path, "{}", bearer(tok)...)).StatusCode
	}
	for _, path := range []string{"/mcp", "/mcp/", "/mcp/x", "/sse", "/messages"} {
		if got := status(path); got != 202 {
			t.Errorf("%s: %d, want 202", path, got)
		}
	}
	before := calls.Load()
	for range 2 { // unknown to and known to the other guard
		resp := w.do(request("POST", "/ops", "{}", bearer(tok)...))
		if resp.StatusCode != 401 || challengeParam(resp.Header.Get("WWW-Authenticate"), "error") != "invalid_token" ||
			challengeParam(resp.Header.Get("WWW-Authenticate"), "scope") != "ops ops:read" {
			t.Errorf("/ops: %d %q", resp.StatusCode, resp.Header.Get("WWW-Authenticate"))
		}
	}
	// A resource identifier that merely begins alike, or names the origin.
	for _, aud := range []string{issuer, issuer + "/", resource + "/", resource + "/x", issuer + "/MCP", "http://mcp.example.com/mcp", ""} {
		bad := w.issue(func(g *storage.Grant) { g.Resource = aud })
		if resp := w.call(bad.token); resp.StatusCode != 401 {
			t.Errorf("audience %q: %d", aud, resp.StatusCode)
		}
	}
	if calls.Load() != before {
		t.Error("the backend was called")
	}
}

// The attack: two issuers share one store and key; a token of one is sent to the
// other, whose resource has the same path.
func TestTokenOfAnotherIssuer(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const otherIssuer = "https://other.example.com"
	cfg := w.config
	cfg.Issuer = otherIssuer
	other, err := gateway.New(w.state, cfg)
	if err != nil {
		t.Fatal(err)
	}
	tok := w.issue()
	w.wantStatus(w.call(tok.token), 200)
	half := w.issue(func(g *storage.Grant) { g.Issuer = otherIssuer })                 // resource of the first, issuer of the other
	otherHalf := w.issue(func(g *storage.Grant) { g.Resource = otherIssuer + "/mcp" }) // and the other way round
	for name, presented := range map[string]string{"foreign": tok.token, "half": half.token, "other half": otherHalf.token} {
		rec := httptest.NewRecorder()
		err := other.Guard("/mcp").Serve(rec, request("POST", "/mcp", "{}", bearer(presented)...), "/mcp",
			func(http.ResponseWriter, *http.Request, *gateway.Admitted) error { t.Error("admitted"); return nil })
		if err != nil || rec.Code != 401 {
			t.Errorf("%s: %d %v", name, rec.Code, err)
		}
	}
	// The grant of a token is looked up under the token's issuer only.
	moved := w.issue(func(g *storage.Grant) { g.Issuer = otherIssuer })
	moved.grant.Issuer = issuer
	if resp := w.call(w.seal(moved.grant, w.clock.Now().Add(1e9))); resp.StatusCode != 401 {
		t.Errorf("grant of another issuer: %d", resp.StatusCode)
	}
}

// A token in the query is as good as none (R8.2), also next to a good header.
func TestTokenInQueryIsIgnored(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	tok := w.issue().token
	resp := w.do(request("GET", "/mcp?access_token="+tok, ""))
	if resp.StatusCode != 401 || challengeParam(resp.Header.Get("WWW-Authenticate"), "error") != "" {
		t.Errorf("%d %q", resp.StatusCode, resp.Header.Get("WWW-Authenticate"))
	}
	var query string
	w.backend = func(_ http.ResponseWriter, r *http.Request) { query = r.URL.RawQuery }
	w.wantStatus(w.do(request("GET", "/mcp?access_token=forged&a=1", "", bearer(tok)...)), 200)
	if query != "a=1" {
		t.Errorf("backend saw query %q", query)
	}
}

// CONNECT becomes an upgrade behind us, TRACE would show what only the backend may
// see: neither passes, whoever asks.
func TestConnectAndTraceDoNotPass(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	calls := w.countCalls()
	tok := w.issue().token
	for _, method := range []string{"CONNECT", "TRACE"} {
		r := request("GET", "/mcp", "", bearer(tok)...)
		r.Method = method
		resp := w.do(r)
		if resp.StatusCode != 405 || resp.Header.Get("Allow") == "" {
			t.Errorf("%s: %d %v", method, resp.StatusCode, resp.Header)
		}
	}
	if calls.Load() != 0 {
		t.Error("the backend was called")
	}
}
