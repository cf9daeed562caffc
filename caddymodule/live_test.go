// SPDX-License-Identifier: Apache-2.0

package caddymodule

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"golang.org/x/crypto/bcrypt"
)

// gateSite is a running Caddy with one local user, alice.
type gateSite struct {
	t    *testing.T
	dir  string
	port int
	url  string
}

// alicePassword and its hash, of the lowest cost that is accepted.
const alicePassword = "correct horse"

func newSite(t *testing.T) *gateSite {
	t.Helper()
	hash, err := bcrypt.GenerateFromPassword([]byte(alicePassword), 10)
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("ALICE_HASH", string(hash))
	s := &gateSite{t: t, dir: t.TempDir(), port: freePort(t)}
	s.url = fmt.Sprintf("http://localhost:%d", s.port)
	t.Setenv("XDG_DATA_HOME", s.dir)
	return s
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// config adapts global options of mcp_oauth and the site's directives.
func (s *gateSite) config(options, directives string) []byte {
	s.t.Helper()
	return s.adapt(withUpstream(options, s.url+" {\n"+directives+"\n}\n"))
}

func (s *gateSite) adapt(caddyfile string) []byte {
	s.t.Helper()
	var m map[string]any
	if err := json.Unmarshal(mustAdapt(s.t, caddyfile), &m); err != nil {
		s.t.Fatal(err)
	}
	if m["admin"] == nil {
		m["admin"] = map[string]any{"disabled": true}
	}
	m["storage"] = map[string]any{"module": "file_system", "root": filepath.Join(s.dir, "caddy")}
	if m["logging"] == nil {
		m["logging"] = map[string]any{"logs": map[string]any{"default": map[string]any{"level": "ERROR"}}}
	}
	out, err := json.Marshal(m)
	if err != nil {
		s.t.Fatal(err)
	}
	return out
}

// load runs a configuration until the end of the test.
func (s *gateSite) load(config []byte) {
	s.t.Helper()
	if err := caddy.Load(config, true); err != nil {
		s.t.Fatalf("load: %v", err)
	}
	s.t.Cleanup(func() {
		if err := caddy.Stop(); err != nil {
			s.t.Errorf("stop: %v", err)
		}
	})
}

// request sends one request with an optional token and returns the response with
// its body read. A connection that a reload resets, because it was waiting at the
// old listener, is tried again: a client would.
func (s *gateSite) request(method, path, token string, edit ...func(*http.Request)) *response {
	s.t.Helper()
	var err error
	for range 5 {
		var resp *response
		if resp, err = s.try(method, path, token, edit...); err == nil {
			return resp
		}
		time.Sleep(20 * time.Millisecond)
	}
	s.t.Errorf("%s %s: %v", method, path, err)
	return &response{header: http.Header{}}
}

func (s *gateSite) try(method, path, token string, edit ...func(*http.Request)) (*response, error) {
	r, err := http.NewRequestWithContext(s.t.Context(), method, s.url+path, nil)
	if err != nil {
		return nil, err
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	for _, f := range edit {
		f(r)
	}
	r.Close = true // a reload closes idle connections under the client
	client := &http.Client{
		Timeout:       10 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	resp, err := client.Do(r)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	return &response{status: resp.StatusCode, header: resp.Header, body: string(body)}, nil
}

type response struct {
	status int
	header http.Header
	body   string
}

func (s *gateSite) wantStatus(want int, method, path, token string, edit ...func(*http.Request)) *response {
	s.t.Helper()
	got := s.request(method, path, token, edit...)
	if got.status != want {
		s.t.Errorf("%s %s: status %d, want %d\n%s", method, path, got.status, want, got.body)
	}
	return got
}

var formField = regexp.MustCompile(`<input type="hidden" name="([^"]+)" value="([^"]*)"`)

// signIn goes the whole way of a client and its user: registration, consent,
// password, code, token. It returns the access token.
func (s *gateSite) signIn(resource string) string {
	s.t.Helper()
	const redirect = "http://127.0.0.1:1/callback"
	jar, err := cookiejar.New(nil)
	if err != nil {
		s.t.Fatal(err)
	}
	browser := &http.Client{Jar: jar, Timeout: 20 * time.Second, CheckRedirect: func(r *http.Request, _ []*http.Request) error {
		if r.URL.Host == "127.0.0.1:1" {
			return http.ErrUseLastResponse
		}
		return nil
	}}
	var client struct {
		ID string `json:"client_id"`
	}
	s.post(browser, "/register", "application/json",
		`{"redirect_uris":["`+redirect+`"],"token_endpoint_auth_method":"none"}`, &client)
	verifier := strings.Repeat("v", 64)
	digest := sha256.Sum256([]byte(verifier))
	query := url.Values{
		"response_type": {"code"}, "client_id": {client.ID}, "redirect_uri": {redirect}, "state": {"s"},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(digest[:])}, "code_challenge_method": {"S256"},
		"resource": {resource},
	}
	page := s.page(browser.Get(s.url + "/authorize?" + query.Encode()))
	page = s.submit(browser, page, url.Values{"decision": {"approve"}})
	page = s.submit(browser, page, url.Values{"username": {"alice"}, "password": {alicePassword}})
	back, err := url.Parse(page.location)
	if err != nil || back.Query().Get("code") == "" {
		s.t.Fatalf("no code in %q\n%s", page.location, page.body)
	}
	var tokens struct {
		Access string `json:"access_token"`
	}
	s.post(browser, "/token", "application/x-www-form-urlencoded", url.Values{
		"grant_type": {"authorization_code"}, "code": {back.Query().Get("code")}, "client_id": {client.ID},
		"redirect_uri": {redirect}, "code_verifier": {verifier}, "resource": {resource},
	}.Encode(), &tokens)
	if tokens.Access == "" {
		s.t.Fatal("no access token")
	}
	return tokens.Access
}

type htmlPage struct {
	base           *url.URL
	body, location string
}

func (s *gateSite) page(resp *http.Response, err error) htmlPage {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	if resp.StatusCode >= 400 {
		s.t.Fatalf("%s: %s\n%s", resp.Request.URL.Path, resp.Status, body)
	}
	return htmlPage{base: resp.Request.URL, body: string(body), location: resp.Header.Get("Location")}
}

func (s *gateSite) submit(browser *http.Client, p htmlPage, form url.Values) htmlPage {
	s.t.Helper()
	_, rest, ok := strings.Cut(p.body, `<form method="post" action="`)
	action, _, _ := strings.Cut(rest, `"`)
	if !ok {
		s.t.Fatalf("no form at %s:\n%s", p.base, p.body)
	}
	for _, m := range formField.FindAllStringSubmatch(p.body, -1) {
		form.Set(m[1], unescape(m[2]))
	}
	u, err := p.base.Parse(unescape(action))
	if err != nil {
		s.t.Fatal(err)
	}
	return s.page(browser.PostForm(u.String(), form))
}

func unescape(s string) string {
	return strings.NewReplacer("&#43;", "+", "&#34;", `"`, "&#39;", "'", "&lt;", "<", "&gt;", ">", "&amp;", "&").Replace(s)
}

func (s *gateSite) post(c *http.Client, path, contentType, body string, into any) {
	s.t.Helper()
	p := s.page(c.Post(s.url+path, contentType, strings.NewReader(body)))
	if err := json.Unmarshal([]byte(p.body), into); err != nil {
		s.t.Fatalf("%s: %v", path, err)
	}
}

// backend is an MCP server as far as these tests care: it counts and remembers.
type backend struct {
	*httptest.Server
	hits atomic.Int64
	last atomic.Pointer[http.Request]
}

func newBackend(t *testing.T, serve http.HandlerFunc) *backend {
	t.Helper()
	b := new(backend)
	b.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b.hits.Add(1)
		b.last.Store(r.Clone(r.Context()))
		if serve != nil {
			serve(w, r)
		}
	}))
	t.Cleanup(b.CloseClientConnections)
	t.Cleanup(b.Close)
	return b
}

func (b *backend) addr() string { return strings.TrimPrefix(b.URL, "http://") }
