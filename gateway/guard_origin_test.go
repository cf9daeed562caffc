// SPDX-License-Identifier: Apache-2.0

package gateway_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-mcp/caddy-mcp-oauth/gateway"
	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
)

// R10.25: a foreign web page, or one that rebound a DNS name to us, is refused in
// every method, before anything else is looked at.
func TestForeignOriginIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *gateway.Config) {
		c.Resources[0].AllowedOrigins = []string{"https://App.Example", "http://dev.example:8080/"}
	})
	calls := w.countCalls()
	tok := w.issue().token
	for _, tt := range []struct {
		origins []string
		allowed bool
	}{
		{nil, true},
		{[]string{issuer}, true},
		{[]string{"https://app.example"}, true},
		{[]string{"HTTPS://APP.example"}, true},
		{[]string{"http://dev.example:8080"}, true},
		{[]string{"https://evil.example"}, false},
		{[]string{"http://mcp.example.com"}, false},
		{[]string{"https://mcp.example.com:8443"}, false},
		{[]string{"https://mcp.example.com."}, false},
		{[]string{"https://mcp.example.com/"}, false},
		{[]string{"https://mcp.example.com.evil.example"}, false},
		{[]string{"https://evil.example#https://mcp.example.com"}, false},
		{[]string{"https://app.example:443"}, false},
		{[]string{"http://dev.example"}, false},
		{[]string{"http://localhost"}, false},
		{[]string{"http://localhost:6274"}, false},
		{[]string{"http://127.0.0.1:6274"}, false},
		{[]string{"null"}, false},
		{[]string{""}, false},
		{[]string{"*"}, false},
		{[]string{issuer, issuer}, false},
		{[]string{issuer, "https://evil.example"}, false},
		{[]string{issuer + ", https://evil.example"}, false},
	} {
		for _, method := range []string{"GET", "POST", "DELETE", "PUT", "HEAD", "OPTIONS"} {
			for _, authorization := range [][]string{nil, bearer(tok)} {
				r := request(method, "/mcp", "", authorization...)
				if tt.origins != nil {
					r.Header["Origin"] = tt.origins
				}
				before := calls.Load()
				resp := w.do(r)
				cors := resp.Header.Get("Access-Control-Allow-Origin")
				if refused := resp.StatusCode == 403; refused == tt.allowed {
					t.Errorf("%s %q: %d", method, tt.origins, resp.StatusCode)
				}
				if !tt.allowed && (cors != "" || calls.Load() != before) {
					t.Errorf("%s %q: CORS %q, backend called %d times", method, tt.origins, cors, calls.Load()-before)
				}
				if tt.allowed && tt.origins != nil && cors != tt.origins[0] {
					t.Errorf("%s %q: CORS %q", method, tt.origins, cors)
				}
			}
		}
	}
}

// On the developer's machine every http origin of the same machine may call.
func TestLoopbackOriginsOnALoopbackIssuer(t *testing.T) {
	t.Parallel()
	const local = "http://localhost:8080"
	w := newWorld(t, func(c *gateway.Config) { c.Issuer = local })
	w.countCalls()
	tok := w.issue(func(g *storage.Grant) { g.Issuer, g.Resource = local, local+"/mcp" }).token
	for origin, want := range map[string]int{
		local: 202, "http://localhost:6274": 202, "http://127.0.0.1:6274": 202, "http://[::1]:1": 202, "http://LOCALHOST": 202,
		"http://127.8.8.8": 202, "https://localhost:6274": 403, "http://localhost.evil.example": 403, "http://localhost@evil.example": 403,
		"http://evil@localhost": 403, "http://evil.example": 403, "http://0.0.0.0": 403, "http://10.0.0.1": 403, "null": 403, "": 403,
		"http://localhost/": 403, "http://localhost?": 403, "http://localhost#x": 403, "http://[::ffff:192.0.2.1]": 403,
		"file://localhost": 403, "http://2130706433": 403, "//localhost": 403, "http://127.0.0.1.evil.example": 403,
	} {
		if resp := w.call(tok, "Origin", origin); resp.StatusCode != want {
			t.Errorf("%q: %d, want %d", origin, resp.StatusCode, want)
		}
	}
}

// R12.5: a browser must be able to read the challenge and its own session.
func TestBrowserSeesChallengeAndAnswer(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	tok := w.issue().token
	for _, resp := range []*http.Response{w.get("/mcp", "Origin", issuer), w.call(tok, "Origin", issuer)} {
		exposed := resp.Header.Get("Access-Control-Expose-Headers")
		for _, name := range []string{"WWW-Authenticate", "Mcp-Session-Id", "MCP-Protocol-Version", "Retry-After"} {
			if !strings.Contains(exposed, name) {
				t.Errorf("%d: %s is not exposed: %q", resp.StatusCode, name, exposed)
			}
		}
		if got := resp.Header.Values("Vary"); len(got) != 1 || got[0] != "Origin" {
			t.Errorf("%d: Vary %q", resp.StatusCode, got)
		}
		if resp.Header.Get("Access-Control-Allow-Credentials") != "" {
			t.Errorf("%d: credentials allowed", resp.StatusCode)
		}
	}
}

// R12.3, R12.4: browsers send a preflight without credentials, and Mcp-Param-* is
// an open set, so the names asked for are echoed.
func TestPreflight(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	calls := w.countCalls()
	for asked, echoed := range map[string]bool{
		"authorization,content-type,mcp-param-region": true,
		"Mcp-Param-A_b, traceparent":                  true,
		"":                                            false,
		"x\r\nSet-Cookie: a=b":                        false,
		"x; y":                                        false,
		"<script>":                                    false,
		"näme":                                        false,
		"*":                                           false,
		strings.Repeat("mcp-param-a,", 400):           false,
	} {
		r := request("OPTIONS", "/mcp", "", "Origin", issuer, "Access-Control-Request-Method", "POST")
		r.Header["Access-Control-Request-Headers"] = []string{asked}
		resp := w.do(r)
		allowed := resp.Header.Get("Access-Control-Allow-Headers")
		if resp.StatusCode != 204 || body(t, resp) != "" || resp.Header.Get("WWW-Authenticate") != "" {
			t.Errorf("%q: %d %v", asked, resp.StatusCode, resp.Header)
		}
		if got := asked != "" && strings.HasSuffix(allowed, ", "+asked); got != echoed {
			t.Errorf("%q: allowed %q", asked, allowed)
		}
		for _, name := range []string{"Authorization", "Content-Type", "MCP-Protocol-Version", "Mcp-Session-Id", "Last-Event-ID"} {
			if !strings.Contains(allowed, name) {
				t.Errorf("%q: %s is not allowed: %q", asked, name, allowed)
			}
		}
		if !strings.Contains(resp.Header.Get("Access-Control-Allow-Methods"), "DELETE") || resp.Header.Get("Access-Control-Max-Age") == "" {
			t.Errorf("%q: %v", asked, resp.Header)
		}
	}
	// Not a browser's preflight: nothing to allow, still no backend.
	resp := w.do(request("OPTIONS", "/mcp", ""))
	if resp.StatusCode != 204 || resp.Header.Get("Access-Control-Allow-Origin") != "" || resp.Header.Get("Allow") == "" {
		t.Errorf("plain OPTIONS: %d %v", resp.StatusCode, resp.Header)
	}
	if calls.Load() != 0 {
		t.Error("the backend was called")
	}
}
