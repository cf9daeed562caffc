// SPDX-License-Identifier: Apache-2.0

package gateway_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/caddy-mcp/caddy-mcp-oauth/gateway"
	"github.com/caddy-mcp/caddy-mcp-oauth/internal/testmcp"
	"github.com/caddy-mcp/caddy-mcp-oauth/oauth"
	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
	"github.com/caddy-mcp/caddy-mcp-oauth/token"
)

// managed is a registration with what RFC 7592 adds to it.
type managed struct {
	registered
	Token string `json:"registration_access_token"`
	URI   string `json:"registration_client_uri"`
}

func (w *world) registerManaged(doc string) (managed, map[string]any) {
	w.t.Helper()
	resp := w.postJSON(oauth.PathRegister, doc)
	text := body(w.t, resp)
	var m managed
	var all map[string]any
	if err := json.Unmarshal([]byte(text), &m); err != nil || resp.StatusCode != http.StatusCreated {
		w.t.Fatalf("register: %d %s", resp.StatusCode, text)
	}
	_ = json.Unmarshal([]byte(text), &all) // it was JSON above
	if m.URI != issuer+"/register/"+m.ClientID || !strings.HasPrefix(m.Token, "mcprg_") {
		w.t.Fatalf("registration %+v", m)
	}
	return m, all
}

func (w *world) manage(method string, m managed, header ...string) *http.Response {
	w.t.Helper()
	if header == nil {
		header = bearer(m.Token)
	}
	return w.do(request(method, strings.TrimPrefix(m.URI, issuer), "", header...))
}

const managedDoc = `{"client_name":"Test client","client_uri":"https://client.example","redirect_uris":["` + loopbackURI + `","` + webURI + `"],` +
	`"grant_types":["authorization_code","refresh_token","implicit"],"response_types":["code"],"scope":"mcp  mcp x","software_id":"s","software_version":"1",` +
	`"logo_uri":"https://client.example/logo.png","token_endpoint_auth_method":"`

// A client reads what it registered: the same as it was told then, less the secret,
// of which we have the hash only. Nothing is replaced by reading.
func TestClientReadsItsRegistration(t *testing.T) {
	t.Parallel()
	for _, method := range []string{"none", "client_secret_post", "client_secret_basic"} {
		w := newWorld(t)
		m, want := w.registerManaged(managedDoc + method + `"}`)
		if (m.ClientSecret != "") != (method != "none") {
			t.Errorf("%s: secret %q", method, m.ClientSecret)
		}
		delete(want, "client_secret")
		delete(want, "client_secret_expires_at")
		for range 2 {
			resp := w.manage("GET", m)
			if resp.StatusCode != http.StatusOK || resp.Header.Get("Cache-Control") != "no-store" || resp.Header.Get("Access-Control-Allow-Origin") != "*" {
				t.Errorf("%s: %d %v", method, resp.StatusCode, resp.Header)
			}
			if diff := cmp.Diff(want, decode[map[string]any](t, resp)); diff != "" {
				t.Errorf("%s: registration (-want +got):\n%s", method, diff)
			}
		}
		for name, value := range want {
			if value == nil || value == "" {
				t.Errorf("%s is %v: clients refuse that", name, value)
			}
		}
	}
}

// Of the registration access token the store has the hash.
func TestRegistrationTokenAtRest(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	rec := w.observed()
	m, _ := w.registerManaged(managedDoc + `none"}`)
	w.manage("GET", m)
	w.manage("GET", m, bearer(flip(m.Token))...)
	c, err := w.store.Client(t.Context(), issuer, m.ClientID)
	if err != nil || c.RegistrationHash != token.Hash(m.Token) {
		t.Errorf("stored %x, %v", c.RegistrationHash, err)
	}
	secret := strings.TrimPrefix(m.Token, "mcprg_")
	if strings.Contains(rec.atRest(), secret) || strings.Contains(w.log.String(), secret) {
		t.Error("the token is written down")
	}
}

// The attack: guess or probe. A wrong token, none, another client's and a client
// that does not exist get the same answer (RFC 7592 §2.1).
func TestRegistrationOfSomebodyElse(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	m, _ := w.registerManaged(managedDoc + `client_secret_post"}`)
	other, _ := w.registerManaged(managedDoc + `none"}`)
	gone := managed{registered{ClientID: "mcpc_none"}, m.Token, issuer + "/register/mcpc_none"}
	legacy := &storage.Client{Issuer: issuer, ID: "mcpc_old", RedirectURIs: []string{webURI}, AuthMethod: "none", CreatedAt: w.clock.Now()}
	if err := w.store.CreateClient(t.Context(), legacy); err != nil { // from before there were tokens
		t.Fatal(err)
	}
	old := managed{registered{ClientID: legacy.ID}, "", issuer + "/register/" + legacy.ID}
	answers := map[string]bool{}
	for name, tt := range map[string]struct {
		of        managed
		header    []string
		challenge string
	}{
		"wrong token":            {m, bearer(flip(m.Token)), `Bearer error="invalid_token"`},
		"shorter token":          {m, bearer(m.Token[:len(m.Token)-1]), `Bearer error="invalid_token"`},
		"another client's token": {m, bearer(other.Token), `Bearer error="invalid_token"`},
		"unknown client":         {gone, bearer(m.Token), `Bearer error="invalid_token"`},
		"client without a token": {old, bearer(m.Token), `Bearer error="invalid_token"`},
		"its secret":             {m, bearer(m.ClientSecret), `Bearer error="invalid_token"`},
		"no token":               {m, []string{"X", "y"}, "Bearer"},
		"no token, unknown":      {gone, []string{"X", "y"}, "Bearer"},
		"empty token":            {m, []string{"Authorization", "Bearer "}, "Bearer"},
		"Basic":                  {m, []string{"Authorization", basic(m.ClientID, m.Token)}, "Bearer"},
	} {
		for _, method := range []string{"GET", "DELETE"} {
			resp := w.manage(method, tt.of, tt.header...)
			if got := resp.Header.Get("WWW-Authenticate"); got != tt.challenge {
				t.Errorf("%s: WWW-Authenticate %q", name, got)
			}
			answers[wantError(t, resp, http.StatusUnauthorized, "invalid_token").Description] = true
		}
	}
	if len(answers) != 1 {
		t.Errorf("answers differ: %v", answers)
	}
	wantError(t, w.manage("GET", m, append(bearer(m.Token), bearer(m.Token)...)...), http.StatusBadRequest, "invalid_request")
	if resp := w.manage("GET", m); resp.StatusCode != http.StatusOK {
		t.Errorf("after all that: %d", resp.StatusCode)
	}
}

// Deleting ends everything: the client, its grants and tokens at once, its open
// streams; and nothing of anybody else.
func TestClientDeletesItself(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	front, back := w.proxied()
	m, _ := w.registerManaged(managedDoc + `none"}`)
	signIn := func() tokens {
		return w.redeem(codeForm(m.ClientID, w.browser().code(authorizeQuery(m.ClientID, loopbackURI))))
	}
	first, second := signIn(), signIn()
	otherID, other := w.tokens()
	back.Next(testmcp.NewStream(nil).Reply)
	stream := fetch(t, "GET", front+"/mcp", nil, append(bearer(first.AccessToken), "Accept", "text/event-stream")...)

	resp := w.manage("DELETE", m)
	if text := body(t, resp); resp.StatusCode != http.StatusNoContent || text != "" || resp.Header.Get("Cache-Control") != "no-store" {
		t.Fatalf("delete: %d %q", resp.StatusCode, text)
	}
	wantStreamEnd(t, stream.Body)
	for _, tok := range []tokens{first, second} {
		w.wantCall("/mcp", tok.AccessToken, http.StatusUnauthorized)
		wantError(t, w.postForm(oauth.PathToken, refreshForm(m.ClientID, tok.RefreshToken)), http.StatusUnauthorized, "invalid_client")
	}
	wantPage(t, w.get(oauth.PathAuthorize+"?"+authorizeQuery(m.ClientID, loopbackURI).Encode()), http.StatusBadRequest, "unknown_client")
	for _, method := range []string{"GET", "DELETE"} {
		wantError(t, w.manage(method, m), http.StatusUnauthorized, "invalid_token")
	}
	w.wantCall("/mcp", other.AccessToken, http.StatusOK)
	w.redeem(refreshForm(otherID, other.RefreshToken))
}

// A client that deletes itself while somebody signs in gets no code for it.
func TestClientDeletedDuringASignIn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	m, _ := w.registerManaged(managedDoc + `none"}`)
	b := w.browser()
	state := upstreamState(t, b.consent(authorizeQuery(m.ClientID, loopbackURI), "approve"))
	code := w.browser().code(authorizeQuery(m.ClientID, loopbackURI))
	if resp := w.manage("DELETE", m); resp.StatusCode != http.StatusNoContent {
		t.Fatal(resp.StatusCode)
	}
	wantPage(t, b.callback(state), http.StatusBadRequest, "unknown_client")
	wantError(t, w.postForm(oauth.PathToken, codeForm(m.ClientID, code)), http.StatusUnauthorized, "invalid_client")
}

// There is no update, and the answer says why (design decision 8): it could put
// other redirect URIs under a consent. The path below is nobody's.
func TestRegistrationCannotBeChanged(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	m, _ := w.registerManaged(managedDoc + `none"}`)
	for _, method := range []string{"PUT", "PATCH", "POST"} {
		r := request(method, strings.TrimPrefix(m.URI, issuer), `{"redirect_uris":["https://evil.example/"]}`,
			append(bearer(m.Token), "Content-Type", "application/json")...)
		resp := w.do(r)
		if allow := resp.Header.Get("Allow"); allow != "GET, DELETE, OPTIONS" {
			t.Errorf("%s: Allow %q", method, allow)
		}
		if e := wantError(t, resp, http.StatusMethodNotAllowed, "invalid_request"); !strings.Contains(e.Description, "register anew") {
			t.Errorf("%s: %q", method, e.Description)
		}
	}
	c, err := w.store.Client(t.Context(), issuer, m.ClientID)
	if err != nil || cmp.Diff([]string{loopbackURI, webURI}, c.RedirectURIs) != "" {
		t.Errorf("stored %v, %v", c, err)
	}
	for _, path := range []string{"/register/", "/register/" + m.ClientID + "/", "/register/" + m.ClientID + "/x", "/Register/" + m.ClientID} {
		wantError(t, w.do(request("GET", path, "", bearer(m.Token)...)), http.StatusNotFound, "not_found")
	}
}

// Registration that was switched off lets nobody in, and lets everybody out.
func TestRegistrationIsManagedWhileOff(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	m, _ := w.registerManaged(managedDoc + `none"}`)
	w.config.Registration.Mode = gateway.RegistrationOff
	w.reload()
	if resp := w.manage("DELETE", m); resp.StatusCode != http.StatusNoContent {
		t.Errorf("delete: %d", resp.StatusCode)
	}
}

func TestRegistrationTokenGuessingIsLimited(t *testing.T) {
	t.Parallel()
	w := newWorld(t, limits("tokens", 3))
	m, _ := w.registerManaged(managedDoc + `none"}`)
	for range 10 {
		w.wantStatus(w.manage("GET", m), http.StatusOK)
	}
	for range 3 {
		wantError(t, w.manage("GET", m, bearer("x")...), http.StatusUnauthorized, "invalid_token")
	}
	resp := w.manage("GET", m, bearer("x")...)
	if resp.Header.Get("WWW-Authenticate") != "" || resp.Header.Get("Retry-After") == "" {
		t.Errorf("headers %v", resp.Header)
	}
	wantError(t, resp, http.StatusTooManyRequests, "temporarily_unavailable")
}
