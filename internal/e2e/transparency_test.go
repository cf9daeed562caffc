// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/caddy-mcp/caddy-mcp-oauth/internal/testmcp"
)

// startScripted puts a recording backend behind a gateway and signs octocat in.
func startScripted(t *testing.T, c config) (*gateway, *testmcp.Scripted, string) {
	t.Helper()
	backend := &testmcp.Scripted{}
	c.backend = serveBackend(t, backend)
	g := startGateway(t, c)
	return g, backend, signIn(t, g)
}

// signIn gets an access token without any MCP traffic.
func signIn(t *testing.T, g *gateway) string {
	t.Helper()
	return signInSet(t, g).Access
}

// signInSet is signIn with all that came with the token.
func signInSet(t *testing.T, g *gateway) tokenSet {
	t.Helper()
	return signInBy(t, g, newPerson())
}

// signInBy is signInSet for somebody with a browser of their own choice.
func signInBy(t *testing.T, g *gateway, p *person) tokenSet {
	t.Helper()
	c := newClient(t, p)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, g.url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := network.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.oauth.Authorize(t.Context(), req, resp); err != nil {
		t.Fatalf("authorize: %v", err)
	}
	return c.wire.last(t)
}

// overBoth runs a test over HTTP/1.1 and over HTTP/2, where streams end, and
// clients leave, in different ways.
func overBoth(t *testing.T, test func(t *testing.T, g *gateway, backend *testmcp.Scripted, token string)) {
	t.Helper()
	for proto, host := range map[string]string{"HTTP/1.1": "", "HTTP/2.0": "mcp" + publicDomain} {
		t.Run(proto, func(t *testing.T) {
			g, backend, token := startScripted(t, config{host: host})
			resp, err := bearer(t.Context(), http.MethodPost, g.url, token, []byte(`{}`), nil)
			if err != nil {
				t.Fatal(err)
			}
			if readAll(t, resp); resp.Proto != proto {
				t.Fatalf("spoke %s, want %s", resp.Proto, proto)
			}
			test(t, g, backend, token)
		})
	}
}

// Each event is on the client's side of the gateway before the backend sends the
// next: nothing collects a stream.
func TestEventsAreNotBuffered(t *testing.T) {
	overBoth(t, func(t *testing.T, g *gateway, backend *testmcp.Scripted, token string) {
		stream := testmcp.NewStream(http.Header{"X-Accel-Buffering": {"no"}, "Mcp-Custom": {"kept"}})
		backend.Next(stream.Reply)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		resp, err := bearer(ctx, http.MethodGet, g.url, token, nil,
			http.Header{"Accept": {"text/event-stream"}, "Accept-Encoding": {"gzip"}})
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		for name, want := range map[string]string{
			"Content-Type": "text/event-stream", "X-Accel-Buffering": "no", "Mcp-Custom": "kept", "Content-Encoding": "",
		} {
			if got := resp.Header.Get(name); got != want {
				t.Errorf("%s: %q, want %q", name, got, want)
			}
		}
		lines := bufio.NewReader(resp.Body)
		for _, chunk := range []string{": keep-alive\n", "id: 1\n", "retry: 10\n", "data: {\"a\":1}\r\n", "\n", "event: x\rdata: y\r\n"} {
			if err := stream.Send(ctx, chunk); err != nil {
				t.Fatalf("send %q: %v", chunk, err)
			}
			if got, err := lines.ReadString('\n'); err != nil || got != chunk {
				t.Fatalf("read %q, %v; want %q before the next is sent", got, err, chunk)
			}
		}
		cancel()
		await(t, stream.Disconnected(), "the backend's notice that the client left")
	})
}

// In revision 2026-07-28 closing the connection cancels the request, so the
// backend has to hear of it at once, before it has answered anything (R10.20).
func TestClientDisconnectReachesTheBackend(t *testing.T) {
	overBoth(t, func(t *testing.T, g *gateway, backend *testmcp.Scripted, token string) {
		hang := testmcp.NewHang()
		t.Cleanup(hang.Release)
		backend.Next(hang.Reply)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() {
			resp, err := bearer(ctx, http.MethodPost, g.url, token, []byte(`{"jsonrpc":"2.0","id":1,"method":"tools/call"}`), nil)
			if err == nil {
				_ = resp.Body.Close()
			}
			done <- err
		}()
		await(t, hang.Started(), "the request")
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("the client got %v, want its own cancellation", err)
		}
		await(t, hang.Disconnected(), "the backend's notice that the client left")
	})
}

// Clients of both eras decide by status and body of a backend's error what kind
// of server they talk to (R10.2): not one byte may differ.
func TestBackendErrorsAreByteExact(t *testing.T) {
	g, backend, token := startScripted(t, config{})
	for _, status := range []int{400, 402, 403, 404, 405, 406, 409, 413, 415, 421, 429, 500, 501, 503} {
		body := []byte("{\"jsonrpc\":\"2.0\",\"id\":1,\"error\":{\"code\":-32022,\"message\":\"\u00fc\"}}\r\n \x00\xff")
		header := http.Header{
			"Content-Type": {"application/json; charset=x"}, "Allow": {"POST"}, "Retry-After": {"7"}, "X-Custom": {"a", "b"},
		}
		backend.Next(testmcp.Respond(status, header, body))
		resp, err := bearer(t.Context(), http.MethodPost, g.url, token, []byte(`{}`), nil)
		if err != nil {
			t.Fatal(err)
		}
		got := readAll(t, resp)
		if resp.StatusCode != status || got != string(body) {
			t.Errorf("%d: got %d %q, want %q", status, resp.StatusCode, got, body)
		}
		for name, want := range header {
			if diff := cmp.Diff(want, resp.Header.Values(name)); diff != "" {
				t.Errorf("%d: header %s (-want +got):\n%s", status, name, diff)
			}
		}
	}
}

// 202 without a body answers a notification, and stays that.
func TestAcceptedNotificationStaysAccepted(t *testing.T) {
	g, backend, token := startScripted(t, config{})
	backend.Next(testmcp.Respond(http.StatusAccepted, nil, nil))
	resp, err := bearer(t.Context(), http.MethodPost, g.url, token, []byte(`{"jsonrpc":"2.0","method":"notifications/x"}`), nil)
	if err != nil {
		t.Fatal(err)
	}
	if body := readAll(t, resp); resp.StatusCode != http.StatusAccepted || body != "" {
		t.Errorf("got %d %q, want an empty 202", resp.StatusCode, body)
	}
}

// The backend receives what the client sent, minus what is between client and
// gateway, plus who the client is.
func TestRequestReachesTheBackendAsSent(t *testing.T) {
	g, backend, token := startScripted(t, config{})
	backend.Always(testmcp.JSON(http.StatusOK, "{}"))
	body := []byte("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\",\"params\":{\"name\":\"\\u0000x\"}}\n\n")
	header := http.Header{
		"Mcp-Method": {"tools/call"}, "Mcp-Name": {"=?base64?w7w=?="}, "Mcp-Param-Region": {"eu", "us"},
		"Mcp-Protocol-Version": {"2026-07-28"}, "Last-Event-Id": {"s_1"}, "Traceparent": {"00-a-b-01"},
		"Cookie": {"theirs=1; mcp_browser_8080=x"}, "Dpop": {"proof"},
		"X-Forwarded-User": {"github:1"}, "X_Forwarded_Email": {"root@example.com"}, "X-Mcp-Client-Id": {"forged"},
		"X.Forwarded.Groups": {"admins"}, "X-Mcp-Jwt-Assertion": {"forged"},
	}
	resp, err := bearer(t.Context(), http.MethodPost, g.url+"?access_token=stolen&q=%20x", token, body, header)
	if err != nil {
		t.Fatal(err)
	}
	if text := readAll(t, resp); resp.StatusCode != http.StatusOK {
		t.Fatalf("status %d: %s", resp.StatusCode, text)
	}
	got, ok := backend.Last()
	if !ok {
		t.Fatal("nothing arrived")
	}
	if got.Method != http.MethodPost || got.Path != "/mcp" || string(got.Body) != string(body) {
		t.Errorf("arrived as %s %s %q", got.Method, got.Path, got.Body)
	}
	if q := got.Query(); q.Has("access_token") || q.Get("q") != " x" {
		t.Errorf("query %q, want it without access_token", got.RawQuery)
	}
	for _, name := range []string{"Mcp-Method", "Mcp-Name", "Mcp-Param-Region", "Mcp-Protocol-Version", "Last-Event-Id", "Traceparent"} {
		if diff := cmp.Diff(header[name], got.Header[name]); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	if diff := cmp.Diff(octocat, testmcp.IdentityOf(got.Header), ignoreClientID, ignoreCookie); diff != "" {
		t.Errorf("identity (-want +got):\n%s", diff)
	}
	for name, values := range got.Header {
		text := strings.Join(values, "\n")
		for _, leak := range []string{token, "forged", "root@example.com", "admins", "mcp_browser", "proof", "stolen"} {
			if strings.Contains(text, leak) {
				t.Errorf("%s: %q reached the backend", name, text)
			}
		}
	}
	if got := got.Header.Get("Cookie"); got != "theirs=1" {
		t.Errorf("Cookie %q, want only the backend's own", got)
	}
}

// What only the gateway may say does not come from the backend.
func TestBackendCannotSpeakForTheGateway(t *testing.T) {
	g, backend, token := startScripted(t, config{})
	t.Run("its 401 is a 502 without challenge", func(t *testing.T) {
		backend.Next(testmcp.Challenge(`Bearer resource_metadata="https://evil.example/x"`))
		resp, err := bearer(t.Context(), http.MethodPost, g.url, token, []byte(`{}`), nil)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != http.StatusBadGateway || resp.Header.Get("WWW-Authenticate") != "" {
			t.Errorf("got %d, challenge %q; want a bare 502", resp.StatusCode, resp.Header.Get("WWW-Authenticate"))
		}
	})
	t.Run("its cookies are not ours, its CORS not heard", func(t *testing.T) {
		backend.Next(testmcp.Respond(http.StatusOK, http.Header{
			"Set-Cookie":                  {"mcp_browser=evil; Path=/", "theirs=1", "__Host-mcp_state_1=evil; Path=/; Secure"},
			"Access-Control-Allow-Origin": {"*"}, "Access-Control-Allow-Credentials": {"true"},
		}, nil))
		resp, err := bearer(t.Context(), http.MethodPost, g.url, token, []byte(`{}`), http.Header{"Origin": {g.origin}})
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if diff := cmp.Diff([]string{"theirs=1"}, resp.Header["Set-Cookie"]); diff != "" {
			t.Errorf("Set-Cookie (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff([]string{g.origin}, resp.Header["Access-Control-Allow-Origin"]); diff != "" {
			t.Errorf("Access-Control-Allow-Origin (-want +got):\n%s", diff)
		}
		if got := resp.Header.Get("Access-Control-Allow-Credentials"); got != "" {
			t.Errorf("Access-Control-Allow-Credentials %q", got)
		}
	})
	t.Run("its own address becomes public", func(t *testing.T) {
		for from, want := range map[string]string{
			"http://BACKEND/mcp/":         g.origin + "/mcp/",
			"/mcp/":                       "/mcp/",
			"https://elsewhere.example/x": "https://elsewhere.example/x",
		} {
			backend.Next(testmcp.Redirect(http.StatusTemporaryRedirect, strings.Replace(from, "BACKEND", g.backend, 1)))
			resp, err := bearer(t.Context(), http.MethodPost, g.url, token, []byte(`{}`), nil)
			if err != nil {
				t.Fatal(err)
			}
			_ = resp.Body.Close()
			if got := resp.Header.Get("Location"); got != want {
				t.Errorf("Location %q became %q, want %q", from, got, want)
			}
		}
	})
}

// A backend that dies in the middle of a stream is not papered over: the client
// sees the stream break, and can resume it.
func TestBrokenStreamStaysBroken(t *testing.T) {
	g, backend, token := startScripted(t, config{})
	backend.Next(testmcp.Abort(http.Header{"Content-Type": {"text/event-stream"}}, []byte("data: half")))
	resp, err := bearer(t.Context(), http.MethodPost, g.url, token, []byte(`{}`), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if string(body) != "data: half" || err == nil {
		t.Errorf("read %q, %v; want the half and an error", body, err)
	}
}

// No backend is no reason to say anything but that: 502, no challenge, and no
// sign-in that could not help.
func TestMissingBackendIsABadGateway(t *testing.T) {
	g := startGateway(t, config{backend: "127.0.0.1:1"})
	resp, err := bearer(t.Context(), http.MethodPost, g.url, signIn(t, g), []byte(`{}`), nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusBadGateway || resp.Header.Get("WWW-Authenticate") != "" {
		t.Errorf("got %d, challenge %q; want a bare 502", resp.StatusCode, resp.Header.Get("WWW-Authenticate"))
	}
}

// No spelling of the path gets past the guard: whatever the backend or Caddy
// would make of it, without a token nothing arrives.
func TestNoPathTrickReachesTheBackend(t *testing.T) {
	g, backend, token := startScripted(t, config{})
	backend.Always(testmcp.JSON(http.StatusOK, "{}"))
	tricks := []string{
		"/MCP", "/mcp/", "//mcp", "/./mcp", "/x/../mcp", "/mcp/..", "/%6dcp", "/mcp%2f", "/mcp%2F..%2Fx", "/mcp;x=1",
		"/mcp/%2e%2e/x", "/mcp\\x", "/mcp%5cx", "/mcp%00", "/mcp?x", "/mcp%3fx", "/mcp/x", "/mcp//x", "/mcp%252fx",
	}
	for _, path := range tricks {
		resp, err := rawRequest(t.Context(), g, path, "")
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		if resp.StatusCode == http.StatusOK && resp.Header.Get("Content-Type") == "application/json" {
			t.Errorf("%s: answered %s without a token", path, resp.Status)
		}
	}
	if seen := backend.Requests(); len(seen) > 0 {
		t.Errorf("%d requests reached the backend without a token, the first as %s", len(seen), seen[0].URI)
	}
	// With a token, only what is the resource's path, or below it, arrives.
	for _, path := range tricks {
		if _, err := rawRequest(t.Context(), g, path, token); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
	}
	for _, r := range backend.Requests() {
		if !strings.HasPrefix(strings.ToLower(r.Path), "/mcp") || strings.Contains(r.URI, "%2") || strings.Contains(r.URI, "..") {
			t.Errorf("%q reached the backend", r.URI)
		}
	}
}
