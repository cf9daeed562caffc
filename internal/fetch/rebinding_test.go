// SPDX-License-Identifier: Apache-2.0

package fetch_test

import (
	"net/netip"
	"testing"

	"github.com/caddy-mcp/caddy-mcp-oauth/internal/fetch"
)

func addrs(list ...string) []netip.Addr {
	var out []netip.Addr
	for _, s := range list {
		out = append(out, netip.MustParseAddr(s))
	}
	return out
}

// DNS rebinding: the name stands for a public address when somebody checks it, and
// for this machine when it is connected to. The address that counts is the
// connected one (M-35).
func TestDNSRebinding(t *testing.T) {
	t.Parallel()
	s := newSite(t, jsonHandler(`{"secret":"of this machine"}`))
	n := namesOf(map[string][][]netip.Addr{"client.example": {addrs("93.184.215.14"), addrs("127.0.0.1")}})
	resolver := n.Resolver()
	first, err := resolver.LookupNetIP(t.Context(), "ip4", "client.example")
	if err != nil || len(first) != 1 || first[0].Unmap() != addrs("93.184.215.14")[0] {
		t.Fatalf("the checker saw %v, %v", first, err)
	}
	c := fetch.New(fetch.Options{RootCAs: s.Roots, Resolver: resolver})
	wantFailure(t, errOf(c.Get(t.Context(), s.url("/c"), 100)), fetch.ReasonRefused, true)
	if n := s.Conns(); n != 0 {
		t.Errorf("%d connections", n)
	}
	// The same client, the same name, where loopback is allowed: the site is there.
	if _, err := s.client(n).Get(t.Context(), s.url("/c"), 100); err != nil {
		t.Errorf("the test proves nothing: %v", err)
	}
}

// Several addresses at once: each of them is checked, none is connected to.
func TestNameWithManySpecialAddresses(t *testing.T) {
	t.Parallel()
	s := newSite(t, jsonHandler(`{}`))
	n := namesOf(map[string][][]netip.Addr{"client.example": {addrs(
		"10.0.0.1", "127.0.0.1", "169.254.169.254", "::1", "fd00::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1",
	)}})
	c := fetch.New(fetch.Options{RootCAs: s.Roots, Resolver: n.Resolver()})
	wantFailure(t, errOf(c.Get(t.Context(), s.url("/c"), 100)), fetch.ReasonRefused, true)
	if n := s.Conns(); n != 0 {
		t.Errorf("%d connections", n)
	}
}

// Mapping a network by asking: an address that may not be asked, one where nobody
// listens and a name that does not exist give the same answer.
func TestProbingLearnsNothing(t *testing.T) {
	t.Parallel()
	s := newSite(t, jsonHandler(`{}`))
	n := namesOf(map[string][][]netip.Addr{"private.example": {addrs("10.0.0.1")}, "loopback.example": {addrs("127.0.0.1")}})
	c := fetch.New(fetch.Options{RootCAs: s.Roots, Resolver: n.Resolver()})
	for u, reason := range map[string]fetch.Reason{
		"https://private.example/c":                fetch.ReasonRefused,
		"https://loopback.example:" + s.Port + "/": fetch.ReasonRefused, // something is there
		"https://loopback.example:1025/":           fetch.ReasonRefused, // nothing is there
		"https://127.0.0.1:" + s.Port + "/c":       fetch.ReasonRefused,
		"https://[::1]:" + s.Port + "/c":           fetch.ReasonRefused,
		"https://nobody.example/c":                 fetch.ReasonUnreachable,
	} {
		wantFailure(t, errOf(c.Get(t.Context(), u, 100)), reason, true)
	}
}
