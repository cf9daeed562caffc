// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"net/url"
	"strings"
	"testing"

	"github.com/caddy-mcp/caddy-mcp-oauth/token"
)

func bindingFor(subject string) sessionBinding {
	return sessionBinding{ring: token.NewRing(token.Key{1}), token: &liveToken{
		grant: &liveGrant{subject: subject, clientID: "mcpc_test", resource: testIssuer + "/mcp"},
	}}
}

// Whatever URI a backend names: if it is signed, it stays on this site, the client
// it was given to gets in with it and the backend reads its own query again, and
// nobody else gets in.
func FuzzLegacyEndpoint(f *testing.F) {
	for _, uri := range []string{
		"/messages?sessionId=1", "?sessionid=1", "messages/../x?a=%20+&b", "http://10.0.0.7:3000/m?x=1", "//evil/x?sessionId=1",
		"/m?", "/m?&&", "/m;x?a;b", "/a%2fb?%zz=1", "/m?mcp_bind=x", "/%F0?s=%F0", ":", "/m?a=b#c", "x:y", "\x00",
	} {
		f.Add(uri, "/sse")
	}
	guard := newTestbed(f).guard
	guard.cfg.Backends = []string{"10.0.0.7:3000"}
	mine, theirs := bindingFor("github:1"), bindingFor("github:2")
	f.Fuzz(func(t *testing.T, uri, base string) {
		baseURL := &url.URL{Scheme: guard.scheme, Host: guard.host, Path: base}
		bound, ok := guard.bindEndpoint(mine, base, "/mcp", uri)
		if !ok || !strings.HasPrefix(base, "/") || strings.ContainsAny(uri, "\r\n") {
			return
		}
		u, err := baseURL.Parse(bound)
		if err != nil || u.Host != guard.host || u.Scheme != guard.scheme {
			t.Fatalf("%q at %q became %q, which leads to %v, %v", uri, base, bound, u, err)
		}
		original, err := baseURL.Parse(uri)
		if err != nil {
			t.Fatalf("%q was signed and is none: %v", uri, err)
		}
		query, ok := mine.checkEndpoint(u)
		if !ok || canonicalQuery(query) != canonicalQuery(original.RawQuery) {
			t.Fatalf("%q became %q: admitted %v, the backend reads %q", uri, bound, ok, query)
		}
		if _, ok := theirs.checkEndpoint(u); ok {
			t.Fatalf("%q is good for somebody else", bound)
		}
	})
}

// No query that Go reads a session id out of goes unnoticed.
func FuzzLooksLikeSession(f *testing.F) {
	for _, q := range []string{"sessionId=1", "a=b&session%5Fid=1", "a;sessionid=1", "[sessionId]=1", "session+id=", "x=sessionId"} {
		f.Add(q)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		values, _ := url.ParseQuery(raw) // what it can read of it
		for name := range values {
			if plain := strings.NewReplacer("_", "", "-", "").Replace(name); strings.EqualFold(plain, "sessionid") && !looksLikeSession(raw) {
				t.Fatalf("%q has %q", raw, name)
			}
		}
		if rest, proofs := cutParam(raw, bindParam); len(proofs) == 0 && rest != raw {
			t.Fatalf("%q became %q", raw, rest)
		}
	})
}
