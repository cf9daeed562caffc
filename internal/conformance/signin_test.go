// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"

	"github.com/caddy-mcp/caddy-mcp-oauth/internal/testform"
)

const (
	// redirectURI is where the test's own client wants its codes. Nothing listens
	// there: its browser stops before it.
	redirectURI = "http://127.0.0.1:1/callback"
	verifier    = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk" // RFC 7636 appendix B
	challenge   = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
)

// register registers a public client (RFC 7591) and returns its id.
func (g *gateway) register(redirect string) string {
	g.t.Helper()
	body, err := json.Marshal(map[string]any{
		"client_name": "MCP conformance suite", "redirect_uris": []string{redirect}, "token_endpoint_auth_method": "none",
	})
	if err != nil {
		g.t.Fatal(err)
	}
	resp, err := http.Post(g.issuer+"/register", "application/json", strings.NewReader(string(body))) //nolint:noctx // loopback
	return decode[struct {
		ClientID string `json:"client_id"`
	}](g.t, resp, err, http.StatusCreated).ClientID
}

// accessToken signs octocat in and returns a token for a resource.
func (g *gateway) accessToken(resource string) string {
	g.t.Helper()
	clientID := g.register(redirectURI)
	answer := g.approve(g.issuer + "/authorize?" + url.Values{
		"response_type": {"code"}, "client_id": {clientID}, "redirect_uri": {redirectURI}, "state": {"s"},
		"code_challenge": {challenge}, "code_challenge_method": {"S256"}, "resource": {resource},
	}.Encode())
	resp, err := http.PostForm(g.issuer+"/token", url.Values{ //nolint:noctx // loopback
		"grant_type": {"authorization_code"}, "code": {answer.Get("code")}, "client_id": {clientID},
		"redirect_uri": {redirectURI}, "code_verifier": {verifier}, "resource": {resource},
	})
	return decode[struct {
		AccessToken string `json:"access_token"`
	}](g.t, resp, err, http.StatusOK).AccessToken
}

// approve opens an authorization request, agrees, and returns what the client is
// told. GitHub asks nothing.
func (g *gateway) approve(address string) url.Values {
	g.t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		g.t.Fatal(err)
	}
	browser := &http.Client{Jar: jar, CheckRedirect: func(r *http.Request, _ []*http.Request) error {
		if strings.HasPrefix(r.URL.String(), redirectURI) {
			return http.ErrUseLastResponse
		}
		return nil
	}}
	resp, err := browser.Get(address) //nolint:noctx // loopback
	action, fields := consentForm(g.t, resp, err)
	fields.Set("decision", "approve")
	req, err := http.NewRequestWithContext(g.t.Context(), http.MethodPost, g.issuer+action, strings.NewReader(fields.Encode()))
	if err != nil {
		g.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Origin", g.issuer)
	req.Header.Set("Sec-Fetch-Site", "same-origin")
	resp, err = browser.Do(req)
	if err != nil {
		g.t.Fatal(err)
	}
	defer resp.Body.Close()
	end, err := resp.Location()
	if err != nil || !strings.HasPrefix(end.String(), redirectURI) {
		text, _ := io.ReadAll(resp.Body) // for the message
		g.t.Fatalf("the sign-in ended with %s at %s: %v\n%s", resp.Status, resp.Request.URL.Path, err, text)
	}
	return end.Query()
}

// consentForm reads the first form of a page.
func consentForm(t *testing.T, resp *http.Response, err error) (action string, fields url.Values) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	action, fields, err = testform.First(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("the consent page: %s, %v", resp.Status, err)
	}
	return action, fields
}

// decode reads a JSON answer, which must have the status.
func decode[T any](t *testing.T, resp *http.Response, err error, status int) T {
	t.Helper()
	var v T
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(&v); err != nil || resp.StatusCode != status {
		t.Fatalf("%s: %s, want %d; %v", resp.Request.URL.Path, resp.Status, status, fmt.Sprint(err))
	}
	return v
}
