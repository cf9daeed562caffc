// SPDX-License-Identifier: Apache-2.0

package gateway_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/caddy-mcp/caddy-mcp-oauth/gateway"
	"github.com/caddy-mcp/caddy-mcp-oauth/identity"
	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
)

var ourHeaders = []string{
	"X-Forwarded-User", "X-Forwarded-Preferred-Username", "X-Forwarded-Email", "X-Forwarded-Groups",
	"X-Mcp-Client-Id", "X-Mcp-Scope", "X-Mcp-Jwt-Assertion",
}

// spellings are names that some server folds to the given one.
func spellings(name string) []string {
	out := []string{
		name, strings.ToLower(name), strings.ToUpper(name), strings.ReplaceAll(name, "-", "_"),
		strings.ReplaceAll(name, "-", "."), strings.Replace(name, "-", "_", 1),
		strings.ToUpper(strings.ReplaceAll(name, "-", "_")), strings.ToLower(strings.ReplaceAll(name, "-", ".")),
	}
	for _, c := range "!#$%&'*+^`|~" {
		out = append(out, strings.ReplaceAll(name, "-", string(c)))
	}
	return out
}

// ours returns the received headers that fold to identity headers, folded. Of an
// assertion it tells the subject.
func ours(h http.Header) map[string]string {
	out := map[string]string{}
	for name, values := range h {
		folded := strings.Map(func(c rune) rune {
			if c >= '0' && c <= '9' || c >= 'a' && c <= 'z' {
				return c
			}
			return '-'
		}, strings.ToLower(name))
		for _, n := range ourHeaders {
			if strings.EqualFold(folded, n) {
				out[name] = strings.Join(values, "|")
				if subject := assertedSubject(out[name]); subject != "" {
					out[name] = "assertion of " + subject
				}
			}
		}
	}
	return out
}

// raw sends bytes and returns the status of the answer. Over a raw connection a
// client can write what no library would.
func raw(t *testing.T, front, message string) int {
	t.Helper()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", strings.TrimPrefix(front, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if _, err := io.WriteString(conn, message); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode
}

func octocatHeaders() map[string]string {
	return map[string]string{
		"X-Forwarded-User": "github:583231", "X-Forwarded-Preferred-Username": "octocat",
		"X-Forwarded-Email": "octocat@github.example", "X-Forwarded-Groups": "acme,acme/eng",
		"X-Mcp-Client-Id": "mcpc_test", "X-Mcp-Scope": "mcp",
		"X-Mcp-Jwt-Assertion": "assertion of github:583231",
	}
}

// The attack: an allowed user writes somebody else's name into every header that
// the backend could take for ours, in every spelling.
func TestSpoofedIdentityHeadersDoNotReachTheBackend(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	front, back := w.proxied()
	tok := w.issue().token
	for _, name := range ourHeaders {
		for _, spelling := range spellings(name) {
			status := raw(t, front, "GET /mcp HTTP/1.1\r\nHost: mcp.example.com\r\nAuthorization: Bearer "+tok+"\r\n"+
				spelling+": root\r\n"+spelling+": admin\r\nConnection: close\r\n\r\n")
			got, _ := back.Last()
			if diff := cmp.Diff(octocatHeaders(), ours(got.Header)); status != 200 || diff != "" {
				t.Errorf("%s: status %d, backend saw (-want +got):\n%s", spelling, status, diff)
			}
		}
	}
}

// With identity_headers off the backend hears nothing, also not from the client.
func TestIdentityHeadersOffStillStrips(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *gateway.Config) { c.Resources[0].IdentityHeaders = false })
	front, back := w.proxied()
	header := bearer(w.issue().token)
	for _, name := range ourHeaders {
		header = append(header, name, "root", strings.ToLower(strings.ReplaceAll(name, "-", "_")), "root")
	}
	w.wantStatus(fetch(t, "GET", front+"/mcp", nil, header...), 200)
	got, _ := back.Last()
	if got := ours(got.Header); len(got) > 0 {
		t.Errorf("backend saw %v", got)
	}
}

// The attack: trailers come after the header was cleaned, announced or not, and
// some servers merge them into the header.
func TestSpoofedIdentityInTrailers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	tok := w.issue().token
	for _, announce := range []string{"", "Trailer: X-Forwarded-User\r\n", "Trailer: X-Other\r\n", "Trailer: x_mcp_scope\r\n"} {
		for path, authorization := range map[string]string{"/mcp": "Authorization: Bearer " + tok + "\r\n", "/unguarded": ""} {
			t.Run(path+" "+strings.TrimSpace(announce), func(t *testing.T) {
				var header, trailer http.Header
				backend := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
					_, _ = io.Copy(io.Discard, r.Body)
					header, trailer = r.Header, r.Trailer
				})
				w.backend = backend
				srv := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
					if path == "/unguarded" {
						gateway.StripInbound(r)
						backend(rw, r)
						return
					}
					w.ServeHTTP(rw, r)
				}))
				defer srv.Close()
				status := raw(t, srv.URL, "POST "+path+" HTTP/1.1\r\nHost: mcp.example.com\r\n"+authorization+announce+
					"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n2\r\n{}\r\n0\r\n"+
					"X-Forwarded-User: root\r\nx_mcp_scope: root\r\nX-Other: kept\r\n\r\n")
				if got := ours(trailer); status != 200 || len(got) > 0 {
					t.Errorf("status %d, trailers %v", status, got)
				}
				if path == "/unguarded" && announce != "" && trailer.Get("X-Other") != "kept" {
					t.Errorf("foreign trailer lost: %v", trailer)
				}
				if path == "/mcp" && (header.Get("X-Forwarded-User") != "github:583231" || len(trailer) > 0) {
					t.Errorf("guarded: header %v trailer %v", ours(header), trailer)
				}
			})
		}
	}
}

// The attack: the proxy behind us removes the headers that Connection names, so a
// client could make the backend see an anonymous request.
func TestConnectionCannotNameOurHeaders(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	front, back := w.proxied()
	tok := w.issue().token
	all := strings.Join(ourHeaders, ", ")
	for name, lines := range map[string]string{
		"one":              "Connection: X-Forwarded-User\r\n",
		"all":              "Connection: " + all + "\r\n",
		"with close":       "Connection: close, X-Forwarded-User\r\n",
		"odd spacing":      "Connection:  \t ,, x-forwarded-user\t,\tX-MCP-SCOPE ,close\r\n",
		"several lines":    "Connection: keep-alive\r\nConnection: X-Forwarded-User\r\nConnection: X-Mcp-Client-Id\r\n",
		"lower case":       "connection: x-forwarded-groups, x-forwarded-email\r\n",
		"folded":           "Connection: X_Forwarded_User, X.Mcp.Scope\r\n",
		"protocol headers": "Connection: Mcp-Session-Id, MCP-Protocol-Version, Authorization, Upgrade, x-forwarded-for\r\n",
		"proxy-connection": "Proxy-Connection: X-Forwarded-User\r\nConnection: Proxy-Connection\r\n",
	} {
		if !strings.Contains(lines, "close") {
			lines += "Connection: close\r\n"
		}
		status := raw(t, front, "GET /mcp HTTP/1.1\r\nHost: mcp.example.com\r\nAuthorization: Bearer "+tok+
			"\r\nMCP-Protocol-Version: 2025-11-25\r\n"+lines+"\r\n")
		got, _ := back.Last()
		if diff := cmp.Diff(octocatHeaders(), ours(got.Header)); status != 200 || diff != "" {
			t.Errorf("%s: status %d, backend saw (-want +got):\n%s", name, status, diff)
		}
		if got.Header.Get("Mcp-Protocol-Version") == "" {
			t.Errorf("%s: the protocol version was removed", name)
		}
	}
}

// On requests that are not about a resource the same names are removed, and
// Connection keeps what is none of our business.
func TestStripInboundOfUnguardedRequests(t *testing.T) {
	t.Parallel()
	r := request("GET", "/somewhere", "")
	for _, name := range ourHeaders {
		for _, spelling := range spellings(name) {
			r.Header[spelling] = []string{"root"}
		}
	}
	r.Header["Connection"] = []string{"close, X-Forwarded-User", " x-mine ,X_MCP_SCOPE", "Upgrade"}
	r.Header["Proxy-Connection"] = []string{"X-Forwarded-Email"}
	kept := http.Header{
		"Authorization": {"Basic eDp5"}, "X-Forwarded-For": {"192.0.2.1"}, "X-Forwarded-Users": {"a"}, "X-Forwarded": {"b"},
		"X-Mcp-Scopes": {"c"}, "Cookie": {"__Host-mcp_browser=1"}, "Mcp-Session-Id": {"s"},
	}
	for name, values := range kept {
		r.Header[name] = values
	}
	gateway.StripInbound(r)
	kept["Connection"] = []string{"close, x-mine"}
	if diff := cmp.Diff(kept, r.Header); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// What a person may be called upstream and what the backend is told. Values are
// left out, never altered: two people must not come to look the same.
func TestIdentityHeaderValues(t *testing.T) {
	t.Parallel()
	long := make([]string, 0, 400)
	for i := range 400 {
		long = append(long, fmt.Sprintf("acme/team-%03d", i))
	}
	for _, tt := range []struct {
		name   string
		edit   func(*identity.Identity)
		header string
		want   []string
	}{
		{"unverified e-mail", func(i *identity.Identity) { i.EmailVerified = false }, "X-Forwarded-Email", nil},
		{"non-ASCII e-mail", func(i *identity.Identity) { i.Email = "öctocat@github.example" }, "X-Forwarded-Email", nil},
		{"no e-mail", func(i *identity.Identity) { i.Email = "" }, "X-Forwarded-Email", nil},
		{"non-ASCII login", func(i *identity.Identity) { i.Login = "оctocat" }, "X-Forwarded-Preferred-Username", nil},
		{"line break in login", func(i *identity.Identity) { i.Login = "octocat\r\nX-Forwarded-User: root" }, "X-Forwarded-Preferred-Username", nil},
		{"blank around login", func(i *identity.Identity) { i.Login = " octocat" }, "X-Forwarded-Preferred-Username", nil},
		{"no groups", func(i *identity.Identity) { i.Groups = nil }, "X-Forwarded-Groups", nil},
		{"comma in a group", func(i *identity.Identity) { i.Groups = []string{"a", "b,admins", "c d"} }, "X-Forwarded-Groups", []string{"a,c d"}},
		{"non-ASCII group", func(i *identity.Identity) { i.Groups = []string{"ädmins", "a", "", "b\n"} }, "X-Forwarded-Groups", []string{"a"}},
		{"only bad groups", func(i *identity.Identity) { i.Groups = []string{"a,b", "\x00"} }, "X-Forwarded-Groups", nil},
		{"subject of a named upstream", func(i *identity.Identity) { i.ID = "1" }, "X-Forwarded-User", []string{"github:1"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, func(c *gateway.Config) { c.Resources[0].Policy = rules(t, "any") })
			var seen http.Header
			w.backend = func(_ http.ResponseWriter, r *http.Request) { seen = r.Header.Clone() }
			tok := w.issue(func(g *storage.Grant) { tt.edit(&g.Identity) })
			w.wantStatus(w.call(tok.token, "X-Forwarded-Email", "root@example.com", "X-Forwarded-Groups", "admins"), 200)
			if diff := cmp.Diff(tt.want, seen[tt.header]); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tt.header, diff)
			}
		})
	}
	t.Run("more groups than fit", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		var seen string
		w.backend = func(_ http.ResponseWriter, r *http.Request) { seen = r.Header.Get("X-Forwarded-Groups") }
		w.wantStatus(w.call(w.issue(func(g *storage.Grant) { g.Identity.Groups = long }).token), 200)
		got := strings.Split(seen, ",")
		if len(seen) > 4096 || len(seen) < 4000 || !slices.Equal(got, long[:len(got)]) {
			t.Errorf("%d bytes, %d groups", len(seen), len(got))
		}
		if n := strings.Count(w.log.String(), "groups left out of identity header"); n != 1 {
			t.Errorf("%d log lines, want one with the number", n)
		}
	})
}

// R8.9: what was meant for the gateway stays there, what was not goes on.
func TestCredentialsStayAtTheGateway(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	front, back := w.proxied()
	tok := w.issue().token
	w.wantStatus(fetch(t, "GET", front+"/mcp", nil,
		"authorization", "Bearer "+tok, "Dpop", "proof", "DPoP", "proof", "Upgrade", "websocket", "Connection", "Upgrade", "Te", "trailers",
		"Cookie", "theme=dark; __Host-mcp_browser=secret;lang=en", "Cookie", "__Host-mcp_state_abc=secret; mcp_browser_8080=secret",
		"Cookie", "last=1", "X-Custom", "kept", "Mcp-Param-Region", "=?base64?eA==?=", "Mcp-Name", "tool", "Last-Event-Id", "7",
		"Accept", "application/json, text/event-stream"), 200)
	got, _ := back.Last()
	for _, name := range []string{"Authorization", "Dpop", "DPoP", "Upgrade", "Connection", "Te", "Trailer"} {
		if v := got.Header.Values(name); len(v) > 0 {
			t.Errorf("%s reached the backend: %q", name, v)
		}
	}
	for name, want := range map[string]string{
		"Cookie": "theme=dark; lang=en; last=1", "X-Custom": "kept", "Mcp-Param-Region": "=?base64?eA==?=", "Mcp-Name": "tool",
		"Last-Event-Id": "7", "Accept": "application/json, text/event-stream",
	} {
		if v := strings.Join(got.Header.Values(name), "|"); v != want {
			t.Errorf("%s: %q, want %q", name, v, want)
		}
	}
	var wire bytes.Buffer
	_ = got.Header.Write(&wire)
	if strings.Contains(wire.String(), tok) || strings.Contains(wire.String(), "secret") {
		t.Errorf("a credential reached the backend:\n%s", &wire)
	}
}

// A query keeps its bytes but for the token that somebody put there (R8.2).
func TestAccessTokenIsDroppedFromTheQuery(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	front, back := w.proxied()
	header := bearer(w.issue().token)
	for sent, want := range map[string]string{
		"":                                 "",
		"a=1":                              "a=1",
		"access_token=x":                   "",
		"a=%41&access_token=x&b=+%20&&c":   "a=%41&b=+%20&&c",
		"access%5Ftoken=x&a":               "a",
		"%61%63cess_tok%65n=x&session=":    "session=",
		"ACCESS_TOKEN=x&a=1":               "a=1",
		"Access_Token=x":                   "",
		"access_token&a=1":                 "a=1",
		"access_token=x&access_token=y":    "",
		"my_access_token=x&a=access_token": "my_access_token=x&a=access_token",
		"a=%zz&access_token=x":             "a=%zz",
		"%zz=access_token":                 "%zz=access_token",
		"z=1&a=1&m=1":                      "z=1&a=1&m=1",
	} {
		target := front + "/mcp"
		if sent != "" {
			target += "?" + sent
		}
		w.wantStatus(fetch(t, "GET", target, nil, header...), 200)
		got, _ := back.Last()
		// ReverseProxy itself drops what it cannot parse.
		if _, err := url.ParseQuery(want); err == nil && got.RawQuery != want {
			t.Errorf("%q: backend saw %q, want %q", sent, got.RawQuery, want)
		}
		if strings.Contains(got.URI, "oken=x") && !strings.Contains(want, "oken=x") {
			t.Errorf("%q: backend saw %q", sent, got.URI)
		}
	}
}

// The handler in front of us keeps the request it has, but for its header.
func TestGuardDoesNotRewriteTheCallersURL(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *gateway.Config) { c.Resources[0].BackendPath = "/inner" })
	var inner *http.Request
	w.backend = func(_ http.ResponseWriter, r *http.Request) { inner = r }
	r := request("GET", "/mcp/x?access_token=1&a=2", "", bearer(w.issue().token)...)
	before := *r.URL
	w.wantStatus(w.do(r), 200)
	if *r.URL != before {
		t.Errorf("URL became %v", r.URL)
	}
	if got := inner.URL.String(); got != issuer+"/inner/x?a=2" || inner.RequestURI != "/inner/x?a=2" {
		t.Errorf("backend's URL %s, request URI %s", got, inner.RequestURI)
	}
}
