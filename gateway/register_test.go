// SPDX-License-Identifier: Apache-2.0

package gateway_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-mcp/caddy-mcp-oauth/gateway"
	"github.com/caddy-mcp/caddy-mcp-oauth/oauth"
	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
	"github.com/caddy-mcp/caddy-mcp-oauth/token"
)

// The rules for the document are package oauth's and tested there; here is that
// each reaches the client as RFC 7591 §3.2.2 has it, and that nothing is stored.
func TestRefusedRegistrations(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	rec := w.observed()
	uri := func(s string) string { return `{"redirect_uris":["` + s + `"]}` }
	for name, tt := range map[string]struct {
		body, contentType string
		status            int
		code              string
	}{
		"no JSON":             {"client_name=x", "application/json", 400, "invalid_client_metadata"},
		"empty":               {"", "application/json", 400, "invalid_client_metadata"},
		"a list":              {"[]", "application/json", 400, "invalid_client_metadata"},
		"null":                {"null", "application/json", 400, "invalid_client_metadata"},
		"a member twice":      {`{"redirect_uris":["https://a.example/"],"redirect_uris":["https://b.example/"]}`, "application/json", 400, "invalid_client_metadata"},
		"case of members":     {`{"Redirect_URIs":["https://a.example/"]}`, "application/json", 400, "invalid_client_metadata"},
		"two documents":       {uri("https://a.example/") + uri("https://b.example/"), "application/json", 400, "invalid_client_metadata"},
		"not UTF-8":           {"{\"client_name\":\"\xff\"}", "application/json", 400, "invalid_client_metadata"},
		"deep":                {strings.Repeat("[", 10_000), "application/json", 400, "invalid_client_metadata"},
		"large":               {`{"client_name":"` + strings.Repeat("x", 70_000) + `"}`, "application/json", 413, "invalid_client_metadata"},
		"a number for a name": {`{"client_name":1,"redirect_uris":["https://a.example/"]}`, "application/json", 400, "invalid_client_metadata"},
		"unknown auth method": {`{"token_endpoint_auth_method":"private_key_jwt","redirect_uris":["https://a.example/"]}`, "application/json", 400, "invalid_client_metadata"},
		"implicit":            {`{"response_types":["token"],"redirect_uris":["https://a.example/"]}`, "application/json", 400, "invalid_client_metadata"},
		"no redirect URI":     {`{"client_name":"x"}`, "application/json", 400, "invalid_redirect_uri"},
		"empty list":          {`{"redirect_uris":[]}`, "application/json", 400, "invalid_redirect_uri"},
		"eleven":              {`{"redirect_uris":[` + strings.Repeat(`"https://a.example/",`, 10) + `"https://b.example/"]}`, "application/json", 400, "invalid_redirect_uri"},
		"plain http":          {uri("http://a.example/"), "application/json", 400, "invalid_redirect_uri"},
		"script":              {uri("javascript:alert(1)"), "application/json", 400, "invalid_redirect_uri"},
		"data":                {uri("data:text/html,x"), "application/json", 400, "invalid_redirect_uri"},
		"file":                {uri("file:///etc/passwd"), "application/json", 400, "invalid_redirect_uri"},
		"wildcard":            {uri("https://*.a.example/"), "application/json", 400, "invalid_redirect_uri"},
		"fragment":            {uri("https://a.example/#x"), "application/json", 400, "invalid_redirect_uri"},
		"user":                {uri("https://claude.ai@evil.example/"), "application/json", 400, "invalid_redirect_uri"},
		"a code of its own":   {uri("https://a.example/?code=x"), "application/json", 400, "invalid_redirect_uri"},
		"an iss of its own":   {uri("https://a.example/?iss=x"), "application/json", 400, "invalid_redirect_uri"},
		"one bad of three":    {`{"redirect_uris":["https://a.example/","javascript:alert(1)","https://b.example/"]}`, "application/json", 400, "invalid_redirect_uri"},
		"a form":              {uri("https://a.example/"), "application/x-www-form-urlencoded", 400, "invalid_client_metadata"},
		"text":                {uri("https://a.example/"), "text/plain", 400, "invalid_client_metadata"},
		"no type":             {uri("https://a.example/"), "", 400, "invalid_client_metadata"},
		"a type like it":      {uri("https://a.example/"), "application/json+x", 400, "invalid_client_metadata"},
	} {
		r := request(http.MethodPost, oauth.PathRegister, tt.body)
		if tt.contentType != "" {
			r.Header.Set("Content-Type", tt.contentType)
		}
		resp := w.do(r)
		if e := wantError(t, resp, tt.status, tt.code); t.Failed() {
			t.Fatalf("%s: %+v", name, e)
		}
	}
	if rec.count("CreateClient") != 0 {
		t.Error("a refused client was stored")
	}
}

// A public client has no secret, not even one that nobody knows; of a confidential
// one the store has the hash.
func TestSecretsOfClientsAtRest(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for method, confidential := range map[string]bool{"none": false, "client_secret_post": true, "client_secret_basic": true} {
		c := w.registerAs(method, webURI)
		rec, err := w.store.Client(t.Context(), issuer, c.ClientID)
		if err != nil {
			t.Fatal(err)
		}
		want := storage.Hash{}
		if confidential {
			want = token.Hash(c.ClientSecret)
		}
		if rec.SecretHash != want || rec.AuthMethod != method {
			t.Errorf("%s: stored %x, %s", method, rec.SecretHash, rec.AuthMethod)
		}
	}
}

// Two parallel registrations of one client are normal (clients.md) and are two
// clients. Ids never repeat, secrets neither.
func TestRegistrationsAreIndependent(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var wg sync.WaitGroup
	var mu sync.Mutex
	seen := map[string]bool{}
	for range 32 {
		wg.Go(func() {
			c := w.registerAs("client_secret_post", webURI)
			mu.Lock()
			defer mu.Unlock()
			if seen[c.ClientID] || seen[c.ClientSecret] || strings.ContainsAny(c.ClientID+c.ClientSecret, ":%+/") {
				t.Errorf("client %+v", c)
			}
			seen[c.ClientID], seen[c.ClientSecret] = true, true
		})
	}
	wg.Wait()
}

// Hosted clients register for all their users from a few addresses: they are
// counted by where their answers go and where they come from. Programs on a
// computer are counted by its address, the whole /64 of it.
func TestRegistrationLimits(t *testing.T) {
	t.Parallel()
	w := newWorld(t, limits("registrations", 3))
	send := func(from, uris string) *http.Response {
		r := request(http.MethodPost, oauth.PathRegister, `{"token_endpoint_auth_method":"none","redirect_uris":[`+uris+`]}`, "Content-Type", "application/json")
		r.RemoteAddr = from
		return w.do(r)
	}
	exhausted := func(what string, next func(i int) *http.Response) {
		t.Helper()
		for i := range 3 {
			if resp := next(i); resp.StatusCode != http.StatusCreated {
				t.Fatalf("%s: registration %d: %d", what, i, resp.StatusCode)
			}
		}
		resp := next(3)
		wantError(t, resp, http.StatusTooManyRequests, "temporarily_unavailable")
		if after := resp.Header.Get("Retry-After"); after != "20" {
			t.Errorf("%s: Retry-After %q", what, after)
		}
		if expose := resp.Header.Get("Access-Control-Expose-Headers"); !strings.Contains(expose, "Retry-After") {
			t.Errorf("Retry-After is not exposed: %q", expose)
		}
	}
	exhausted("one host from one address", func(i int) *http.Response {
		return send("192.0.2.8:1", fmt.Sprintf(`"https://claude.ai/%d"`, i))
	})
	if resp := send("192.0.2.8:1", `"https://chatgpt.com/connector/oauth/x"`); resp.StatusCode != http.StatusCreated {
		t.Errorf("another host from the same address: %d", resp.StatusCode)
	}
	exhausted("the same host, spelt differently", func(i int) *http.Response {
		return send("192.0.2.9:1", []string{`"https://grok.com/a"`, `"https://GROK.com/b"`, `"https://grok.com/c"`, `"https://grok.com/d"`}[i])
	})
	exhausted("loopback from one address", func(i int) *http.Response {
		return send("192.0.2.1:1", fmt.Sprintf(`"http://127.0.0.1:%d/"`, i+1))
	})
	exhausted("private use from one network", func(i int) *http.Response {
		return send(fmt.Sprintf("[2001:db8::%d]:1", i+1), fmt.Sprintf(`"cursor%d://x/cb"`, i))
	})
	exhausted("a mixture counts as a program", func(i int) *http.Response {
		return send("192.0.2.50:1", fmt.Sprintf(`"https://host%d.example/","http://localhost/cb"`, i))
	})
	if resp := send("192.0.2.2:1", `"http://127.0.0.1/"`); resp.StatusCode != http.StatusCreated {
		t.Errorf("another address: %d", resp.StatusCode)
	}
	w.reload() // is no reason to begin anew
	if resp := send("192.0.2.1:1", `"http://127.0.0.1/"`); resp.StatusCode != http.StatusTooManyRequests {
		t.Errorf("after a reload: %d", resp.StatusCode)
	}
	w.clock.Advance(20 * time.Second)
	if resp := send("192.0.2.1:1", `"http://127.0.0.1/"`); resp.StatusCode != http.StatusCreated {
		t.Errorf("after Retry-After: %d", resp.StatusCode)
	}
}

// An attacker registers again and again with the redirect host of a hosted client,
// so that nobody could add this server there any more. What they use up is theirs.
func TestFloodInTheNameOfAHostedClientLocksNobodyOut(t *testing.T) {
	t.Parallel()
	w := newWorld(t, limits("registrations", 3))
	send := func(from, host string) int {
		r := request(http.MethodPost, oauth.PathRegister,
			`{"token_endpoint_auth_method":"none","redirect_uris":["https://`+host+`/cb"]}`, "Content-Type", "application/json")
		r.RemoteAddr = from
		return w.do(r).StatusCode
	}
	for range 5 {
		send("198.51.100.66:1", "claude.ai")
	}
	if got := send("198.51.100.66:1", "claude.ai"); got != http.StatusTooManyRequests {
		t.Errorf("the attacker: %d", got)
	}
	if got := send("192.0.2.8:1", "claude.ai"); got != http.StatusCreated {
		t.Errorf("the hosted client itself: %d", got)
	}
	// Inventing hosts helps for a while only.
	refused := 0
	for i := range 60 {
		if send("198.51.100.67:1", fmt.Sprintf("h%d.evil.example", i)) == http.StatusTooManyRequests {
			refused++
		}
	}
	if refused != 30 {
		t.Errorf("%d of 60 registrations of invented hosts were refused, want all but ten times the rate", refused)
	}
}

func TestRegistrationWithInitialAccessToken(t *testing.T) {
	t.Parallel()
	const initial = "an-initial-access-token"
	w := newWorld(t, func(c *gateway.Config) {
		c.Registration = gateway.Registration{Mode: gateway.RegistrationToken, Token: initial}
	})
	const doc = `{"redirect_uris":["http://127.0.0.1/"],"token_endpoint_auth_method":"none"}`
	for _, header := range [][]string{
		nil,
		{"Authorization", "Bearer " + initial + "x"},
		{"Authorization", "Bearer " + initial[1:]},
		{"Authorization", "Basic " + initial},
		{"Authorization", initial},
		{"X-Token", initial},
	} {
		resp := w.postJSON(oauth.PathRegister, doc, header...)
		wantError(t, resp, http.StatusUnauthorized, "invalid_token")
		if got := resp.Header.Get("WWW-Authenticate"); !strings.HasPrefix(got, "Bearer") {
			t.Errorf("WWW-Authenticate %q", got)
		}
	}
	good := []string{"Authorization", "Bearer " + initial}
	wantError(t, w.postJSON(oauth.PathRegister, doc, append(good, good...)...), http.StatusBadRequest, "invalid_request")
	if resp := w.postJSON(oauth.PathRegister, doc, good...); resp.StatusCode != http.StatusCreated {
		t.Errorf("with the token: %d %s", resp.StatusCode, body(t, resp))
	}
	if strings.Contains(w.log.String(), initial) {
		t.Error("the token is in the log")
	}
}

// Off means that there is no endpoint, and that nobody is told of one.
func TestRegistrationOff(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *gateway.Config) { c.Registration.Mode = gateway.RegistrationOff })
	wantError(t, w.postJSON(oauth.PathRegister, mcpClients[0].body), http.StatusNotFound, "not_found")
	if doc := body(t, w.get(oauth.WellKnownServer)); strings.Contains(doc, "registration_endpoint") {
		t.Errorf("metadata: %s", doc)
	}
}

// Full of clients that never signed in, all of them young: a 503 that says when
// to come back, not a client that is not stored.
func TestRegistrationWhenFull(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.store.failOn("CreateClient", storage.ErrFull)
	resp := w.postJSON(oauth.PathRegister, mcpClients[0].body)
	wantError(t, resp, http.StatusServiceUnavailable, "temporarily_unavailable")
	if resp.Header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
}

// A client that never completed a sign-in is collected after a day, one that did
// is kept, however long it is away: several clients never register again.
func TestUnusedClientsAreCollected(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	unused := w.register(loopbackURI)
	used, _ := w.tokens()
	w.clock.Advance(24*time.Hour - time.Second)
	wantPage(t, w.get(oauth.PathAuthorize+"?"+authorizeQuery(unused, loopbackURI).Encode()), http.StatusOK, "")
	w.clock.Advance(time.Second)
	wantPage(t, w.get(oauth.PathAuthorize+"?"+authorizeQuery(unused, loopbackURI).Encode()), http.StatusBadRequest, "unknown_client")
	w.clock.Advance(300 * 24 * time.Hour)
	wantPage(t, w.get(oauth.PathAuthorize+"?"+authorizeQuery(used, loopbackURI).Encode()), http.StatusOK, "")
}
