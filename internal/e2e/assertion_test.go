// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"

	"github.com/caddy-mcp/caddy-mcp-oauth/internal/testmcp"
)

const assertionHeader = "X-Mcp-Jwt-Assertion"

// asserted is what a backend reads in an assertion that it has verified.
type asserted struct {
	Issuer   string   `json:"iss"`
	Audience string   `json:"aud"`
	Subject  string   `json:"sub"`
	Username string   `json:"preferred_username"`
	Email    string   `json:"email"`
	Groups   []string `json:"groups"`
	ClientID string   `json:"client_id"`
	Scope    string   `json:"scope"`
	IssuedAt int64    `json:"iat"`
	Expires  int64    `json:"exp"`
}

// assertionOf calls the resource and returns the one assertion that the backend got.
func assertionOf(t *testing.T, g *gateway, backend *testmcp.Scripted, access string) string {
	t.Helper()
	if !usable(t, g, access) {
		t.Fatal("refused")
	}
	got, _ := backend.Last()
	values := got.Header[assertionHeader]
	if len(values) != 1 {
		t.Fatalf("the backend got %d assertions: %q", len(values), values)
	}
	return values[0]
}

// publishedKeys are those of the issuer's metadata, as a backend fetches them.
func publishedKeys(t *testing.T, g *gateway) (*jose.JSONWebKeySet, string) {
	t.Helper()
	uri, _ := metadata(t, g)["jwks_uri"].(string)
	if uri != g.origin+"/jwks" {
		t.Fatalf("jwks_uri %q", uri)
	}
	resp, err := bearer(t.Context(), http.MethodGet, uri, "", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	raw := readAll(t, resp)
	var set jose.JSONWebKeySet
	if err := json.Unmarshal([]byte(raw), &set); err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %d %v", uri, resp.StatusCode, err)
	}
	for _, key := range set.Keys {
		if !key.IsPublic() || !key.Valid() {
			t.Errorf("key %s is not a public one", key.KeyID)
		}
	}
	return &set, raw
}

// verified checks an assertion against the keys that the gateway publishes now.
func verified(t *testing.T, g *gateway, compact string) (kid string, claims asserted) {
	t.Helper()
	jws, err := jose.ParseSignedCompact(compact, []jose.SignatureAlgorithm{jose.ES256})
	if err != nil {
		t.Fatalf("parse: %v", err)
	}
	header := jws.Signatures[0].Protected
	if typ := header.ExtraHeaders[jose.HeaderType]; typ != "mcp-identity+jwt" {
		t.Errorf("typ %v", typ)
	}
	set, raw := publishedKeys(t, g)
	keys := set.Key(header.KeyID)
	if len(keys) != 1 {
		t.Fatalf("%d published keys have the id %q:\n%s", len(keys), header.KeyID, raw)
	}
	payload, err := jws.Verify(keys[0])
	if err != nil {
		t.Fatalf("verify: %v", err)
	}
	if err := json.Unmarshal(payload, &claims); err != nil {
		t.Fatal(err)
	}
	return header.KeyID, claims
}

// The backend verifies who calls with nothing but the site's address. Two resources of
// one site are told of the same person in assertions that are not interchangeable.
func TestBackendVerifiesWhoCalls(t *testing.T) {
	backend, other := &testmcp.Scripted{}, &testmcp.Scripted{}
	for _, b := range []*testmcp.Scripted{backend, other} {
		b.Always(testmcp.JSON(http.StatusOK, "{}"))
	}
	g := startGateway(t, config{
		backend: serveBackend(t, backend), gateway: []string{"allow org:github"},
		after: []string{"mcp_gateway /ops " + serveBackend(t, other) + " {", "\tallow user:octocat", "}"},
	})
	ops := *g
	ops.url = g.origin + "/ops"
	for _, at := range []struct {
		*gateway
		backend *testmcp.Scripted
	}{{g, backend}, {&ops, other}} {
		before := time.Now().Add(-time.Second).Unix()
		set := signInSet(t, at.gateway)
		_, got := verified(t, at.gateway, assertionOf(t, at.gateway, at.backend, set.Access))
		if got.IssuedAt < before || got.IssuedAt > time.Now().Unix() || got.Expires-got.IssuedAt != 300 {
			t.Errorf("issued at %d, expires at %d", got.IssuedAt, got.Expires)
		}
		want := asserted{
			Issuer: g.origin, Audience: at.url, Subject: octocatSubject, Username: "octocat", Email: "octocat@github.example",
			Groups: got.Groups, ClientID: set.form.Get("client_id"), Scope: "mcp offline_access",
			IssuedAt: got.IssuedAt, Expires: got.Expires,
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("claims for %s (-want +got):\n%s", at.url, diff)
		}
		if request, _ := at.backend.Last(); strings.Join(got.Groups, ",") != request.Header.Get("X-Forwarded-Groups") ||
			at.gateway == g && len(got.Groups) == 0 {
			t.Errorf("groups %q, and %q in the plain header", got.Groups, request.Header.Get("X-Forwarded-Groups"))
		}
	}
}

// A reload, an orderly restart and a power cut change nothing for a backend that has
// the keys in its cache: the same one signs, and what it signed before is still good.
func TestSigningKeySurvivesReloadAndRestart(t *testing.T) {
	c := config{adminAPI: true, before: []string{"log"}}
	g, backend, token := startScripted(t, c)
	c.backend = g.backend
	backend.Always(testmcp.JSON(http.StatusOK, "{}"))
	first := assertionOf(t, g, backend, token)
	kid, _ := verified(t, g, first)
	_, keys := publishedKeys(t, g)
	for _, step := range []struct {
		name string
		do   func()
	}{
		{"reload", func() {
			c.gateway = []string{`name "Renamed"`}
			g.configure(c)
			if err := g.reload(); err != nil {
				t.Fatal(err)
			}
		}},
		{"restart", func() { g.stop(); g.start() }},
		{"power cut", func() { g.kill(); g.start() }},
	} {
		step.do()
		if got, _ := verified(t, g, assertionOf(t, g, backend, token)); got != kid {
			t.Errorf("after the %s another key signs: %s, before %s", step.name, got, kid)
		}
		if got, _ := verified(t, g, first); got != kid {
			t.Errorf("after the %s an older assertion has key %s", step.name, got)
		}
		if _, now := publishedKeys(t, g); now != keys {
			t.Errorf("after the %s other keys are published:\n%s\nbefore:\n%s", step.name, now, keys)
		}
	}
	g.mustLogTimes(t, "signing key made", 1)
	for _, payload := range []string{first, strings.Split(first, ".")[2]} {
		if strings.Contains(g.log.String(), payload) {
			t.Error("an assertion is in the log")
		}
	}
}

// Attack: the client brings an assertion along, in any spelling. The backend sees the
// gateway's own and no other, or none where identity headers are off.
func TestAssertionOfTheClientIsDropped(t *testing.T) {
	for name, tc := range map[string]struct {
		gateway []string
		want    int
	}{
		"identity headers on":  {nil, 1},
		"identity headers off": {[]string{"identity_headers off"}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			g, backend, token := startScripted(t, config{gateway: tc.gateway, options: []string{
				"servers {", "\texpected_underscore_headers X_Mcp_Jwt_Assertion", "}",
			}})
			backend.Always(testmcp.JSON(http.StatusOK, "{}"))
			forged := "eyJhbGciOiJub25lIn0.eyJzdWIiOiJnaXRodWI6MSJ9."
			resp, err := bearer(t.Context(), http.MethodPost, g.url, token, []byte(`{}`), http.Header{
				assertionHeader: {forged, forged}, "x-mcp-jwt-assertion": {forged}, "X_Mcp_Jwt_Assertion": {forged},
				"Connection": {assertionHeader},
			})
			if err != nil {
				t.Fatal(err)
			}
			if text := readAll(t, resp); resp.StatusCode != http.StatusOK {
				t.Fatalf("%d %s", resp.StatusCode, text)
			}
			got, _ := backend.Last()
			if n := len(got.Header[assertionHeader]); n != tc.want {
				t.Errorf("the backend got %d assertions, want %d", n, tc.want)
			}
			for name, values := range got.Header {
				if strings.Contains(strings.Join(values, "\n"), forged) {
					t.Errorf("the forged one arrived in %s", name)
				}
			}
			if tc.want > 0 {
				verified(t, g, got.Header.Get(assertionHeader))
			}
		})
	}
}
