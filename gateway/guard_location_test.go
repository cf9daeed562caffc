// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
)

func locationGuard(path, backendPath string) *Guard {
	return &Guard{scheme: "https", host: "mcp.example.com", cfg: &Resource{
		Path: path, Backends: []string{"localhost:3000", "backend.internal:80"}, BackendPath: backendPath,
	}}
}

// What a backend writes into Location, and where a client outside must be sent.
func TestPublishLocation(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, path, backendPath, location, want string }{
		// Without a backend path only the origin can need a change.
		{"relative", "/mcp", "", "/mcp/", "/mcp/"},
		{"relative to the path", "/mcp", "", "next?a=%41", "next?a=%41"},
		{"bytes stay", "/mcp", "", "/mcp/ä b?q=[x]#%zz", "/mcp/ä b?q=[x]#%zz"},
		{"backend", "/mcp", "", "http://localhost:3000/mcp/?a=1&b=%2F#f", "https://mcp.example.com/mcp/?a=1&b=%2F#f"},
		{"backend in capitals", "/mcp", "", "HTTP://LOCALHOST:3000/mcp/", "https://mcp.example.com/mcp/"},
		{"backend, default port left out", "/mcp", "", "http://backend.internal/mcp", "https://mcp.example.com/mcp"},
		{"backend, another port", "/mcp", "", "http://localhost:3001/mcp", "http://localhost:3001/mcp"},
		{"backend with credentials", "/mcp", "", "http://u:p@localhost:3000/mcp", "https://mcp.example.com/mcp"},
		{"public host, http", "/mcp", "", "http://mcp.example.com/mcp/", "https://mcp.example.com/mcp/"},
		{"public host, default port", "/mcp", "", "https://mcp.example.com:443/mcp", "https://mcp.example.com/mcp"},
		{"public host, right already", "/mcp", "", "https://mcp.example.com/mcp?a=[x]", "https://mcp.example.com/mcp?a=[x]"},
		{"public host, other case", "/mcp", "", "https://MCP.example.com/a", "https://mcp.example.com/a"},
		{"scheme relative, backend", "/mcp", "", "//localhost:3000/mcp", "https://mcp.example.com/mcp"},
		// Foreign and hostile ones are none of our business.
		{"foreign", "/mcp", "", "https://github.com/login", "https://github.com/login"},
		{"foreign that ends alike", "/mcp", "", "https://evil-mcp.example.com/mcp", "https://evil-mcp.example.com/mcp"},
		{"foreign with our name as user", "/mcp", "", "https://mcp.example.com@evil.example/", "https://mcp.example.com@evil.example/"},
		{"scheme relative, foreign", "/mcp", "/in", "//evil.example/in/x", "//evil.example/in/x"},
		{"three slashes", "/", "/", "///evil.example/x", "///evil.example/x"},
		{"javascript", "/mcp", "/in", "javascript:alert(1)", "javascript:alert(1)"},
		{"file", "/mcp", "/in", "file:///in/x", "file:///in/x"},
		{"one slash", "/mcp", "/in", "http:/in/x", "http:/in/x"},
		{"other scheme, our host", "/mcp", "/in", "ftp://mcp.example.com/in/x", "ftp://mcp.example.com/in/x"},
		{"no URL", "/mcp", "/in", "http://[::1/in", "http://[::1/in"},
		{"control character", "/mcp", "/in", "/in/\x01", "/in/\x01"},
		{"backslashes", "/mcp", "", `\\evil.example`, `\\evil.example`},
		// With a backend path the public one is put back.
		{"below the backend path", "/weather/mcp", "/mcp", "/mcp/x?q=1", "/weather/mcp/x?q=1"},
		{"the backend path itself", "/weather/mcp", "/mcp", "/mcp", "/weather/mcp"},
		{"with a slash", "/weather/mcp", "/mcp", "/mcp/", "/weather/mcp/"},
		{"absolute", "/weather/mcp", "/mcp", "http://localhost:3000/mcp/x", "https://mcp.example.com/weather/mcp/x"},
		{"public host, inner path", "/weather/mcp", "/mcp", "http://mcp.example.com/mcp/", "https://mcp.example.com/weather/mcp/"},
		{"escapes stay", "/weather/mcp", "/mcp", "/mcp/a%2Fb%20c?d=%2F", "/weather/mcp/a%2Fb%20c?d=%2F"},
		{"begins alike", "/weather/mcp", "/mcp", "/mcpx", "/mcpx"},
		{"outside the backend path", "/weather/mcp", "/mcp", "http://localhost:3000/login", "https://mcp.example.com/login"},
		{"root resource", "/", "/mcp", "/mcp/x", "/x"},
		{"root resource itself", "/", "/mcp", "/mcp", "/"},
		{"root backend", "/mcp", "/", "/x", "/mcp/x"},
		{"root backend itself", "/mcp", "/", "/", "/mcp"},
		// The attack: cutting the prefix off would make the rest name another host.
		{"rest names a host", "/", "/mcp", "/mcp//evil.example/x", "/mcp//evil.example/x"},
		{"rest names a host, backslash", "/", "/mcp", `/mcp/\evil.example/x`, "/%5Cevil.example/x"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := http.Header{"Location": {tt.location}}
			locationGuard(tt.path, tt.backendPath).publishLocation(h, tt.path)
			if got := h.Get("Location"); got != tt.want {
				t.Errorf("%q became %q, want %q", tt.location, got, tt.want)
			}
		})
	}
}

// FuzzPublishLocation: publishing never sends a browser to a host that the backend
// did not name, never invents a scheme, and changing twice is changing once.
func FuzzPublishLocation(f *testing.F) {
	for _, s := range []string{
		"/mcp", "/in/x", "//evil.example", "///evil.example", "/in//evil.example", "http://localhost:3000/in//e", `/in/\e`,
		"https://mcp.example.com/in", "http://u@localhost:3000", "?in", "in:/in", "/in/%2f/e", "/in/%5ce", "//@/",
	} {
		f.Add(s, "/in")
		f.Add(s, "/")
	}
	f.Fuzz(func(t *testing.T, location, backendPath string) {
		if !strings.HasPrefix(backendPath, "/") || backendPath != "/" && strings.HasSuffix(backendPath, "/") {
			t.Skip()
		}
		base, _ := url.Parse("https://mcp.example.com/mcp")
		for _, matched := range []string{"/mcp", "/"} {
			g := locationGuard(matched, backendPath)
			h := http.Header{"Location": {location}}
			g.publishLocation(h, matched)
			got := h.Get("Location")
			if got == location {
				continue
			}
			// It was changed, so it must lead to ourselves, as a browser reads it.
			u, err := base.Parse(strings.ReplaceAll(got, `\`, "/"))
			if err != nil || u.Scheme != "https" || u.Host != "mcp.example.com" || u.User != nil {
				t.Errorf("%q with %q became %q, which leads to %v %v", location, backendPath, got, u, err)
			}
		}
	})
}
