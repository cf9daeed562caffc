// SPDX-License-Identifier: Apache-2.0

package token_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/caddy-mcp/caddy-mcp-oauth/token"
)

func TestAccessTokenCarriesItsClaims(t *testing.T) {
	t.Parallel()
	r := token.NewRing(key(1))
	want := token.Access{
		Issuer: "https://h", GrantID: "g", Subject: "github:1", ClientID: "c",
		Resource: "https://h/mcp", Scopes: []string{"mcp", "admin"}, ExpiresAt: time.Unix(1_800_000_000, 0),
	}
	s, err := r.SealAccess(want)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(s, "mcpat_") {
		t.Errorf("token %q lacks the prefix", s)
	}
	got, err := r.OpenAccess(s)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// Codes, refresh tokens and access tokens are refused wherever another one is
// expected, also with the prefix swapped.
func TestKindsOfTokensAreNotInterchangeable(t *testing.T) {
	t.Parallel()
	r := token.NewRing(key(1))
	access, _ := r.SealAccess(token.Access{GrantID: "g"})
	values := map[string]string{"access": access, "code": r.NewCode("g"), "refresh": r.NewRefresh("g")}
	parsers := map[string]func(string) error{
		"access":  func(s string) error { _, err := r.OpenAccess(s); return err },
		"code":    func(s string) error { _, err := r.ParseCode(s); return err },
		"refresh": func(s string) error { _, err := r.ParseRefresh(s); return err },
	}
	prefixes := map[string]string{"access": "mcpat_", "code": "mcpac_", "refresh": "mcprt_"}
	for made, v := range values {
		for expected, parse := range parsers {
			err := parse(v)
			if (err == nil) != (made == expected) {
				t.Errorf("%s token parsed as %s: %v", made, expected, err)
			}
			if made != expected {
				swapped := prefixes[expected] + strings.TrimPrefix(v, prefixes[made])
				if parse(swapped) == nil {
					t.Errorf("%s token with the prefix of %s is accepted", made, expected)
				}
			}
		}
	}
}

// Somebody who knows a grant id, from a log of their own client say, makes up
// refresh tokens for it: they end before the store is asked, and do not count as
// reuse, which would let them log the user out.
func TestForgedRefreshTokenForAKnownGrant(t *testing.T) {
	t.Parallel()
	r := token.NewRing(key(1))
	genuine := r.NewRefresh("victim")
	_, secret, _ := strings.Cut(genuine, ".")
	for _, forged := range []string{
		"mcprt_other." + secret,
		"mcprt_victim." + strings.Repeat("A", len(secret)),
		"mcprt_victim.", "mcprt_.", "mcprt_", "mcprt_victim", genuine + "A", genuine[:len(genuine)-1],
		token.NewRing(key(2)).NewRefresh("victim"),
	} {
		if id, err := r.ParseRefresh(forged); err == nil {
			t.Errorf("forged %q is taken for grant %q", forged, id)
		}
	}
	if id, err := r.ParseRefresh(genuine); err != nil || id != "victim" {
		t.Errorf("ParseRefresh = %q, %v", id, err)
	}
}

// A token file often ends with a line break. The decoder would skip it and the
// token would open, but its hash would be another one: the store would see a
// secret it never issued and take it for reuse.
func TestLineEndsAreNotPartOfAToken(t *testing.T) {
	t.Parallel()
	r := token.NewRing(key(1))
	access, _ := r.SealAccess(token.Access{GrantID: "g"})
	refresh, code, mac := r.NewRefresh("g"), r.NewCode("g"), r.MAC(token.PurposeSession, "x")
	for _, end := range []string{"\n", "\r", "\r\n"} {
		if _, err := r.OpenAccess(access + end); err == nil {
			t.Errorf("access token followed by %q is accepted", end)
		}
		if _, err := r.ParseRefresh(refresh + end); err == nil {
			t.Errorf("refresh token followed by %q is accepted", end)
		}
		if _, err := r.ParseCode(code[:20] + end + code[20:]); err == nil {
			t.Errorf("code with %q inside is accepted", end)
		}
		if r.CheckMAC(token.PurposeSession, mac+end, "x") {
			t.Errorf("MAC followed by %q is accepted", end)
		}
	}
}

func TestSuccessorIsTheSameForTheSameQuestion(t *testing.T) {
	t.Parallel()
	r := token.NewRing(key(1))
	presented, nonce := r.NewRefresh("g"), token.NewNonce()
	first := r.Successors("g", presented, nonce)[0]
	if again := r.Successors("g", presented, nonce)[0]; again != first {
		t.Error("asking again gives another successor")
	}
	if id, err := r.ParseRefresh(first); err != nil || id != "g" {
		t.Errorf("the successor does not parse: %q, %v", id, err)
	}
	for name, other := range map[string]string{
		"other nonce":     r.Successors("g", presented, token.NewNonce())[0],
		"other presented": r.Successors("g", r.NewRefresh("g"), nonce)[0],
		"other grant":     r.Successors("h", presented, nonce)[0],
		"other key":       token.NewRing(key(2)).Successors("g", presented, nonce)[0],
	} {
		if _, secret, _ := strings.Cut(other, "."); strings.HasSuffix(first, secret) {
			t.Errorf("%s gives the same successor", name)
		}
	}
}

// A repeat may come just after the operator rotated the encryption key: the old
// key is still in the ring and derives what was answered the first time.
func TestSuccessorSurvivesKeyRotation(t *testing.T) {
	t.Parallel()
	before := token.NewRing(key(1))
	presented, nonce := before.NewRefresh("g"), token.NewNonce()
	answered := before.Successors("g", presented, nonce)[0]
	after := token.NewRing(key(2), key(1)).Successors("g", presented, nonce)
	if len(after) != 2 || after[1] != answered {
		t.Errorf("Successors = %q, want the first answer %q among them", after, answered)
	}
}

func TestRandomValuesAreLongAndDistinct(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for range 1000 {
		for _, s := range []string{token.NewClientID(), token.NewClientSecret(), token.NewSecret(), token.NewGrantID(), token.NewFlowID()} {
			if seen[s] {
				t.Fatalf("%q was made twice", s)
			}
			seen[s] = true
			if strings.ContainsAny(s, ":%+/= ") {
				t.Fatalf("%q has a character that clients send unencoded in Basic credentials", s)
			}
		}
	}
	if n := len(token.NewSecret()); n != 43 {
		t.Errorf("NewSecret has %d characters, a PKCE verifier needs 43", n)
	}
}

func BenchmarkOpenAccess(b *testing.B) {
	r := token.NewRing(key(1))
	s, _ := r.SealAccess(token.Access{
		Issuer: "https://mcp.example.com", GrantID: token.NewGrantID(), Subject: "github:583231",
		ClientID: token.NewClientID(), Resource: "https://mcp.example.com/mcp", Scopes: []string{"mcp"},
		ExpiresAt: time.Unix(1_800_000_000, 0),
	})
	forged := s[:len(s)-8] + "AAAAAAAA"
	b.Run("genuine", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := r.OpenAccess(s); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("forged", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := r.OpenAccess(forged); err == nil {
				b.Fatal("accepted")
			}
		}
	})
}
