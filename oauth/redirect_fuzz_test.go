// SPDX-License-Identifier: Apache-2.0

package oauth

import (
	"net/url"
	"strings"
	"testing"
)

var redirectSeeds = []string{
	"https://h/cb", "http://localhost:1/cb?x=1", "http://[::1]/", "cursor://a.b/c", "com.example.app:/cb", "javascript:alert(1)",
	"http://127.0.0.1@evil.com", `https://evil.com\@good`, "https://h/%2e%2e/", "http://[::1%25eth0]/", "http://127.1/", "https://h:443",
	"HTTP://LOCALHOST/", "https://h?a=b&c", "a+b://c", "https://h/;x=1", "https://h//", "x.y:///z?w",
}

// FuzzParseRedirectURI: whatever we accept, net/url reads as the same scheme,
// host, port, path and query, and it has nothing we promised to refuse.
func FuzzParseRedirectURI(f *testing.F) {
	for _, s := range redirectSeeds {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		kind, ours, reason := parseRedirectURI(s)
		if reason != "" {
			if strings.ContainsAny(reason, "\"\\\r\n") {
				t.Fatalf("reason %q", reason)
			}
			return
		}
		std, err := url.Parse(s)
		if err != nil {
			t.Fatalf("accepted %q, url.Parse says %v", s, err)
		}
		host := ours.host
		if ours.port != "" {
			host += ":" + ours.port
		}
		switch {
		case std.Scheme != ours.scheme, std.Host != host, std.EscapedPath() != ours.path, std.RawQuery != ours.query:
			t.Fatalf("%q: net/url reads %#v, we read %#v", s, std, ours)
		case std.User != nil, std.Fragment != "", std.Opaque != "", strings.Contains(s, "#"):
			t.Fatalf("%q has what is refused: %#v", s, std)
		case kind == RedirectHTTPS && (std.Scheme != "https" || std.Hostname() == ""):
			t.Fatalf("%q passes for https", s)
		case kind == RedirectLoopback && (std.Scheme != "http" || !loopbackHost(host) && !loopbackHost(strings.TrimSuffix(host, ":"+ours.port))):
			t.Fatalf("%q passes for loopback", s)
		case kind == RedirectPrivateUse && (std.Scheme == "http" || std.Scheme == "https" || refusedScheme(std.Scheme)):
			t.Fatalf("%q passes for private-use", s)
		}
		if shown := RedirectHost(s); shown == "" || !visible(shown) || strings.ContainsAny(shown, "@ \\<>\"'") {
			t.Fatalf("%q is shown as %q", s, shown)
		}
	})
}

// FuzzMatchRedirectURI: a match is the same string, or the same loopback URI
// with another port.
func FuzzMatchRedirectURI(f *testing.F) {
	for _, s := range redirectSeeds {
		f.Add(s, s)
	}
	f.Add("http://127.0.0.1:1/cb", "http://127.0.0.1:2/cb")
	f.Add("http://localhost/cb", "http://127.0.0.1/cb")
	f.Fuzz(func(t *testing.T, registered, requested string) {
		got := MatchRedirectURI([]string{registered}, requested)
		if got != MatchRedirectURI([]string{requested}, registered) && registered != requested {
			t.Fatalf("%q and %q match in one direction only", registered, requested)
		}
		if !got || registered == requested {
			return
		}
		a, errA := url.Parse(registered)
		b, errB := url.Parse(requested)
		if errA != nil || errB != nil {
			t.Fatalf("%q matches %q and one of them is no URL", registered, requested)
		}
		if a.Scheme != "http" || !loopbackHost(bracketed(a.Hostname())) || a.Hostname() != b.Hostname() || b.Scheme != "http" ||
			a.EscapedPath() != b.EscapedPath() || a.RawQuery != b.RawQuery {
			t.Fatalf("%q matches %q", registered, requested)
		}
	})
}

func bracketed(host string) string {
	if strings.Contains(host, ":") {
		return "[" + host + "]"
	}
	return host
}

// FuzzAuthorizationResponseURL: the response goes where the redirect URI points
// and carries our parameters once, unchanged, beside the ones it had.
func FuzzAuthorizationResponseURL(f *testing.F) {
	for _, s := range redirectSeeds {
		f.Add(s, "state&=#?%\x00é\r\n")
	}
	f.Fuzz(func(t *testing.T, redirectURI, state string) {
		if _, err := ParseRedirectURI(redirectURI); err != nil {
			return
		}
		got := AuthorizationResponseURL(redirectURI, "code", "c", "state", state, "iss", "https://as")
		if !strings.HasPrefix(got, redirectURI) {
			t.Fatalf("%q was changed: %q", redirectURI, got)
		}
		before, _ := url.Parse(redirectURI)
		after, err := url.Parse(got)
		if err != nil {
			t.Fatalf("%q: %v", got, err)
		}
		if before.Scheme != after.Scheme || before.Host != after.Host || before.EscapedPath() != after.EscapedPath() || after.Fragment != "" {
			t.Fatalf("%q goes elsewhere than %q", got, redirectURI)
		}
		// A semicolon in the client's own query hides its pair from url.ParseQuery;
		// ours are read from what was added.
		q, err := url.ParseQuery(strings.TrimLeft(got[len(redirectURI):], "?&"))
		if err != nil {
			t.Fatalf("%q: %v", got, err)
		}
		if q.Get("code") != "c" || q.Get("iss") != "https://as" || q.Get("state") != state {
			t.Fatalf("%q carries %v", got, q)
		}
		for _, name := range []string{"code", "iss"} {
			if n := len(after.Query()[name]); n != 1 {
				t.Fatalf("%q has %s %d times", got, name, n)
			}
		}
	})
}
