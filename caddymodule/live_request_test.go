// SPDX-License-Identifier: Apache-2.0

package caddymodule

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestChallengeAndDiscovery(t *testing.T) {
	s, b := newSite(t), newBackend(t, nil)
	s.load(s.config("", "mcp_gateway /mcp "+b.addr()))

	resp := s.wantStatus(http.StatusUnauthorized, http.MethodPost, "/mcp", "")
	metadata := s.url + "/.well-known/oauth-protected-resource/mcp"
	if c := resp.header.Get("WWW-Authenticate"); !strings.Contains(c, `resource_metadata="`+metadata+`"`) {
		t.Errorf("challenge %q does not name %s", c, metadata)
	}
	for path, want := range map[string]map[string]string{
		"/.well-known/oauth-protected-resource/mcp": {"resource": s.url + "/mcp"},
		"/.well-known/oauth-authorization-server":   {"issuer": s.url, "token_endpoint": s.url + "/token"},
	} {
		resp := s.wantStatus(http.StatusOK, http.MethodGet, path, "")
		var doc map[string]any
		if err := json.Unmarshal([]byte(resp.body), &doc); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		for field, value := range want {
			if doc[field] != value {
				t.Errorf("%s: %s is %v, want %s", path, field, doc[field], value)
			}
		}
	}
	if n := b.hits.Load(); n != 0 {
		t.Errorf("the backend saw %d requests without a token", n)
	}
}

func TestAdmittedRequestReachesTheBackend(t *testing.T) {
	s, b := newSite(t), newBackend(t, nil)
	s.load(s.config("", "mcp_gateway /tools/mcp "+b.addr()+"/mcp {\nheader_up X-My-User {http.auth.user.login}\nheader_up X-My-Resource {http.mcp_oauth.resource}\n}"))
	token := s.signIn(s.url + "/tools/mcp")

	s.wantStatus(http.StatusOK, http.MethodPost, "/tools/mcp/x?q=1", token)
	r := b.last.Load()
	if r == nil {
		t.Fatal("the backend saw nothing")
	}
	if r.RequestURI != "/mcp/x?q=1" {
		t.Errorf("the backend was asked for %s", r.RequestURI)
	}
	for name, want := range map[string]string{
		"X-Forwarded-User": "local:alice", "X-My-User": "alice", "X-My-Resource": s.url + "/tools/mcp", "Authorization": "",
	} {
		if got := r.Header.Get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
}

// A client names a header of ours itself, or has reverse_proxy remove ours by
// naming it in Connection. Requests that are not guarded are cleaned as well.
func TestNobodyMakesUpIdentity(t *testing.T) {
	s, b := newSite(t), newBackend(t, nil)
	s.load(s.config("", "mcp_gateway /mcp "+b.addr()+"\nreverse_proxy /open "+b.addr()))
	token := s.signIn(s.url + "/mcp")
	spoof := func(r *http.Request) {
		r.Header.Set("X-Forwarded-User", "github:1")
		r.Header["x_forwarded_groups"] = []string{"admins"}
		r.Header.Set("Connection", "X-Forwarded-User, X-Forwarded-Preferred-Username")
	}
	s.wantStatus(http.StatusOK, http.MethodPost, "/mcp", token, spoof)
	if got := b.last.Load().Header.Get("X-Forwarded-User"); got != "local:alice" {
		t.Errorf("guarded: the backend is told %q", got)
	}
	s.wantStatus(http.StatusOK, http.MethodGet, "/open", "", spoof)
	for name, values := range b.last.Load().Header {
		if folded := strings.ToLower(strings.ReplaceAll(name, "_", "-")); strings.HasPrefix(folded, "x-forwarded-user") || folded == "x-forwarded-groups" {
			t.Errorf("unguarded: the backend is told %s: %q", name, values)
		}
	}
}

// Whatever spelling of the path a client tries, without a token the backend is
// never asked, and with one it is asked for nothing but what was checked.
func TestPathTricksOpenNothing(t *testing.T) {
	s, b := newSite(t), newBackend(t, nil)
	s.load(s.config("", "mcp_gateway /mcp "+b.addr()+" {\nalso /sse\n}"))
	token := s.signIn(s.url + "/mcp")
	tricks := []string{
		"/MCP", "//mcp", "/mcp/", "/mcp//x", "/./mcp", "/x/../mcp", "/mcp/..", "/mcp/../admin", "/mcp/%2e%2e/admin", "/%6dcp",
		"/mcp%2f..%2fadmin", "/mcp%00", "/mcp;x", "/mcp/..;/admin", "/x%2f..%2fmcp", "/mcp%5c..%5cadmin", "/sse/../mcp",
		"/.well-known/../mcp", "/callback/../mcp", "/mcp%20", "/mcp.", "/mcp?x=/../", "*",
	}
	for _, path := range tricks {
		before := b.hits.Load()
		status := s.raw("POST", path, "")
		if b.hits.Load() != before {
			t.Errorf("%s without a token reached the backend (%d)", path, status)
		}
		s.raw("POST", path, token)
		if b.hits.Load() == before {
			continue
		}
		seen := b.last.Load().RequestURI
		if bare, _, _ := strings.Cut(strings.ToLower(seen), "?"); bare != "/mcp" && bare != "/mcp/" {
			t.Errorf("%s with a token was handed on as %s", path, seen)
		}
	}
	if s.raw("POST", "/mcp", ""); b.hits.Load() == 0 {
		t.Error("no spelling of the path reached the backend with a token; the test proves nothing")
	}
}

// raw sends a request line as it is: net/http would clean the path.
func (s *gateSite) raw(method, target, token string) int {
	s.t.Helper()
	conn, err := net.DialTimeout("tcp", fmt.Sprintf("127.0.0.1:%d", s.port), 5*time.Second)
	if err != nil {
		s.t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	auth := ""
	if token != "" {
		auth = "Authorization: Bearer " + token + "\r\n"
	}
	fmt.Fprintf(conn, "%s %s HTTP/1.1\r\nHost: localhost:%d\r\nConnection: close\r\nContent-Length: 0\r\n%s\r\n", method, target, s.port, auth)
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		s.t.Fatalf("%s: %v", target, err)
	}
	resp.Body.Close()
	return resp.StatusCode
}

// A request under a name that is nobody's must not be answered in the name of
// somebody else: the page of an attacker rebinds his name to our address.
func TestUnknownHostIsMisdirected(t *testing.T) {
	s, b := newSite(t), newBackend(t, nil)
	caddyfile := withUpstream("issuer https://mcp.example.com", fmt.Sprintf("http://:%d {\nmcp_gateway /mcp %s\nrespond hello\n}\n", s.port, b.addr()))
	s.load(s.adapt(caddyfile))
	host := func(name string) func(*http.Request) { return func(r *http.Request) { r.Host = name } }
	for _, path := range []string{"/mcp", "/MCP/x", "/authorize", "/token", "/.well-known/oauth-authorization-server"} {
		s.wantStatus(http.StatusMisdirectedRequest, http.MethodGet, path, "", host("evil.example"))
	}
	s.wantStatus(http.StatusOK, http.MethodGet, "/", "", host("evil.example"))
	s.wantStatus(http.StatusUnauthorized, http.MethodGet, "/mcp", "", host("mcp.example.com"))
	s.wantStatus(http.StatusUnauthorized, http.MethodGet, "/mcp", "", host("MCP.example.com:443"))
	resp := s.wantStatus(http.StatusOK, http.MethodGet, "/.well-known/oauth-authorization-server", "", host("mcp.example.com"), func(r *http.Request) {
		r.Header.Set("X-Forwarded-Host", "evil.example")
		r.Header.Set("X-Forwarded-Proto", "http")
	})
	if !strings.Contains(resp.body, `"https://mcp.example.com"`) || strings.Contains(resp.body, "evil") {
		t.Errorf("metadata: %s", resp.body)
	}
}

// The longest path wins, whichever directive comes first, and a token for one
// resource opens no other.
func TestResourcesOfOneSite(t *testing.T) {
	s, outer, inner := newSite(t), newBackend(t, nil), newBackend(t, nil)
	s.load(s.config("", "mcp_gateway /mcp "+outer.addr()+"\nmcp_gateway /mcp/inner "+inner.addr()))
	outerToken, innerToken := s.signIn(s.url+"/mcp"), s.signIn(s.url+"/mcp/inner")

	s.wantStatus(http.StatusUnauthorized, http.MethodPost, "/mcp/inner", outerToken)
	s.wantStatus(http.StatusUnauthorized, http.MethodPost, "/mcp/x", innerToken)
	s.wantStatus(http.StatusOK, http.MethodPost, "/mcp/inner/x", innerToken)
	s.wantStatus(http.StatusOK, http.MethodPost, "/mcp/innerx", outerToken)
	if outer.hits.Load() != 1 || inner.hits.Load() != 1 {
		t.Errorf("outer saw %d requests, inner %d; want one each", outer.hits.Load(), inner.hits.Load())
	}
	if got := inner.last.Load().Header.Get("X-Forwarded-User"); got != "local:alice" {
		t.Errorf("the second handler was told %q", got)
	}
}

// With the guard alone, the handlers of the operator follow, and see the caller.
func TestGuardOnly(t *testing.T) {
	s := newSite(t)
	s.load(s.config("", "mcp_oauth /mcp\n@in vars mcp_oauth_resource /mcp\nhandle @in {\nrespond \"{http.auth.user.id} {http.auth.user.groups} {http.mcp_oauth.scope}\"\n}\nhandle {\nrespond public\n}"))
	s.wantStatus(http.StatusUnauthorized, http.MethodGet, "/mcp", "")
	if resp := s.wantStatus(http.StatusOK, http.MethodGet, "/other", ""); resp.body != "public" {
		t.Errorf("elsewhere: %q", resp.body)
	}
	if resp := s.wantStatus(http.StatusOK, http.MethodGet, "/mcp", s.signIn(s.url+"/mcp")); resp.body != "local:alice  mcp" {
		t.Errorf("admitted: %q", resp.body)
	}
}

// Access logs are shipped, kept and read by many; a code in one of them is a
// sign-in for whoever is fast.
func TestAccessLogKeepsNoCode(t *testing.T) {
	s, b := newSite(t), newBackend(t, nil)
	file := filepath.Join(s.dir, "access.log")
	s.load(s.config("", "mcp_gateway /mcp "+b.addr()+"\nlog {\noutput file "+file+"\n}"))
	token := s.signIn(s.url + "/mcp")
	s.wantStatus(http.StatusOK, http.MethodPost, "/mcp", token)
	s.wantStatus(http.StatusNotFound, http.MethodGet, "/callback/nobody?code=SECRETCODE&state=x", "")
	log, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(log), `"user_id":"local:alice"`) {
		t.Errorf("the log does not say who called:\n%s", log)
	}
	for _, secret := range []string{"code=", "SECRETCODE", "state=", token, alicePassword} {
		if strings.Contains(string(log), secret) {
			t.Errorf("the access log contains %q:\n%s", secret, log)
		}
	}
}

// The admin API shows the configuration to everybody who can reach it.
func TestAdminShowsNoSecret(t *testing.T) {
	s, b := newSite(t), newBackend(t, nil)
	t.Setenv("THE_KEY", fakeSecret)
	secret := filepath.Join(s.dir, "github")
	if err := os.WriteFile(secret, []byte("github-client-secret-value\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	admin := freePort(t)
	options := "encryption_key {env.THE_KEY}\nregistration token {env.THE_KEY}\ngithub {\nclient_id abc\nclient_secret {file." + secret + "}\n}"
	caddyfile := fmt.Sprintf("{\nadmin localhost:%d\n", admin) + strings.TrimPrefix(withUpstream(options, s.url+" {\nmcp_gateway "+b.addr()+"\n}\n"), "{\n")
	s.load(s.adapt(caddyfile))
	config := (&gateSite{t: t, url: fmt.Sprintf("http://localhost:%d", admin)}).wantStatus(http.StatusOK, http.MethodGet, "/config/", "")
	if !strings.Contains(config.body, "{env.THE_KEY}") {
		t.Fatalf("this is not the configuration: %s", config.body)
	}
	for _, v := range []string{fakeSecret, "github-client-secret-value", os.Getenv("ALICE_HASH")} {
		if strings.Contains(config.body, v) {
			t.Errorf("GET /config/ shows a secret: %s", config.body)
		}
	}
}
