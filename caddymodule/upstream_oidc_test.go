// SPDX-License-Identifier: Apache-2.0

package caddymodule

import (
	"encoding/json"
	"io"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/caddy-mcp/caddy-mcp-oauth/identity"
	"github.com/caddy-mcp/caddy-mcp-oauth/internal/testop"
	"github.com/caddy-mcp/caddy-mcp-oauth/policy"
	"github.com/caddy-mcp/caddy-mcp-oauth/upstream"
)

// withOIDC is a configuration with one OIDC upstream, whose block is given.
func withOIDC(block, allow string) string {
	return "{\n\tmcp_oauth {\n\t\toidc company {\n" + block + "\n\t\t}\n\t\tallow " + allow + "\n\t}\n}\nmcp.example.com " + gatewayLine
}

// TestOIDCAdapts fixes the names in JSON, which are public.
func TestOIDCAdapts(t *testing.T) {
	config := mustAdapt(t, withOIDC(`
			issuer https://sso.example.com/realms/company
			client_id gateway
			client_secret {env.OIDC_SECRET}
			scopes profile email
			scopes groups
			groups_claim realm_access.roles`, "group:ops"))
	var parsed struct {
		Apps struct {
			MCP struct {
				Upstreams []map[string]any `json:"upstreams"`
			} `json:"mcp_oauth"`
		} `json:"apps"`
	}
	if err := json.Unmarshal(config, &parsed); err != nil {
		t.Fatal(err)
	}
	want := []map[string]any{{
		"kind": "oidc", "name": "company", "issuer": "https://sso.example.com/realms/company",
		"client_id": "gateway", "client_secret": "{env.OIDC_SECRET}",
		"scopes": []any{"profile", "email", "groups"}, "groups_claim": "realm_access.roles",
	}}
	if diff := cmp.Diff(want, parsed.Apps.MCP.Upstreams); diff != "" {
		t.Errorf("upstreams (-want +got):\n%s", diff)
	}
}

// TestOIDCMistakesWhileAdapting are reported with the line they are in.
func TestOIDCMistakesWhileAdapting(t *testing.T) {
	const rest = "\n\t\t\tclient_id gateway"
	for name, tc := range map[string]struct{ config, says string }{
		"no name":           {strings.Replace(withOIDC("\t\t\tissuer https://a.example"+rest, "any"), "oidc company", "oidc", 1), "write oidc <name>"},
		"two names":         {strings.Replace(withOIDC("\t\t\tissuer https://a.example"+rest, "any"), "oidc company", "oidc company other", 1), `unexpected "other"`},
		"http":              {withOIDC("\t\t\tissuer http://a.example"+rest, "any"), "must be https"},
		"Entra for all":     {withOIDC("\t\t\tissuer https://login.microsoftonline.com/common/v2.0"+rest, "any"), "<directory (tenant) id>"},
		"template":          {withOIDC("\t\t\tissuer https://login.microsoftonline.com/{tenantid}/v2.0"+rest, "any"), "tenant's own identifier"},
		"issuer twice":      {withOIDC("\t\t\tissuer https://a.example\n\t\t\tissuer https://a.example"+rest, "any"), "issuer is given twice"},
		"secret in two":     {withOIDC("\t\t\tissuer https://a.example\n\t\t\tclient_secret TOPSECRET VALUE"+rest, "any"), "client_secret: there is an argument too many"},
		"unknown option":    {withOIDC("\t\t\tissuer https://a.example\n\t\t\tbase_url x"+rest, "any"), "client_id, client_secret, groups_claim, issuer, scopes"},
		"option with block": {withOIDC("\t\t\tissuer https://a.example {\n\t\t\t\tx\n\t\t\t}"+rest, "any"), "takes no block"},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := adapt(tc.config)
			if err == nil {
				t.Fatal("adapted without an error")
			}
			if !strings.Contains(err.Error(), tc.says) || !strings.Contains(err.Error(), "Caddyfile:") {
				t.Errorf("error %v, want one about %q, with its line", err, tc.says)
			}
			if strings.Contains(err.Error(), "TOPSECRET") {
				t.Errorf("the error tells a secret: %v", err)
			}
		})
	}
}

// TestOIDCMistakesWhileProvisioning are those that placeholders hide.
func TestOIDCMistakesWhileProvisioning(t *testing.T) {
	t.Setenv("OIDC_ISSUER", "https://login.microsoftonline.com/organizations/v2.0")
	t.Setenv("OIDC_SECRET", "TOP SECRET")
	const whole = "\t\t\tissuer https://a.example\n\t\t\tclient_id gateway\n"
	for name, tc := range map[string]struct{ block, allow, says string }{
		"no issuer":       {"\t\t\tclient_id gateway", "any", "issuer is missing"},
		"no client":       {"\t\t\tissuer https://a.example", "any", "client_id is missing"},
		"issuer":          {"\t\t\tissuer {env.OIDC_ISSUER}\n\t\t\tclient_id gateway", "any", "anybody can make one"},
		"unset":           {"\t\t\tissuer {env.OIDC_UNSET}\n\t\t\tclient_id gateway", "any", "{env.OIDC_UNSET} is not set"},
		"secret":          {whole + "\t\t\tclient_secret {env.OIDC_SECRET}", "any", "client_secret contains a blank"},
		"claim":           {whole + "\t\t\tgroups_claim a..b", "any", "groups_claim"},
		"rule of another": {whole, "org:acme", "org is a rule of github"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := provision(t, mustAdapt(t, withOIDC(tc.block, tc.allow)))
			if err == nil || !strings.Contains(err.Error(), tc.says) {
				t.Fatalf("error %v, want one about %q", err, tc.says)
			}
			if strings.Contains(err.Error(), "TOP SECRET") {
				t.Errorf("the error tells a secret: %v", err)
			}
		})
	}
}

// TestOIDCSignIn goes from a Caddyfile to an identity that a rule admits, at a real
// provider.
func TestOIDCSignIn(t *testing.T) {
	for name, offline := range map[string]bool{"looked at again": true, "not looked at again": false} {
		t.Run(name, func(t *testing.T) {
			idp := testop.Start(t, func(c *testop.Config) { c.GroupsClaim = "groups" })
			idp.SignIn(testop.Alice().Subject)
			t.Setenv("OIDC_SECRET", idp.ClientSecret())
			app, err := provision(t, mustAdapt(t, withOIDC(
				"\t\t\tissuer "+idp.Issuer()+"\n\t\t\tclient_id "+idp.ClientID()+"\n\t\t\tclient_secret {env.OIDC_SECRET}", "group:ops")))
			if err != nil {
				t.Fatal(err)
			}
			in := signInAt(t, app.upstream[0].(*OIDC), idp, offline)
			want := identity.Identity{
				Upstream: "company", Kind: "oidc", ID: "user-4711", Login: "alice", Name: "Alice Example",
				Email: "alice@example.com", EmailVerified: true, Groups: []string{"dev", "ops"},
			}
			if diff := cmp.Diff(want, in.Identity); diff != "" {
				t.Errorf("identity (-want +got):\n%s", diff)
			}
			if !app.sites[0].resource.Policy.Allows(in.Identity) {
				t.Error("alice is in the group and not admitted")
			}
			if got := in.Token.Refresh != ""; got != offline {
				t.Errorf("there is a refresh token: %t", got)
			}
		})
	}
}

// TestOIDCGuide loads every Caddyfile of the guide.
func TestOIDCGuide(t *testing.T) {
	blocks := fences(t, "../docs/oidc.md")
	if len(blocks) < 6 {
		t.Fatalf("%d blocks", len(blocks))
	}
	for _, block := range blocks {
		name, _, _ := strings.Cut(strings.SplitAfterN(block, "\t\toidc ", 2)[1], " ")
		t.Run(name, func(t *testing.T) { checkPublished(t, block) })
	}
}

func signInAt(t *testing.T, module *OIDC, idp *testop.Provider, offline bool) *upstream.SignIn {
	t.Helper()
	module.AskOffline(offline)
	up, err := module.Build(policy.Needs{}, slog.New(slog.NewTextHandler(io.Discard, nil)))
	if err != nil {
		t.Fatal(err)
	}
	if ref := module.Ref(); ref.Name != up.Name() || ref.Kind != up.Kind() {
		t.Errorf("the rules are about %+v, the upstream is %s of kind %s", ref, up.Name(), up.Kind())
	}
	const verifier, callback = "verifier-verifier-verifier-verifier-verifier", "https://mcp.example.com/callback/company"
	rd := up.(upstream.Redirector)
	to, err := rd.AuthCodeURL(t.Context(), upstream.AuthRequest{State: "s", Verifier: verifier, RedirectURI: callback})
	if err != nil {
		t.Fatal(err)
	}
	if asks := slices.Contains(rd.Scopes(), "offline_access"); asks != offline {
		t.Errorf("scopes %v", rd.Scopes())
	}
	back, err := idp.Click(t.Context(), to, testop.Alice().Subject)
	if err != nil {
		t.Fatal(err)
	}
	in, err := rd.Identify(t.Context(), back.Query(), verifier, callback)
	if err != nil {
		t.Fatal(err)
	}
	return in
}
