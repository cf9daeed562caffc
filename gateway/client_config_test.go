// SPDX-License-Identifier: Apache-2.0

package gateway_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/caddy-mcp/caddy-mcp-oauth/gateway"
	"github.com/caddy-mcp/caddy-mcp-oauth/oauth"
)

const configuredSecret = "the-secret-of-the-operator"

func secretClient() gateway.PreregisteredClient {
	return gateway.PreregisteredClient{ID: "le-chat", Name: "Le Chat", Secret: configuredSecret, RedirectURIs: []string{webURI, loopbackURI}}
}

func configured(list ...gateway.PreregisteredClient) func(*gateway.Config) {
	return func(c *gateway.Config) { c.Clients = list }
}

// Clients the operator wrote down, each with its way to prove itself.
func TestConfiguredClients(t *testing.T) {
	t.Parallel()
	keys, err := json.Marshal(keySet("rsa"))
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		client gateway.PreregisteredClient
		prove  func(*world, string, url.Values) (url.Values, []string)
		wrong  []func(*world, string, url.Values) (url.Values, []string)
	}{
		"secret in the body": {
			secretClient(),
			func(_ *world, _ string, f url.Values) (url.Values, []string) {
				return with(f, "client_secret", configuredSecret), nil
			},
			[]func(*world, string, url.Values) (url.Values, []string){
				func(_ *world, _ string, f url.Values) (url.Values, []string) { return f, nil },
				func(_ *world, _ string, f url.Values) (url.Values, []string) {
					return with(f, "client_secret", flip(configuredSecret)), nil
				},
			},
		},
		"secret in the header": {
			secretClient(),
			func(_ *world, id string, f url.Values) (url.Values, []string) {
				return with(f, "client_id", ""), []string{"Authorization", basic(id, configuredSecret)}
			},
			[]func(*world, string, url.Values) (url.Values, []string){
				func(_ *world, id string, f url.Values) (url.Values, []string) {
					return f, []string{"Authorization", basic(id, "x")}
				},
			},
		},
		"public": {
			gateway.PreregisteredClient{ID: "scripts", RedirectURIs: []string{loopbackURI}},
			func(_ *world, _ string, f url.Values) (url.Values, []string) { return f, nil }, nil,
		},
		"keys": {
			gateway.PreregisteredClient{ID: "signer", RedirectURIs: []string{loopbackURI}, JWKS: string(keys)},
			func(w *world, id string, f url.Values) (url.Values, []string) {
				return asserted(f, w.assertion(id, nil)), nil
			},
			[]func(*world, string, url.Values) (url.Values, []string){
				func(_ *world, _ string, f url.Values) (url.Values, []string) { return f, nil },
				func(w *world, id string, f url.Values) (url.Values, []string) {
					return asserted(f, w.assertionBy("rsa2", "RS256", id, nil)), nil
				},
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, configured(tt.client))
			rec := w.observed()
			id := tt.client.ID
			b := w.browser()
			q := authorizeQuery(id, loopbackURI)
			page := wantPage(t, b.get(oauth.PathAuthorize+"?"+q.Encode()), http.StatusOK, "")
			if !strings.Contains(page, "Registered by this server’s operator") || strings.Contains(page, "Unverified") {
				t.Errorf("the page does not say who registered it:\n%s", page)
			}
			f := codeForm(id, b.code(q))
			for _, wrong := range tt.wrong {
				bad, header := wrong(w, id, f)
				wantError(t, w.postForm(oauth.PathToken, bad, header...), http.StatusUnauthorized, "invalid_client")
			}
			good, header := tt.prove(w, id, f)
			tok := w.redeem(good, header...)
			w.wantCall("/mcp", tok.AccessToken, http.StatusOK)
			again, header := tt.prove(w, id, refreshForm(id, tok.RefreshToken))
			w.redeem(again, header...)
			if rec.count("CreateClient") != 0 || strings.Contains(w.log.String(), configuredSecret) || strings.Contains(rec.atRest(), configuredSecret) {
				t.Error("the client or its secret was written down")
			}
		})
	}
}

// The operator's word counts: it beats what is published at the same address, and
// works where documents are not accepted otherwise (R4.11).
func TestConfiguredClientBeatsItsDocument(t *testing.T) {
	t.Parallel()
	p := newPublisher(t)
	id := p.document("/client.json", members{"client_name": "Mallory", "redirect_uris": []string{"https://evil.example/cb"}})
	w := newWorld(t, configured(gateway.PreregisteredClient{ID: id, Name: "Approved", RedirectURIs: []string{loopbackURI}}))
	w.fetchWith(p.options())
	page := wantPage(t, w.get(oauth.PathAuthorize+"?"+authorizeQuery(id, loopbackURI).Encode()), http.StatusOK, "")
	if !strings.Contains(page, "Approved") || strings.Contains(page, "Mallory") {
		t.Errorf("the page shows the document:\n%s", page)
	}
	wantPage(t, w.get(oauth.PathAuthorize+"?"+authorizeQuery(id, "https://evil.example/cb").Encode()), http.StatusBadRequest, "redirect_uri_mismatch")
	w.redeem(codeForm(id, w.browser().code(authorizeQuery(id, loopbackURI))))
	if p.site.Conns() != 0 {
		t.Error("the document was fetched")
	}
}

// Errors before approval, and a denial, go back to a client the operator knows;
// anybody else's website gets nothing that the user did not decide (decision 9).
func TestErrorsOfConfiguredClientsRedirect(t *testing.T) {
	t.Parallel()
	w := newWorld(t, configured(secretClient()))
	stranger := w.register(webURI)
	for name, override := range map[string][]string{
		"invalid_request": {"code_challenge", ""}, "unsupported_response_type": {"response_type", "token"}, "invalid_target": {"resource", "https://x.example/mcp"},
	} {
		bad := oauth.PathAuthorize + "?" + authorizeQuery("le-chat", webURI, override...).Encode()
		loc := location(t, w.get(bad))
		wantOnce(t, loc, map[string]string{"error": name, "error_description": "*", "state": "client-state"})
		if !strings.HasPrefix(loc.String(), webURI+"?") {
			t.Errorf("%s: sent to %s", name, loc)
		}
		wantPage(t, w.get(oauth.PathAuthorize+"?"+authorizeQuery(stranger, webURI, override...).Encode()), http.StatusBadRequest, name)
	}
	// An address it did not register is nobody's.
	wantPage(t, w.get(oauth.PathAuthorize+"?"+authorizeQuery("le-chat", "https://evil.example/cb", "response_type", "x").Encode()),
		http.StatusBadRequest, "redirect_uri_mismatch")
	loc := location(t, w.browser().consent(authorizeQuery("le-chat", webURI), "deny"))
	wantOnce(t, loc, map[string]string{"error": "access_denied", "error_description": "*", "state": "client-state"})
	wantPage(t, w.browser().consent(authorizeQuery(stranger, webURI), "deny"), http.StatusOK, "access_denied")
}

// A client that is removed from the configuration is gone at the next reload, with
// its grants; a changed one has to be agreed to again.
func TestReloadedClients(t *testing.T) {
	t.Parallel()
	w := newWorld(t, configured(secretClient()))
	b := w.browser()
	f := with(codeForm("le-chat", b.code(authorizeQuery("le-chat", loopbackURI))), "client_secret", configuredSecret)
	tok := w.redeem(f)
	action, fields := b.open(authorizeQuery("le-chat", loopbackURI))
	changed := secretClient()
	changed.Name = "Something else"
	configured(changed)(&w.config)
	w.reload()
	wantPage(t, b.approve(action, fields), http.StatusBadRequest, "flow_expired")
	w.redeem(with(refreshForm("le-chat", tok.RefreshToken), "client_secret", configuredSecret))
	configured()(&w.config)
	w.reload()
	wantPage(t, b.approve(action, fields), http.StatusBadRequest, "unknown_client")
	wantError(t, w.postForm(oauth.PathToken, with(refreshForm("le-chat", tok.RefreshToken), "client_secret", configuredSecret)),
		http.StatusUnauthorized, "invalid_client")
}

func TestInvalidConfiguredClients(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	edit := func(f func(*gateway.PreregisteredClient)) gateway.PreregisteredClient {
		c := secretClient()
		f(&c)
		return c
	}
	for name, tt := range map[string]struct {
		list []gateway.PreregisteredClient
		want string
	}{
		"twice":              {[]gateway.PreregisteredClient{secretClient(), secretClient()}, "twice"},
		"no id":              {[]gateway.PreregisteredClient{edit(func(c *gateway.PreregisteredClient) { c.ID = "" })}, "id is missing"},
		"odd id":             {[]gateway.PreregisteredClient{edit(func(c *gateway.PreregisteredClient) { c.ID = "a b" })}, "visible ASCII"},
		"id of ours":         {[]gateway.PreregisteredClient{edit(func(c *gateway.PreregisteredClient) { c.ID = "mcpc_1" })}, "register themselves"},
		"id with a colon":    {[]gateway.PreregisteredClient{edit(func(c *gateway.PreregisteredClient) { c.ID = "a:b" })}, "letters, digits"},
		"short secret":       {[]gateway.PreregisteredClient{edit(func(c *gateway.PreregisteredClient) { c.Secret = "hunter2" })}, "shorter than 16"},
		"odd secret":         {[]gateway.PreregisteredClient{edit(func(c *gateway.PreregisteredClient) { c.Secret = "sesame sesame sesame" })}, "visible ASCII"},
		"no redirect":        {[]gateway.PreregisteredClient{edit(func(c *gateway.PreregisteredClient) { c.RedirectURIs = nil })}, "redirect_uri is missing"},
		"bad redirect":       {[]gateway.PreregisteredClient{edit(func(c *gateway.PreregisteredClient) { c.RedirectURIs = []string{"http://a.example/"} })}, "http only for"},
		"two proofs":         {[]gateway.PreregisteredClient{edit(func(c *gateway.PreregisteredClient) { c.JWKSURI = "https://a.example/k" })}, "exclude each other"},
		"bad keys":           {[]gateway.PreregisteredClient{edit(func(c *gateway.PreregisteredClient) { c.Secret, c.JWKS = "", "{}" })}, "jwks"},
		"keys without https": {[]gateway.PreregisteredClient{edit(func(c *gateway.PreregisteredClient) { c.Secret, c.JWKSURI = "", "http://a.example/k" })}, "https"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := w.config
			cfg.Clients = tt.list
			_, err := gateway.New(w.state, cfg)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("got %v, want %q", err, tt.want)
			}
			if s := tt.list[0].Secret; s != "" && strings.Contains(err.Error(), s) {
				t.Errorf("the error shows the secret: %v", err)
			}
		})
	}
}
