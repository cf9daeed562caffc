// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"path"
	"strings"
	"testing"
)

// Path tricks that make a matcher, a proxy and a backend disagree (security.md §1.11;
// CVE-2026-27587 and -27588 of Caddy were of this kind).
func TestCheckPath(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		target, matched string
		ok              bool
	}{
		{"/mcp", "/mcp", true},
		{"/mcp/", "/mcp", true},
		{"/mcp/a/b%20c", "/mcp", true},
		{"/mcp/%C3%A4", "/mcp", true},
		{"/mcp/a:b@c!$&'()*+,=~-_.json", "/mcp", true},
		{"/mcp/.hidden", "/mcp", true},
		{"/mcp/a..b", "/mcp", true},
		{"/MCP/x", "/mcp", true}, // Caddy's matcher ignores case; it is forwarded as it is
		{"/mcp?a=/../%2e%2e//;\\", "/mcp", true},
		{"/", "/", true},
		{"/x/y", "/", true},
		{"/weather/mcp/x", "/weather/mcp", true},
		{"http://mcp.example.com/mcp", "/mcp", true}, // absolute form

		{"/mcpx", "/mcp", false},
		{"/other", "/mcp", false},
		{"//mcp", "/mcp", false},
		{"/mcp//x", "/mcp", false},
		{"/mcp//", "/mcp", false},
		{"/mcp/../x", "/mcp", false},
		{"/mcp/..", "/mcp", false},
		{"/mcp/.", "/mcp", false},
		{"/mcp/./x", "/mcp", false},
		{"/mcp/%2e%2e/x", "/mcp", false},
		{"/mcp/%2E./x", "/mcp", false},
		{"/mcp/.%2e/x", "/mcp", false},
		{"/mcp%2fx", "/mcp", false},
		{"/mcp/a%2Fb", "/mcp", false},
		{"/mcp/..%2fx", "/mcp", false},
		{"/mcp/%5c..%5cx", "/mcp", false},
		{`/mcp\x`, "/mcp", false},
		{`/mcp/..\x`, "/mcp", false},
		{"/mcp;x", "/mcp", false},
		{"/mcp;jsessionid=1/x", "/mcp", false},
		{"/mcp/..;/x", "/mcp", false},
		{"/mcp/%3Bx", "/mcp", false},
		{"/mcp/..%3b/x", "/mcp", false},
		{"/mcp%00", "/mcp", false},
		{"/mcp/%00x", "/mcp", false},
		{"/mcp/%0d%0aX-Forwarded-User:root", "/mcp", false},
		{"/mcp/%7f", "/mcp", false},
		{"/mcp/%09", "/mcp", false},
		{"/mcp/%25", "/mcp", false},
		{"/mcp/%252e%252e/x", "/mcp", false},
		{"/mcp/%c0%ae%c0%ae/x", "/mcp", false}, // overlong dots
		{"/mcp/%c0%afx", "/mcp", false},        // overlong slash
		{"/mcp/%ff", "/mcp", false},
		{"/%6dcp", "/mcp", false},
		{"/%6Dcp/x", "/mcp", false},
		{"/mc%70", "/mcp", false},
		{"/..", "/", false},
		{"//", "/", false},
		{"/a/%2e%2e/b", "/", false},
		{"*", "/", false},
		{"mcp:/mcp", "/other", false},
	} {
		u, err := url.ParseRequestURI(tt.target)
		if err != nil {
			t.Errorf("%q: %v", tt.target, err)
			continue
		}
		if got := checkPath(u, tt.matched); got != tt.ok {
			t.Errorf("checkPath(%q, %q) %v, want %v", tt.target, tt.matched, got, tt.ok)
		}
	}
}

// The same from the outside: 400 before and after authentication, and the backend
// is not called.
func TestPathTricksAreRefused(t *testing.T) {
	t.Parallel()
	b := newTestbed(t)
	for _, target := range []string{
		"/mcp/../x", "/mcp/%2e%2e/x", "/mcp%2fx", "/mcp;x", "/mcp/%00", `/mcp\x`, "/mcp/%25", "//mcp", "/mcp//x", "/%6dcp", "/elsewhere",
	} {
		for _, authenticated := range []bool{false, true} {
			r := b.bearerRequest(t.Context(), "g", person("1"))
			if !authenticated {
				r.Header.Del("Authorization")
			}
			u, err := url.ParseRequestURI(target)
			if err != nil {
				t.Fatal(err)
			}
			r.URL = u
			rec := httptest.NewRecorder()
			err = b.guard.Serve(rec, r, "/mcp", func(http.ResponseWriter, *http.Request, *Admitted) error {
				t.Errorf("%q was admitted", target)
				return nil
			})
			if err != nil || rec.Code != http.StatusBadRequest || rec.Header().Get("Www-Authenticate") != "" {
				t.Errorf("%q: %d %v", target, rec.Code, err)
			}
		}
	}
}

func TestRewritePath(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ target, matched, backend, want string }{
		{"/weather/mcp", "/weather/mcp", "/mcp", "/mcp"},
		{"/weather/mcp/", "/weather/mcp", "/mcp", "/mcp/"},
		{"/weather/mcp/a/b", "/weather/mcp", "/mcp", "/mcp/a/b"},
		{"/WEATHER/mcp/Ab", "/weather/mcp", "/mcp", "/mcp/Ab"},
		{"/mcp?a=%2F&b=/mcp", "/mcp", "/inner/mcp", "/inner/mcp?a=%2F&b=/mcp"},
		{"/mcp?", "/mcp", "/x", "/x?"},
		{"/mcp/a%20b", "/mcp", "/x", "/x/a%20b"},
		{"/mcp/a%2Bb+c%21", "/mcp", "/x", "/x/a%2Bb+c%21"},
		{"/mcp/%e4%bd%a0", "/mcp", "/x", "/x/%e4%bd%a0"},
		{"/mcp/a%3Fb", "/mcp", "/x", "/x/a%3Fb"},
		{"/mcp/a", "/mcp", "/with space", "/with%20space/a"},
		{"/mcp/a%21", "/mcp", "/with space", "/with%20space/a%21"},
		{"/", "/", "/mcp", "/mcp"},
		{"/a", "/", "/mcp", "/mcp/a"},
		{"/mcp", "/mcp", "/", "/"},
		{"/mcp/a", "/mcp", "/", "/a"},
		{"/", "/", "/", "/"},
		{"http://other.example/mcp/a?b", "/mcp", "/x", "/x/a?b"},
	} {
		r := httptest.NewRequest(http.MethodGet, tt.target, nil)
		before := r.URL
		keep := *before
		rewritePath(r, tt.matched, tt.backend)
		if got := r.URL.RequestURI(); got != tt.want || r.RequestURI != tt.want {
			t.Errorf("%s: %q and %q, want %q", tt.target, got, r.RequestURI, tt.want)
		}
		if p, err := url.PathUnescape(r.URL.EscapedPath()); err != nil || p != r.URL.Path {
			t.Errorf("%s: path %q and raw path %q differ", tt.target, r.URL.Path, r.URL.RawPath)
		}
		if *before != keep {
			t.Errorf("%s: the caller's URL was changed", tt.target)
		}
	}
}

// A handler before us rewrote Path and left RawPath behind: what was checked is
// what goes on.
func TestRewritePathWithAStaleRawPath(t *testing.T) {
	t.Parallel()
	r := httptest.NewRequest(http.MethodGet, "/mcp", nil)
	r.URL.Path, r.URL.RawPath = "/MCP/a/b", "/mcp/a%2fb"
	if !checkPath(r.URL, "/mcp") {
		t.Fatal("refused")
	}
	rewritePath(r, "/mcp", "/x")
	if got := r.URL.EscapedPath(); got != "/x/a/b" {
		t.Errorf("forwarded %q", got)
	}
}

// FuzzCheckPath: whatever passes the check stays below the backend's path, for a
// backend that decodes once, decodes twice, or cleans up.
func FuzzCheckPath(f *testing.F) {
	for _, s := range []string{
		"/mcp", "/mcp/a", "/mcp/../x", "/mcp/%2e%2e/x", "/mcp%2fx", "/mcp/%252e", "//mcp", "/MCP/%c0%ae", "/mcp/..;/x", "/mcp/a?b#c",
		"/mcp/%5c", "/mcp/a%20b", "/mcp/.", "http://h/mcp/a", "/mcp/\x80", "/mcp/a:b", "/mcp/%e2%80%ae",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, target string) {
		u, err := url.ParseRequestURI(target)
		if err != nil {
			t.Skip()
		}
		for _, matched := range []string{"/mcp", "/", "/a/b"} {
			if !checkPath(u, matched) {
				continue
			}
			for _, backend := range []string{"/inner/path", "/"} {
				r := &http.Request{URL: u, Header: http.Header{}}
				rewritePath(r, matched, backend)
				once, err := url.PathUnescape(r.URL.EscapedPath())
				if err != nil || once != r.URL.Path {
					t.Fatalf("%q: path %q, escaped %q", target, r.URL.Path, r.URL.EscapedPath())
				}
				twice, err := url.PathUnescape(once)
				if err != nil {
					twice = once
				}
				for _, p := range []string{once, twice, strings.ReplaceAll(twice, `\`, "/"), path.Clean(twice)} {
					clean := path.Clean(p)
					if _, below := cutPathPrefix(clean, backend); !below || clean != path.Clean(once) {
						t.Fatalf("%q on %q leads to %q at the backend, outside of %q", target, matched, clean, backend)
					}
				}
				if r.URL.Path[0] != '/' || strings.Contains(r.URL.Path, "//") || strings.ContainsAny(r.URL.EscapedPath(), " ?#\r\n") {
					t.Fatalf("%q became %q", target, r.RequestURI)
				}
			}
		}
	})
}

func TestCutAndJoinPath(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		path, prefix, rest string
		ok                 bool
	}{
		{"/mcp", "/mcp", "", true},
		{"/mcp/", "/mcp", "/", true},
		{"/mcp/x", "/mcp", "/x", true},
		{"/Mcp/x", "/mcp", "/x", true},
		{"/mcpx", "/mcp", "", false},
		{"/mc", "/mcp", "", false},
		{"", "/mcp", "", false},
		{"/", "/", "", true},
		{"/x", "/", "/x", true},
		{"", "/", "", false},
		{"*", "/", "", false},
	} {
		rest, ok := cutPathPrefix(tt.path, tt.prefix)
		if ok != tt.ok || ok && rest != tt.rest {
			t.Errorf("cutPathPrefix(%q, %q) %q %v", tt.path, tt.prefix, rest, ok)
		}
		if ok && !strings.EqualFold(joinPath(tt.prefix, rest), tt.path) {
			t.Errorf("joinPath(%q, %q) is not %q", tt.prefix, rest, tt.path)
		}
	}
}
