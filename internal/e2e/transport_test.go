// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/caddy-mcp/caddy-mcp-oauth/internal/testmcp"
)

// progressLog collects progress messages.
type progressLog struct {
	mu       sync.Mutex
	messages []string
}

func (p *progressLog) add(_ context.Context, r *mcp.ProgressNotificationClientRequest) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.messages = append(p.messages, r.Params.Message)
}

func (p *progressLog) all() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.messages)
}

// Sessions as the revisions up to 2025-11-25 have them: assigned, used for
// messages of the server's own, resumed after a lost stream, and ended.
func TestSessionsPassThrough(t *testing.T) {
	server := testmcp.NewServer()
	g := startGateway(t, config{backend: serveBackend(t, testmcp.Stateful(server))})
	var log progressLog
	changed := make(chan struct{}, 1)
	c := newClient(t, newPerson())
	session := c.mustConnect(t, g.url, &mcp.ClientOptions{
		ProgressNotificationHandler: log.add,
		ResourceListChangedHandler: func(context.Context, *mcp.ResourceListChangedRequest) {
			select {
			case changed <- struct{}{}:
			default:
			}
		},
	})
	if session.ID() == "" {
		t.Fatal("no session id")
	}
	if v := session.InitializeResult().ProtocolVersion; v != "2025-11-25" {
		t.Errorf("protocol version %q, want 2025-11-25", v)
	}

	t.Run("the server speaks first on the GET stream", func(t *testing.T) {
		server.AddResource(&mcp.Resource{URI: "demo://new", Name: "new"}, nil)
		select {
		case <-changed:
		case <-time.After(patience):
			t.Fatal("the notification did not arrive")
		}
	})
	t.Run("progress arrives during the call", func(t *testing.T) {
		params := &mcp.CallToolParams{Name: testmcp.ToolCountdown, Arguments: testmcp.CountdownInput{From: 3}}
		params.SetProgressToken("countdown")
		if _, err := session.CallTool(t.Context(), params); err != nil {
			t.Fatal(err)
		}
		eventually(t, "progress", func() bool { return len(log.all()) == 3 })
		if diff := cmp.Diff([]string{"3…", "2…", "1…"}, log.all()); diff != "" {
			t.Errorf("progress (-want +got):\n%s", diff)
		}
	})
	t.Run("a lost stream is resumed", func(t *testing.T) {
		params := &mcp.CallToolParams{Name: testmcp.ToolReconnect}
		params.SetProgressToken("reconnect")
		res, err := session.CallTool(t.Context(), params)
		if err != nil {
			t.Fatal(err)
		}
		if text := res.Content[0].(*mcp.TextContent).Text; text != "resumed" {
			t.Errorf("result %q", text)
		}
		eventually(t, "both halves", func() bool { return slices.Contains(log.all(), "after") })
	})
	t.Run("DELETE ends it", func(t *testing.T) {
		id := session.ID()
		if err := session.Close(); err != nil {
			t.Fatal(err)
		}
		trace := c.wire.trace()
		if last := trace[len(trace)-1]; last != (step{method: http.MethodDelete, path: "/mcp", status: http.StatusNoContent}) {
			t.Errorf("last request %v, want a DELETE that is answered 204", last)
		}
		resp, err := bearer(t.Context(), http.MethodPost, g.url, c.wire.last(t).Access,
			[]byte(`{"jsonrpc":"2.0","id":9,"method":"ping"}`),
			http.Header{"Mcp-Session-Id": {id}, "Mcp-Protocol-Version": {"2025-11-25"}})
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != http.StatusNotFound {
			t.Errorf("the ended session answers %s, want the server's 404", resp.Status)
		}
	})
}

// A session id is worth nothing in other hands: the backend has no users, so
// whoever learned an id could otherwise speak in somebody else's session
// (R10.16).
func TestSessionOfSomebodyElseIsNotFound(t *testing.T) {
	g := startGateway(t, config{
		backend: serveBackend(t, testmcp.Stateful(testmcp.NewServer())),
		gateway: []string{"allow any"},
	})
	alice := newClient(t, newPerson())
	session := alice.mustConnect(t, g.url, nil)
	g.github.SignIn(666)
	mallory := newClient(t, newPerson())
	mallory.mustConnect(t, g.url, nil)

	ping := []byte(`{"jsonrpc":"2.0","id":1,"method":"ping"}`)
	for name, tc := range map[string]struct {
		token, id string
		want      int
	}{
		"her own":           {token: alice.wire.last(t).Access, id: session.ID(), want: http.StatusOK},
		"somebody else's":   {token: mallory.wire.last(t).Access, id: session.ID(), want: http.StatusNotFound},
		"the backend's own": {token: alice.wire.last(t).Access, id: session.ID()[:strings.LastIndexByte(session.ID(), '.')], want: http.StatusNotFound},
		"a made-up one":     {token: mallory.wire.last(t).Access, id: "x.y", want: http.StatusNotFound},
	} {
		for _, method := range []string{http.MethodPost, http.MethodDelete} {
			if method == http.MethodDelete && tc.want == http.StatusOK {
				continue // it would end the session under the other cases
			}
			t.Run(name+" "+method, func(t *testing.T) {
				resp, err := bearer(t.Context(), method, g.url, tc.token, ping,
					http.Header{"Mcp-Session-Id": {tc.id}, "Mcp-Protocol-Version": {"2025-11-25"}})
				if err != nil {
					t.Fatal(err)
				}
				_ = resp.Body.Close()
				if resp.StatusCode != tc.want {
					t.Errorf("status %d, want %d", resp.StatusCode, tc.want)
				}
			})
		}
	}
}

// Revision 2026-07-28: no session, every request for itself, and a GET is not
// offered.
func TestStatelessRevisionPassesThrough(t *testing.T) {
	g := startGateway(t, config{backend: serveBackend(t, testmcp.Stateless(testmcp.NewServer()))})
	var log progressLog
	c := newClient(t, newPerson())
	session := c.mustConnect(t, g.url, &mcp.ClientOptions{ProgressNotificationHandler: log.add})
	if v := session.InitializeResult().ProtocolVersion; v != "2026-07-28" {
		t.Errorf("protocol version %q, want 2026-07-28", v)
	}
	if session.ID() != "" {
		t.Errorf("session id %q, want none", session.ID())
	}
	if diff := cmp.Diff(octocat, whoAmI(t, session), ignoreClientID); diff != "" {
		t.Errorf("identity (-want +got):\n%s", diff)
	}
	params := &mcp.CallToolParams{Name: testmcp.ToolCountdown, Arguments: testmcp.CountdownInput{From: 2}}
	params.SetProgressToken("p")
	if _, err := session.CallTool(t.Context(), params); err != nil {
		t.Fatal(err)
	}
	eventually(t, "progress", func() bool { return len(log.all()) == 2 })

	resp, err := bearer(t.Context(), http.MethodGet, g.url, c.wire.last(t).Access, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("GET answers %s, want the server's 405", resp.Status)
	}
}

// The transport of 2024-11-05 has two paths; both are the one resource.
func TestLegacyTransportPassesThrough(t *testing.T) {
	g := startGateway(t, config{
		path: "/sse", backend: serveBackend(t, testmcp.Legacy()), gateway: []string{"also /messages"},
	})
	for _, path := range []string{"/sse", "/messages"} {
		resp, err := bearer(t.Context(), http.MethodPost, g.origin+path, "", []byte(`{}`), nil)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		want := g.origin + "/.well-known/oauth-protected-resource" + path
		if got := resp.Header.Get("WWW-Authenticate"); resp.StatusCode != http.StatusUnauthorized || !strings.Contains(got, `"`+want+`"`) {
			t.Errorf("%s answers %d, %q; want 401 naming %s", path, resp.StatusCode, got, want)
		}
	}
	token := signIn(t, g)
	session, err := mcp.NewClient(&mcp.Implementation{Name: "e2e", Version: "1"}, nil).Connect(t.Context(),
		&mcp.SSEClientTransport{Endpoint: g.url, HTTPClient: &http.Client{Transport: withToken(token)}}, nil)
	if err != nil {
		t.Fatalf("connect: %v", err)
	}
	t.Cleanup(func() { _ = session.Close() })
	if diff := cmp.Diff(octocat, whoAmI(t, session), ignoreClientID); diff != "" {
		t.Errorf("identity (-want +got):\n%s", diff)
	}
}

// withToken authorizes requests of a transport that knows no OAuth.
type withToken string

func (token withToken) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+string(token))
	return network.RoundTrip(r)
}

// A backend as people have it, on loopback and with its protection against DNS
// rebinding on, takes requests that came in under the public name.
func TestBackendWithRebindingProtectionAcceptsThePublicName(t *testing.T) {
	var hosts testmcp.Scripted
	hosts.Always(testmcp.JSON(http.StatusOK, "{}"))
	g := startGateway(t, config{backend: serveBackend(t, &hosts)})
	token := signIn(t, g)
	resp, err := bearer(t.Context(), http.MethodPost, g.url, token, []byte(`{}`), nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	r, ok := hosts.Last()
	if !ok {
		t.Fatal("nothing arrived")
	}
	if host, _, _ := strings.Cut(r.Host, ":"); host != "127.0.0.1" {
		t.Errorf("the backend sees Host %q: an MCP server that listens on 127.0.0.1 refuses foreign names", r.Host)
	}
	if got := r.Header.Get("X-Forwarded-Host"); got != strings.TrimPrefix(g.origin, "http://") {
		t.Errorf("X-Forwarded-Host %q, want the public name", got)
	}
}
