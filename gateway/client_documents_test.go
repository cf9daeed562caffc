// SPDX-License-Identifier: Apache-2.0

package gateway_test

import (
	"net/http"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-mcp/caddy-mcp-oauth/gateway"
	docs "github.com/caddy-mcp/caddy-mcp-oauth/internal/fetch"
	"github.com/caddy-mcp/caddy-mcp-oauth/internal/testsite"
	"github.com/caddy-mcp/caddy-mcp-oauth/oauth"
)

// Clients as they publish themselves (clients.md): what the page says of them, and
// the way from there to a refreshed call.
func TestDocumentClients(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		doc      members
		redirect string
		page     []string
	}{
		"claude.ai": {
			members{"client_name": "Claude", "redirect_uris": []string{"https://claude.ai/api/mcp/auth_callback"}},
			"https://claude.ai/api/mcp/auth_callback",
			[]string{"<bdi>Claude</bdi>", "Published by <bdi>client.example</bdi>", ">claude.ai<"},
		},
		"Claude Code, which registers no port": {
			members{"client_name": "Claude Code", "redirect_uris": []string{"http://localhost/callback", "http://127.0.0.1/callback"}},
			"http://localhost:3118/callback",
			[]string{"Published by <bdi>client.example</bdi>", "localhost:3118", "a program on your own computer"},
		},
		"Copilot CLI, which registers a port and takes another": {
			members{"client_name": "GitHub Copilot CLI", "redirect_uris": []string{"http://127.0.0.1:33418/"}, "application_type": "native"},
			"http://127.0.0.1:61234/",
			[]string{"127.0.0.1:61234", "a program on your own computer"},
		},
		"VS Code, which can do device codes too": {
			members{"client_name": "Visual Studio Code", "redirect_uris": []string{
				"https://insiders.vscode.dev/redirect", "https://vscode.dev/redirect", "http://127.0.0.1/", "http://127.0.0.1:33418/",
			}, "grant_types": []string{"authorization_code", "refresh_token", "urn:ietf:params:oauth:grant-type:device_code"}},
			"https://vscode.dev/redirect",
			[]string{"Visual Studio Code", ">vscode.dev<"},
		},
		"one that names no method": {members{"token_endpoint_auth_method": nil}, webURI, []string{"Published client"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, p := newDocumentWorld(t)
			rec := w.observed()
			id := p.document("/oauth/client", tt.doc)
			q := authorizeQuery(id, tt.redirect)
			b := w.browser()
			page := strings.ReplaceAll(wantPage(t, b.get(oauth.PathAuthorize+"?"+q.Encode()), http.StatusOK, ""), "<wbr>", "")
			for _, want := range tt.page {
				if !strings.Contains(page, want) {
					t.Errorf("the page does not say %q:\n%s", want, page)
				}
			}
			if strings.Contains(page, "Unverified") {
				t.Error("the page calls a published client unverified")
			}
			code := wantCode(t, b.signIn(q))
			tok := w.redeem(with(codeForm(id, code), "redirect_uri", tt.redirect))
			w.wantCall("/mcp", tok.AccessToken, http.StatusOK)
			next := w.redeem(refreshForm(id, tok.RefreshToken))
			w.wantCall("/mcp", next.AccessToken, http.StatusOK)
			if n := p.requests("/oauth/client"); n != 1 {
				t.Errorf("the document was fetched %d times", n)
			}
			if rec.count("CreateClient") != 0 {
				t.Error("the client was stored")
			}
		})
	}
}

var flowID = regexp.MustCompile(`flow_[A-Za-z0-9_-]+|<code>[^<]*</code>`)

// Whatever is wrong with a document, the person sees the same page, the client
// gets no redirect and no code, and the log says what it was (R4.9).
func TestUnusableDocuments(t *testing.T) {
	t.Parallel()
	const path = "/client.json"
	var mu sync.Mutex
	pages := map[string]bool{}
	for name, tt := range map[string]struct {
		publish   func(*publisher)
		reason    string
		temporary bool
	}{
		"not there":     {func(*publisher) {}, "status: status 404", false},
		"server broken": {func(p *publisher) { p.serve(path, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) }) }, "status 500", true},
		"moved": {func(p *publisher) {
			p.document("/new", nil)
			p.serve(path, http.RedirectHandler("/new", http.StatusFound).ServeHTTP)
		}, "status 302", false},
		"a web page":        {func(p *publisher) { p.serve(path, withJSON("<html>", "Content-Type", "text/html")) }, "content_type", false},
		"no JSON":           {func(p *publisher) { p.serve(path, withJSON("<html>")) }, "not a JSON object", false},
		"longer than 16 KB": {func(p *publisher) { p.document(path, members{"x": strings.Repeat("x", 16<<10)}) }, "size", false},
		"of another client": {func(p *publisher) { p.document(path, members{"client_id": "https://claude.ai/oauth/client"}) }, "client_id is not the URL", false},
		"of another path":   {func(p *publisher) { p.document(path, members{"client_id": p.id("/Client.json")}) }, "client_id is not the URL", false},
		"with a secret":     {func(p *publisher) { p.document(path, members{"client_secret": "hunter2hunter2"}) }, "client_secret", false},
		"with Basic":        {func(p *publisher) { p.document(path, members{"token_endpoint_auth_method": "client_secret_basic"}) }, "token_endpoint_auth_method", false},
		"without name":      {func(p *publisher) { p.document(path, members{"client_name": nil}) }, "client_name", false},
		"without redirects": {func(p *publisher) { p.document(path, members{"redirect_uris": nil}) }, "redirect_uris", false},
		"with bad keys": {func(p *publisher) {
			p.document(path, members{"token_endpoint_auth_method": "private_key_jwt", "jwks": members{"keys": []any{}}})
		}, "no key that can be used", false},
		"with a private key": {func(p *publisher) {
			p.document(path, members{"token_endpoint_auth_method": "private_key_jwt", "jwks": members{"keys": []any{members{"kty": "oct", "k": "c2VjcmV0"}}}})
		}, "symmetric", false},
		"slow": {func(p *publisher) {
			p.serve(path, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done(); panic(http.ErrAbortHandler) })
		}, "timeout", true},
		"hangs up": {func(p *publisher) {
			p.serve(path, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
		}, "unreachable", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, p := newDocumentWorld(t)
			if o := p.options(); name == "slow" { // for the others, time must not matter
				o.Timeout = 300 * time.Millisecond
				w.fetchWith(o)
			}
			tt.publish(p)
			page := wantPage(t, w.get(oauth.PathAuthorize+"?"+authorizeQuery(p.id(path), loopbackURI).Encode()), http.StatusBadRequest, "client_document")
			mu.Lock()
			pages[flowID.ReplaceAllString(page, "")] = true
			mu.Unlock()
			if !strings.Contains(w.log.String(), tt.reason) {
				t.Errorf("the log does not say %q: %s", tt.reason, w.log.String())
			}
			if strings.Contains(w.log.String(), "hunter2") || strings.Contains(w.log.String(), "c2VjcmV0") {
				t.Error("the log quotes the document")
			}
			f := codeForm(p.id(path), "mcpac_x")
			if tt.temporary {
				wantError(t, w.postForm(oauth.PathToken, f), http.StatusServiceUnavailable, "temporarily_unavailable")
			} else {
				wantError(t, w.postForm(oauth.PathToken, f), http.StatusUnauthorized, "invalid_client")
			}
			if n := p.requests(path); n > 1 {
				t.Errorf("%d requests within a moment", n)
			}
			if p.requests("/new") != 0 {
				t.Error("the redirect was followed")
			}
		})
	}
	t.Cleanup(func() {
		if len(pages) != 1 {
			t.Errorf("%d different pages, want one for all", len(pages))
		}
	})
}

// Client ids that only look like the URL of a document, or that two readers could
// take for different ones: nothing is fetched (R4.2, M-33).
func TestDeceptiveClientURLs(t *testing.T) {
	t.Parallel()
	w, p := newDocumentWorld(t)
	id := p.document("/oauth/client", nil)
	host := strings.TrimSuffix(strings.TrimPrefix(id, "https://"), "/oauth/client")
	for name, id := range map[string]string{
		"user":              "https://claude.ai@" + host + "/oauth/client",
		"user and password": "https://claude.ai:x@" + host + "/oauth/client",
		"dots":              "https://" + host + "/oauth/x/../client",
		"escaped dots":      "https://" + host + "/oauth/x/%2e%2e/client",
		"single dot":        "https://" + host + "/oauth/./client",
		"fragment":          "https://" + host + "/oauth/client#x",
		"query":             "https://" + host + "/oauth/client?x=1",
		"backslash":         `https://claude.ai\@` + host + "/oauth/client",
		"root":              "https://" + host + "/",
		"no path":           "https://" + host,
		"escaped slash":     "https://" + host + "/oauth%2fclient",
		"too long":          "https://" + host + "/" + strings.Repeat("c", 600),
	} {
		t.Run(name, func(t *testing.T) {
			wantPage(t, w.get(oauth.PathAuthorize+"?"+authorizeQuery(id, loopbackURI).Encode()), http.StatusBadRequest, "client_document")
			wantError(t, w.postForm(oauth.PathToken, codeForm(id, "mcpac_x")), http.StatusUnauthorized, "invalid_client")
		})
	}
	for name, id := range map[string]string{
		"http": "http://" + host + "/oauth/client", "capitals": "HTTPS://" + host + "/oauth/client", "file": "file:///oauth/client",
		"no scheme": "//" + host + "/oauth/client",
	} {
		t.Run(name, func(t *testing.T) {
			wantPage(t, w.get(oauth.PathAuthorize+"?"+authorizeQuery(id, loopbackURI).Encode()), http.StatusBadRequest, "unknown_client")
		})
	}
	if n := p.site.Conns(); n != 0 {
		t.Errorf("%d connections", n)
	}
	// A document is one client, under one spelling: the same document under others
	// says that it is somebody else's.
	wantPage(t, w.get(oauth.PathAuthorize+"?"+authorizeQuery(id, loopbackURI).Encode()), http.StatusOK, "")
	for _, other := range []string{strings.Replace(id, "client.example", "CLIENT.example", 1), id + "/", strings.Replace(id, "client.example", "other.example", 1)} {
		wantPage(t, w.get(oauth.PathAuthorize+"?"+authorizeQuery(other, loopbackURI).Encode()), http.StatusBadRequest, "client_document")
	}
}

// Somebody uses the authorization endpoint to look around in the network of this
// server. Private addresses, the metadata service of a cloud, names that do not
// exist and ports where nobody listens all look the same, and none is connected to.
func TestProbingThroughClientIDs(t *testing.T) {
	t.Parallel()
	w, p := newDocumentWorld(t)
	inside := newPublisher(t)
	id := inside.document("/client", nil)
	addr := func(s string) [][]netip.Addr { return [][]netip.Addr{{netip.MustParseAddr(s)}} }
	w.fetchWith(docs.Options{RootCAs: inside.site.Roots, Resolver: testsite.NamesOf(map[string][][]netip.Addr{
		"client.example": addr("127.0.0.1"), "private.example": addr("10.0.0.1"), "cloud.example": addr("169.254.169.254"),
		"local.example": addr("fd00::1"),
	}).Resolver()})
	answers := map[string]bool{}
	for _, id := range []string{
		id, "https://private.example/client", "https://cloud.example/latest/meta-data", "https://local.example/client",
		"https://nobody.example/client", "https://127.0.0.1:" + inside.site.Port + "/client", "https://127.0.0.1:1025/client",
		"https://[::1]:" + inside.site.Port + "/client", "https://10.0.0.1/client", "https://[::ffff:127.0.0.1]:" + inside.site.Port + "/client",
		"https://169.254.169.254/latest/meta-data", "https://[64:ff9b::7f00:1]/client",
	} {
		page := w.get(oauth.PathAuthorize + "?" + authorizeQuery(id, loopbackURI).Encode())
		answers[flowID.ReplaceAllString(wantPage(t, page, http.StatusBadRequest, "client_document"), "")] = true
		e := wantError(t, w.postForm(oauth.PathToken, codeForm(id, "mcpac_x")), http.StatusServiceUnavailable, "temporarily_unavailable")
		answers[e.Description] = true
	}
	if len(answers) != 2 {
		t.Errorf("%d different answers, want one page and one error", len(answers))
	}
	if n := inside.site.Conns() + p.site.Conns(); n != 0 {
		t.Errorf("%d connections", n)
	}
}

// The operator decides whose documents are read at all.
func TestDocumentPolicy(t *testing.T) {
	t.Parallel()
	p := newPublisher(t)
	id := p.document("/client", nil)
	for name, tt := range map[string]struct {
		docs   gateway.ClientDocuments
		reason string
		status int
	}{
		"off":            {gateway.ClientDocuments{}, "unknown_client", http.StatusBadRequest},
		"listed":         {gateway.ClientDocuments{Enabled: true, Domains: []string{"claude.ai", "client.example"}}, "", http.StatusOK},
		"not listed":     {gateway.ClientDocuments{Enabled: true, Domains: []string{"claude.ai"}}, "client_not_accepted", http.StatusForbidden},
		"its parent":     {gateway.ClientDocuments{Enabled: true, Domains: []string{"example"}}, "client_not_accepted", http.StatusForbidden},
		"its end":        {gateway.ClientDocuments{Enabled: true, Domains: []string{"lient.example"}}, "client_not_accepted", http.StatusForbidden},
		"off but listed": {gateway.ClientDocuments{Domains: []string{"client.example"}}, "unknown_client", http.StatusBadRequest},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, func(c *gateway.Config) { c.ClientDocuments = tt.docs })
			w.fetchWith(p.options())
			before := p.site.Conns()
			wantPage(t, w.get(oauth.PathAuthorize+"?"+authorizeQuery(id, loopbackURI).Encode()), tt.status, tt.reason)
			if tt.status == http.StatusOK {
				return
			}
			wantError(t, w.postForm(oauth.PathToken, codeForm(id, "mcpac_x")), http.StatusUnauthorized, "invalid_client")
			_ = before
		})
	}
	w := newWorld(t)
	for _, bad := range []string{"Claude.ai", "*.claude.ai", "https://claude.ai", "claude.ai/x", "", "claude.ai:443x"} {
		cfg := w.config
		cfg.ClientDocuments = gateway.ClientDocuments{Enabled: true, Domains: []string{bad}}
		if _, err := gateway.New(w.state, cfg); err == nil {
			t.Errorf("domain %q was accepted", bad)
		}
	}
}

// The document changes while a person decides or signs in: whoever took it over
// must not get a code that was meant for what the page said (M-34).
func TestDocumentChangesBehindThePage(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]members{
		"redirect": {"redirect_uris": []string{"https://evil.example/cb", webURI}},
		"name":     {"client_name": "Other"},
		"method":   {"token_endpoint_auth_method": "private_key_jwt", "jwks_uri": "https://evil.example/keys"},
	} {
		t.Run("before approval, "+name, func(t *testing.T) {
			t.Parallel()
			w, p := newDocumentWorld(t)
			b := w.browser()
			action, fields := b.open(authorizeQuery(p.document("/client", nil), webURI))
			p.document("/client", change)
			w.clock.Advance(5 * time.Minute)
			wantPage(t, b.approve(action, fields), http.StatusBadRequest, "flow_expired")
		})
	}
	gone := func(p *publisher) { p.serve("/client", http.NotFound) }
	moved := func(p *publisher) {
		p.document("/client", members{"redirect_uris": []string{"https://evil.example/cb"}})
	}
	for name, tt := range map[string]struct {
		change func(*publisher)
		reason string
	}{"redirect": {moved, "client_changed"}, "gone": {gone, "client_document"}} {
		t.Run("during the sign-in, "+name, func(t *testing.T) {
			t.Parallel()
			w, p := newDocumentWorld(t)
			b := w.browser()
			state := upstreamState(t, b.consent(authorizeQuery(p.document("/client", nil), webURI), "approve"))
			tt.change(p)
			w.clock.Advance(5 * time.Minute)
			wantPage(t, b.callback(state), http.StatusBadRequest, tt.reason)
		})
	}
	t.Run("after the code", func(t *testing.T) {
		t.Parallel()
		w, p := newDocumentWorld(t)
		id := p.document("/client", nil)
		tok := w.redeem(codeForm(id, w.browser().code(authorizeQuery(id, loopbackURI))))
		// It turns into a client that signs: who cannot is no longer that client.
		p.publish("/keys", keySet("rsa"))
		p.document("/client", members{"token_endpoint_auth_method": "private_key_jwt", "jwks_uri": p.id("/keys")})
		w.clock.Advance(5 * time.Minute)
		wantError(t, w.postForm(oauth.PathToken, refreshForm(id, tok.RefreshToken)), http.StatusUnauthorized, "invalid_client")
		w.redeem(asserted(refreshForm(id, tok.RefreshToken), w.assertion(id, nil)))
	})
}

// The client's website is down. Nobody who is signed in notices for a day; nobody
// is told to forget the client because of it.
func TestOutageOfThePublisher(t *testing.T) {
	t.Parallel()
	w, p := newDocumentWorld(t)
	id := p.document("/client", nil)
	tok := w.redeem(codeForm(id, w.browser().code(authorizeQuery(id, loopbackURI))))
	p.serve("/client", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) })
	w.clock.Advance(23 * time.Hour)
	tok = w.redeem(refreshForm(id, tok.RefreshToken))
	w.clock.Advance(time.Hour)
	wantError(t, w.postForm(oauth.PathToken, refreshForm(id, tok.RefreshToken)), http.StatusServiceUnavailable, "temporarily_unavailable")
	p.document("/client", nil)
	w.clock.Advance(10 * time.Minute)
	tok = w.redeem(refreshForm(id, tok.RefreshToken))
	// Taken down on purpose is another thing.
	p.serve("/client", http.NotFound)
	w.clock.Advance(5 * time.Minute)
	wantError(t, w.postForm(oauth.PathToken, refreshForm(id, tok.RefreshToken)), http.StatusUnauthorized, "invalid_client")
}

// 64 browsers at once, and reloads in between: one request.
func TestDocumentIsFetchedOnce(t *testing.T) {
	t.Parallel()
	w, p := newDocumentWorld(t)
	id := p.document("/client", nil)
	q := oauth.PathAuthorize + "?" + authorizeQuery(id, loopbackURI).Encode()
	var wg sync.WaitGroup
	for range 64 {
		wg.Go(func() {
			if resp := w.browser().get(q); resp.StatusCode != http.StatusOK {
				t.Errorf("status %d", resp.StatusCode)
			}
		})
	}
	wg.Wait()
	w.reload()
	wantPage(t, w.get(q), http.StatusOK, "")
	if n := p.requests("/client"); n != 1 {
		t.Errorf("%d requests", n)
	}
}

// One address cannot use up what everybody's documents are fetched with.
func TestDocumentFloodFromOneAddress(t *testing.T) {
	t.Parallel()
	w, p := newDocumentWorld(t)
	for i := range 100 {
		id := p.site.At("h"+string(rune('a'+i%26))+string(rune('a'+i/26))+".example", "/none")
		w.get(oauth.PathAuthorize + "?" + authorizeQuery(id, loopbackURI).Encode())
		w.postForm(oauth.PathToken, codeForm(id, "mcpac_x"))
	}
	if n := p.site.Requests(); n != 30 {
		t.Errorf("one address caused %d requests in a minute, want 30", n)
	}
	id := p.document("/client", nil)
	other := request(http.MethodGet, oauth.PathAuthorize+"?"+authorizeQuery(id, loopbackURI).Encode(), "")
	other.RemoteAddr = "198.51.100.9:4711"
	wantPage(t, w.do(other), http.StatusOK, "")
}

// What is announced is what there is (R3.7, R3.8).
func TestMetadataOfClientAuthentication(t *testing.T) {
	t.Parallel()
	type metadata struct {
		Documents  bool     `json:"client_id_metadata_document_supported"`
		Methods    []string `json:"token_endpoint_auth_methods_supported"`
		Algorithms []string `json:"token_endpoint_auth_signing_alg_values_supported"`
	}
	signing := func(c *gateway.Config) {
		c.Clients = []gateway.PreregisteredClient{{ID: "signing", RedirectURIs: []string{webURI}, JWKSURI: "https://client.example/keys"}}
	}
	for name, tt := range map[string]struct {
		edit            func(*gateway.Config)
		documents, keys bool
	}{
		"neither":           {func(*gateway.Config) {}, false, false},
		"documents":         {documentsOn(), true, true},
		"one client signs":  {signing, false, true},
		"some documents":    {documentsOn("claude.ai"), true, true},
		"one with a secret": {func(c *gateway.Config) { c.Clients = []gateway.PreregisteredClient{secretClient()} }, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := decode[metadata](t, newWorld(t, tt.edit).get(oauth.WellKnownServer))
			if m.Documents != tt.documents || slices.Contains(m.Methods, "private_key_jwt") != tt.keys || (len(m.Algorithms) > 0) != tt.keys {
				t.Errorf("got %+v", m)
			}
			if !slices.Contains(m.Methods, "none") || slices.Contains(m.Algorithms, "none") || slices.Contains(m.Algorithms, "HS256") {
				t.Errorf("got %+v", m)
			}
		})
	}
}
