// SPDX-License-Identifier: Apache-2.0

package caddymodule

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddy-mcp/caddy-mcp-oauth/gateway"
)

// withOptions is a configuration with options in its global block.
func withOptions(options string) string {
	return "{\n\tmcp_oauth {\n\t\tgithub {\n\t\t\tclient_id a\n\t\t\tclient_secret {env.GITHUB}\n\t\t}\n\t\tallow any\n" + options +
		"\n\t}\n}\n\nmcp.example.com {\n\tmcp_gateway localhost:3000\n}\n"
}

const testKeys = `{"keys":[{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}]}`

func TestClientsAreResolved(t *testing.T) {
	t.Setenv("GITHUB", "github-secret")
	t.Setenv("LE_CHAT", "le-chat-secret-123")
	t.Setenv("HOST", "scripts.example")
	file := filepath.Join(t.TempDir(), "keys.json")
	if err := os.WriteFile(file, []byte(testKeys), 0o600); err != nil {
		t.Fatal(err)
	}
	config := withOptions(`
		client le-chat {
			secret {env.LE_CHAT}
			redirect_uri https://callback.mistral.ai/cb
		}
		client literal {
			redirect_uri https://{env.HOST}/cb http://127.0.0.1/cb
			jwks ` + "`" + testKeys + "`" + `
		}
		client file {
			redirect_uri http://localhost/cb
			jwks {file.` + file + `}
			grant authorization_code
		}
		client_id_documents claude.ai`)
	if err := validate(t, mustAdapt(t, config)); err != nil {
		t.Fatal(err)
	}
	a := &App{ClientIDDocuments: []string{"claude.ai"}, Clients: []Client{
		{ID: "le-chat", Secret: "{env.LE_CHAT}", RedirectURIs: []string{"https://{env.HOST}/cb"}},
		{ID: "file", JWKS: "{file." + file + "}", RedirectURIs: []string{"http://localhost/cb"}},
	}}
	var s settings
	if err := a.settleClients(&s); err != nil {
		t.Fatal(err)
	}
	if !s.documents.Enabled || len(s.documents.Domains) != 1 || s.clients[0].Secret != "le-chat-secret-123" ||
		s.clients[0].RedirectURIs[0] != "https://scripts.example/cb" || s.clients[1].JWKS != testKeys {
		t.Errorf("got %+v", s)
	}
	// What was resolved stays out of what the admin API shows.
	if a.Clients[0].Secret != "{env.LE_CHAT}" {
		t.Errorf("the secret is in the configuration: %+v", a.Clients[0])
	}
}

func TestClientsThatCannotBeLoaded(t *testing.T) {
	t.Setenv("GITHUB", "github-secret")
	t.Setenv("SHORT", "sesame")
	for name, tt := range map[string]struct{ options, want string }{
		"no secret":    {"client a {\nsecret {env.NOT_SET}\nredirect_uri https://a.example/cb\n}", "client a: client secret: {env.NOT_SET} is not set"},
		"short secret": {"client a {\nsecret {env.SHORT}\nredirect_uri https://a.example/cb\n}", "client a: secret: shorter than 16"},
		"two proofs":   {"client a {\nsecret {env.GITHUB}{env.GITHUB}\njwks_uri https://a.example/k\nredirect_uri https://a.example/cb\n}", "exclude each other"},
		"bad keys":     {"client a {\njwks `{\"keys\":[]}`\nredirect_uri https://a.example/cb\n}", "client a: jwks: "},
		"no such file": {"client a {\njwks {file./does/not/exist}\nredirect_uri https://a.example/cb\n}", "jwks: {file./does/not/exist} is not set"},
		"http keys":    {"client a {\njwks_uri http://a.example/k\nredirect_uri https://a.example/cb\n}", "jwks_uri must begin with https"},
		"bad redirect": {"client a {\nredirect_uri {env.SHORT}\n}", "client a: sesame: redirect_uri must be an absolute URI"},
		"no code":      {"client a {\ngrant refresh_token\nredirect_uri https://a.example/cb\n}", "authorization_code is missing"},
		"id of ours":   {"client mcpc_1 {\nredirect_uri https://a.example/cb\n}", "register themselves"},
	} {
		t.Run(name, func(t *testing.T) {
			err := validate(t, mustAdapt(t, withOptions(tt.options)))
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("got %v, want %q", err, tt.want)
			}
			if strings.Contains(err.Error(), "github-secret") {
				t.Errorf("the error shows a secret: %v", err)
			}
		})
	}
	// JSON is public too, and passes no parser of ours.
	for _, c := range [][]Client{{{}}, {{ID: "a"}}, {{ID: "a", RedirectURIs: []string{"https://a.example/"}, GrantTypes: []string{"implicit"}}}} {
		a := &App{Clients: c}
		if err := a.settleClients(new(settings)); err == nil {
			t.Errorf("%+v was accepted", c)
		}
	}
	twice := Client{ID: "a", RedirectURIs: []string{"https://a.example/"}}
	if err := (&App{Clients: []Client{twice, twice}}).settleClients(new(settings)); err == nil || !strings.Contains(err.Error(), "twice") {
		t.Errorf("the same client twice: %v", err)
	}
	for _, bad := range [][]string{{"on", "claude.ai"}, {"off", "on"}, {"Claude.ai"}, {""}} {
		if err := (&App{ClientIDDocuments: bad}).settleClients(new(settings)); err == nil {
			t.Errorf("client_id_documents %q was accepted", bad)
		}
	}
}

func TestDocumentsOf(t *testing.T) {
	for _, tt := range []struct {
		values []string
		want   string
	}{
		{nil, "{true []}"}, {[]string{"on"}, "{true []}"}, {[]string{"off"}, "{false []}"}, {[]string{"a.example", "b.example"}, "{true [a.example b.example]}"},
	} {
		var got gateway.ClientDocuments
		got, err := documentsOf(tt.values)
		if err != nil || fmt.Sprint(got) != tt.want {
			t.Errorf("%q: %v, %v, want %s", tt.values, got, err, tt.want)
		}
	}
}

// What a running Caddy announces follows the options, across a reload too.
func TestAnnouncedClients(t *testing.T) {
	s, b := newSite(t), newBackend(t, nil)
	const path = "/.well-known/oauth-authorization-server"
	load := func(options string) string {
		t.Helper()
		s.load(s.config(options, "mcp_gateway /mcp "+b.addr()))
		return s.wantStatus(http.StatusOK, http.MethodGet, path, "").body
	}
	if doc := load(""); !strings.Contains(doc, `"client_id_metadata_document_supported":true`) || !strings.Contains(doc, `"private_key_jwt"`) ||
		!strings.Contains(doc, `"token_endpoint_auth_signing_alg_values_supported":["RS256","PS256","ES256","EdDSA"]`) {
		t.Errorf("by default: %s", doc)
	}
	if doc := load("client_id_documents off"); strings.Contains(doc, "client_id_metadata_document_supported") || strings.Contains(doc, "private_key_jwt") {
		t.Errorf("off: %s", doc)
	}
	if doc := load("client_id_documents off\nclient a {\nredirect_uri https://a.example/cb\njwks_uri https://a.example/k\n}"); !strings.Contains(doc, `"private_key_jwt"`) {
		t.Errorf("with a client that signs: %s", doc)
	}
}
