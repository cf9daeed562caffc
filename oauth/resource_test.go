// SPDX-License-Identifier: Apache-2.0

package oauth

import (
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestCanonicalResource(t *testing.T) {
	t.Parallel()
	tests := map[string]string{
		"https://h/mcp":                         "https://h/mcp",
		"https://h/mcp/":                        "https://h/mcp",
		"https://h":                             "https://h",
		"https://h/":                            "https://h", // URL.href of the TypeScript SDK, pydantic of the Python one
		"HTTPS://H.Example/MCP":                 "https://h.example/MCP",
		"https://h:443/mcp":                     "https://h/mcp",
		"https://h:8443/mcp":                    "https://h:8443/mcp",
		"https://h:80/mcp":                      "https://h:80/mcp",
		"http://localhost:80/mcp":               "http://localhost/mcp",
		"http://localhost:8080/":                "http://localhost:8080",
		"http://localhost:443":                  "http://localhost:443",
		"https://h/mcp?utm_source=claude":       "https://h/mcp", // Claude Code
		"https://h/mcp/?kb_name=a%20b":          "https://h/mcp", // ChatGPT
		"https://h?":                            "https://h",
		"https://[2001:DB8:0::1]:443/a":         "https://[2001:db8::1]/a",
		"https://h/a%20b/%C3%A9":                "https://h/a%20b/%C3%A9",
		"https://h/a@b:c":                       "https://h/a@b:c",
		"https://h/mcp?next=https://evil/../..": "https://h/mcp",
	}
	for in, want := range tests {
		t.Run(in, func(t *testing.T) {
			t.Parallel()
			got, err := CanonicalResource(in)
			if err != nil {
				t.Fatal(err)
			}
			if got != want {
				t.Errorf("got %s, want %s", got, want)
			}
		})
	}
}

// A resource that is read as another one yields a token for a server the user
// did not choose.
func TestAttackResource(t *testing.T) {
	t.Parallel()
	for _, in := range []string{
		"", "mcp", "/mcp", "//h/mcp", "h/mcp", "https:", "https:/h/mcp", "https://", "https:///mcp", "urn:mcp:x", "ftp://h/mcp", "ws://h/mcp",
		"https://h/mcp#frag", "https://h/mcp#", "https://user@h/mcp", "https://h@evil/mcp", "https://good%40evil/mcp",
		"https://h/public/../admin", "https://h/./mcp", "https://h/..", "https://h/%2e%2e/admin", "https://h/%2E%2e/x", "https://h/.%2e/x",
		"https://h/a%2fb", "https://h/a%2Fb", "https://h/a%5cb", `https://h\mcp`, `https://h/a\b`, "https://h//mcp", "https://h/mcp//", "https://h//",
		"https://h/mcp ", " https://h/mcp", "https://h/m cp", "https://h/mcp\n", "https://h/mcp%00", "https://h/mcp%0a", "https://h/%zz", "https://h/%",
		"https://h./mcp", "https://h..x/mcp", "https://h:/mcp", "https://h:0/mcp", "https://h:99999/mcp", "https://h:0443/mcp", "https://127.1/mcp",
		"https://0x7f000001/mcp", "https://[::1%25eth0]/mcp", "https://[::1/mcp", "https://ｈ/mcp", "https://h/é", "https://h/*", "https://h/{a}",
		"https://h/" + strings.Repeat("a", maxURIBytes),
	} {
		got, err := CanonicalResource(in)
		if err == nil || err.Code != CodeInvalidTarget {
			t.Errorf("%q: got %q, %v, want invalid_target", in, got, err)
		}
	}
}

// R5.10: a request for the origin must not yield a token for everything below.
func TestCanonicalResourceIsNotAPrefix(t *testing.T) {
	t.Parallel()
	seen := map[string]string{}
	for _, in := range []string{"https://h", "https://h/mcp", "https://h/mcp/x", "https://h/MCP", "https://h/mcp2", "https://h:8443/mcp", "http://h/mcp", "https://h/mcp%20"} {
		got, err := CanonicalResource(in)
		if err != nil {
			t.Fatal(err)
		}
		if other, ok := seen[got]; ok {
			t.Errorf("%s and %s are both %s", in, other, got)
		}
		seen[got] = in
	}
}

func TestParseResources(t *testing.T) {
	t.Parallel()
	got, err := parseResources(mustParams(t, encode("resource", "https://h/", "resource", "", "resource", "https://H", "resource", "https://h/mcp")))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"https://h", "https://h/mcp"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if _, err := parseResources(mustParams(t, encode("resource", "https://h", "resource", "/mcp"))); err == nil || err.Code != CodeInvalidTarget {
		t.Errorf("one bad of two: %v, want invalid_target", err)
	}
}

func FuzzCanonicalResource(f *testing.F) {
	for _, s := range append([]string{"https://H:443/a/?b", "http://[::1]:80/", "https://[0:0::1]/"}, redirectSeeds...) {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, perr := CanonicalResource(s)
		if perr != nil {
			return
		}
		again, perr := CanonicalResource(got)
		if perr != nil || again != got {
			t.Fatalf("%q: canonical form %q becomes %q, %v", s, got, again, perr)
		}
		in, err := url.Parse(s)
		if err != nil {
			t.Fatalf("accepted %q, url.Parse says %v", s, err)
		}
		out, err := url.Parse(got)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.EqualFold(in.Scheme, out.Scheme) || out.RawQuery != "" || out.Fragment != "" || out.User != nil ||
			strings.TrimSuffix(in.EscapedPath(), "/") != out.EscapedPath() {
			t.Fatalf("%q became %q", s, got)
		}
		if !strings.Contains(in.Host, "[") && !strings.EqualFold(in.Hostname(), out.Hostname()) {
			t.Fatalf("%q: host became %q", s, out.Host)
		}
	})
}
