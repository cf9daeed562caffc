// SPDX-License-Identifier: Apache-2.0

package testidp

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

const (
	callbackURL = "https://mcp.example.com/callback/github"
	verifier    = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
)

func withOctocat(t *testing.T, edit ...func(*Config)) *Server {
	t.Helper()
	s := Start(t, append([]func(*Config){func(c *Config) { c.RedirectURIs = []string{callbackURL} }}, edit...)...)
	s.AddUser(Octocat())
	s.SignIn(Octocat().ID)
	return s
}

// noRedirects is a browser that shows where it is sent.
var noRedirects = &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}

// answer is a response that was read.
type answer struct {
	status int
	header http.Header
	body   string
}

func do(t *testing.T, req *http.Request) answer {
	t.Helper()
	resp, err := noRedirects.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{resp.StatusCode, resp.Header, string(body)}
}

func request(t *testing.T, method, target string, form url.Values) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, target, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	return req
}

// authorizeQuery is what a careful client sends.
func authorizeQuery(s *Server) url.Values {
	sum := sha256.Sum256([]byte(verifier))
	return url.Values{
		"client_id": {s.ClientID()}, "redirect_uri": {callbackURL}, "state": {"s t&"},
		"scope":          {"read:user user:email read:org"},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(sum[:])}, "code_challenge_method": {"S256"},
	}
}

// authorize returns the parameters the browser is sent back with, and where.
func authorize(t *testing.T, s *Server, q url.Values) (where string, back url.Values) {
	t.Helper()
	a := do(t, request(t, "GET", s.URL+"/login/oauth/authorize?"+q.Encode(), nil))
	if a.status != http.StatusFound {
		t.Fatalf("status %d: %s", a.status, a.body)
	}
	u, err := url.Parse(a.header.Get("Location"))
	if err != nil {
		t.Fatal(err)
	}
	back = u.Query()
	u.RawQuery = ""
	return u.String(), back
}

func tokenForm(s *Server, code string) url.Values {
	return url.Values{
		"client_id": {s.ClientID()}, "client_secret": {s.ClientSecret()}, "code": {code},
		"redirect_uri": {callbackURL}, "code_verifier": {verifier},
	}
}

// exchange asks for JSON.
func exchange(t *testing.T, s *Server, form url.Values) map[string]string {
	t.Helper()
	req := request(t, "POST", s.URL+"/login/oauth/access_token", form)
	req.Header.Set("Accept", "application/json")
	a := do(t, req)
	var fields map[string]any
	if err := json.Unmarshal([]byte(a.body), &fields); err != nil {
		t.Fatalf("status %d: %s", a.status, a.body)
	}
	got := make(map[string]string, len(fields))
	for name, value := range fields {
		got[name] = fmt.Sprint(value)
	}
	return got
}

func newCode(t *testing.T, s *Server) string {
	t.Helper()
	_, back := authorize(t, s, authorizeQuery(s))
	if back.Get("code") == "" {
		t.Fatalf("no code: %v", back)
	}
	return back.Get("code")
}

// apiGet uses the API with a token.
func apiGet(t *testing.T, s *Server, path, token string) answer {
	t.Helper()
	target := path
	if strings.HasPrefix(path, "/") {
		target = s.URL + path
	}
	req := request(t, "GET", target, nil)
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	return do(t, req)
}
