// SPDX-License-Identifier: Apache-2.0

package storage

import (
	"bufio"
	"bytes"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/caddy-mcp/caddy-mcp-oauth/identity"
)

// TestRecordsOfEveryVersionAreRead reads what versions of this program wrote, kept
// in testdata/records.txt. Lines are only ever added to it: a release that changes
// what a record looks like adds its own, and a change that cannot read an old line
// signs out the users of everyone who upgrades.
func TestRecordsOfEveryVersionAreRead(t *testing.T) {
	t.Parallel()
	fixtures := readFixtures(t)
	tests := recordsOfEveryVersion()
	for name, want := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			raw, ok := fixtures[name]
			if !ok {
				t.Fatal("there is no such line")
			}
			want(t, raw)
		})
	}
	for name := range fixtures {
		if tests[name] == nil {
			t.Errorf("nothing reads the line %q", name)
		}
	}
}

// readFixtures returns the stored forms by their names.
func readFixtures(t *testing.T) map[string][]byte {
	t.Helper()
	file, err := os.ReadFile("testdata/records.txt")
	if err != nil {
		t.Fatal(err)
	}
	all := map[string][]byte{}
	for lines := bufio.NewScanner(bytes.NewReader(file)); lines.Scan(); {
		name, quoted, _ := strings.Cut(lines.Text(), ": ")
		if strings.HasPrefix(name, "#") {
			continue
		}
		raw, err := strconv.Unquote(quoted)
		if err != nil || all[name] != nil {
			t.Fatalf("line %q: %v", name, err)
		}
		all[name] = []byte(raw)
	}
	return all
}

// reads returns a test that a stored form is this record, and that writing it back
// changes no byte of it.
func reads[R Record](want *R) func(*testing.T, []byte) {
	return func(t *testing.T, raw []byte) {
		t.Helper()
		got, form, err := Decode[R](raw)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("it reads otherwise (-want +got):\n%s", diff)
		}
		again, err := form.Rewrite(got)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(raw), string(again)); diff != "" {
			t.Errorf("written back it differs (-before +after):\n%s", diff)
		}
	}
}

// recordsOfEveryVersion are the records of testdata/records.txt, by kind and by
// what was new in them. "first" is what version 1 of a record knew from its
// beginning.
func recordsOfEveryVersion() map[string]func(*testing.T, []byte) {
	const issuer = "https://a.example.com"
	octocat := identity.Identity{
		Upstream: "github", Kind: "github", ID: "583231", Login: "octocat", Name: "The Octocat",
		Email: "octocat@example.com", EmailVerified: true, Groups: []string{"acme", "acme/dev"},
	}
	client := Client{
		Issuer: issuer, ID: "client", Name: "Inspector", URI: "https://client.example.com",
		RedirectURIs: []string{"http://127.0.0.1/callback", "cursor://anysphere/callback"}, AuthMethod: "client_secret_post",
		SecretHash: Hash{1}, GrantTypes: []string{"authorization_code", "refresh_token"}, Scope: "mcp", ApplicationType: "native",
		SoftwareID: "inspector", SoftwareVersion: "1.2.3", CreatedAt: noon, ExpiresAt: noon,
	}
	registered := client
	registered.RegistrationHash = Hash{2}
	account := Account{Subject: "github:583231", Identity: octocat, CheckedAt: noon}
	counted := account
	counted.Token, counted.Revision = "v1.sealed", 7
	return map[string]func(*testing.T, []byte){
		"client first":                   reads(&client),
		"client with registration token": reads(&registered),
		"pending first": reads(&Pending{
			Issuer: issuer, ID: Hash{1}, Browser: Hash{2}, Upstream: "github", Verifier: "v1.sealed",
			Request: Authorization{
				ClientID: "client", RedirectURI: "http://127.0.0.1:4711/callback", RedirectURIGiven: true, State: "x\xffz",
				Challenge: "challenge", Resource: issuer + "/mcp", Scopes: []string{"mcp"},
			},
			Remember: Hash{3}, Flow: "flow", CreatedAt: noon, ExpiresAt: noon,
		}),
		"account first":                   reads(&account),
		"account with token and revision": reads(&counted),
		"grant first": reads(&Grant{
			Issuer: issuer, ID: "grant", Subject: "github:583231", ClientID: "client", Resource: issuer + "/mcp", Scopes: []string{"mcp"}, Identity: octocat,
			Code: Code{
				Hash: Hash{1}, Challenge: "challenge", RedirectURI: "http://127.0.0.1:4711/callback", RedirectURIGiven: true,
				ExpiresAt: noon, RedeemedAt: noon,
			},
			Refresh:   Refresh{Current: Hash{2}, Retired: []Retired{{Hash: Hash{3}, Nonce: []byte{1, 2, 255}, RetiredAt: noon}}},
			CreatedAt: noon, ExpiresAt: noon,
		}),
		"session first": reads(&Session{
			Issuer: issuer, ID: Hash{1}, Subject: "github:583231", Identity: octocat, CreatedAt: noon, IdleAt: noon, ExpiresAt: noon,
		}),
		"consent first": reads(&Consent{Issuer: issuer, ID: Hash{1}, Subject: "github:583231", CreatedAt: noon, ExpiresAt: noon}),
		"once first":    reads(&Once{Issuer: issuer, ID: Hash{1}, ExpiresAt: noon}),
		"key first": reads(&Key{
			Issuer: issuer, ID: "2026-03", KeyID: "kid", Public: []byte(`{"kty":"EC"}`), Private: "v1.sealed",
			CreatedAt: noon, SignsFrom: noon, ExpiresAt: noon,
		}),
	}
}
