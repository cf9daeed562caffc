// SPDX-License-Identifier: Apache-2.0

package testmcp_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/caddy-mcp/caddy-mcp-oauth/internal/testmcp"
)

// transports are the ways a client reaches the sample server.
var transports = []struct {
	name    string
	handler func() http.Handler
	client  func(url string, c *http.Client) mcp.Transport
	version string
}{
	{
		name:    "stateful",
		handler: func() http.Handler { return testmcp.Stateful(testmcp.NewServer()) },
		client:  streamable, version: "2025-11-25",
	},
	{
		name:    "stateless",
		handler: func() http.Handler { return testmcp.Stateless(testmcp.NewServer()) },
		client:  streamable, version: "2026-07-28",
	},
	{
		name:    "legacy",
		handler: testmcp.Legacy,
		client: func(url string, c *http.Client) mcp.Transport {
			return &mcp.SSEClientTransport{Endpoint: url + testmcp.LegacyStreamPath, HTTPClient: c}
		},
		version: "2025-11-25",
	},
}

func streamable(url string, c *http.Client) mcp.Transport {
	return &mcp.StreamableClientTransport{Endpoint: url + "/mcp", HTTPClient: c}
}

// withHeader adds fixed headers to every request, as a gateway would.
type withHeader http.Header

func (h withHeader) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	for name, values := range h {
		r.Header[name] = values
	}
	return http.DefaultTransport.RoundTrip(r)
}

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

func connect(t *testing.T, transport mcp.Transport, opts *mcp.ClientOptions) *mcp.ClientSession {
	t.Helper()
	session, err := mcp.NewClient(&mcp.Implementation{Name: "test", Version: "1"}, opts).
		Connect(t.Context(), transport, nil)
	if err != nil {
		t.Fatalf("connect: %v", err)
	}
	t.Cleanup(func() { _ = session.Close() })
	return session
}

// call calls a tool and returns the text of its result.
func call(t *testing.T, s *mcp.ClientSession, p *mcp.CallToolParams) string {
	t.Helper()
	res, err := s.CallTool(t.Context(), p)
	if err != nil {
		t.Fatalf("call %s: %v", p.Name, err)
	}
	if len(res.Content) != 1 {
		t.Fatalf("call %s: %d content parts, want 1", p.Name, len(res.Content))
	}
	text, ok := res.Content[0].(*mcp.TextContent)
	if !ok || res.IsError {
		t.Fatalf("call %s: result %+v, want a text and no error", p.Name, res.Content[0])
	}
	return text.Text
}

func TestSampleOverEveryTransport(t *testing.T) {
	t.Parallel()
	for _, tc := range transports {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(tc.handler())
			t.Cleanup(server.Close)
			client := &http.Client{Transport: withHeader{
				"X-Forwarded-User":               {"github:583231"},
				"X-Forwarded-Preferred-Username": {"octocat"},
				"X-Forwarded-Groups":             {"acme,acme/dev", "smuggled"},
				"X-Mcp-Client-Id":                {"client-1"},
				"Cookie":                         {"session=1"},
			}}
			var log progressLog
			session := connect(t, tc.client(server.URL, client),
				&mcp.ClientOptions{ProgressNotificationHandler: log.add})

			if got := session.InitializeResult().ProtocolVersion; got != tc.version {
				t.Errorf("protocol version %q, want %q", got, tc.version)
			}
			var who testmcp.WhoAmI
			text := call(t, session, &mcp.CallToolParams{Name: testmcp.ToolWhoAmI})
			if err := json.Unmarshal([]byte(text), &who); err != nil {
				t.Fatalf("whoami returned %q: %v", text, err)
			}
			want := testmcp.WhoAmI{
				User: "github:583231", PreferredUsername: "octocat",
				Groups: "acme,acme/dev, smuggled", ClientID: "client-1", Cookie: true,
			}
			if diff := cmp.Diff(want, who); diff != "" {
				t.Errorf("whoami (-want +got):\n%s", diff)
			}
			sum := call(t, session, &mcp.CallToolParams{
				Name: testmcp.ToolAdd, Arguments: testmcp.AddInput{A: 2, B: 40},
			})
			if sum != `{"sum":42}` {
				t.Errorf("add returned %s", sum)
			}
			counted := &mcp.CallToolParams{
				Name: testmcp.ToolCountdown, Arguments: testmcp.CountdownInput{From: 3},
			}
			counted.SetProgressToken("p")
			if got := call(t, session, counted); got != "lift-off" {
				t.Errorf("countdown returned %q", got)
			}
			eventually(t, func() bool { return len(log.all()) == 3 })
			if diff := cmp.Diff([]string{"3…", "2…", "1…"}, log.all()); diff != "" {
				t.Errorf("progress (-want +got):\n%s", diff)
			}
		})
	}
}

func TestResourceAndPrompt(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(testmcp.Stateful(testmcp.NewServer()))
	t.Cleanup(server.Close)
	session := connect(t, streamable(server.URL, nil), nil)

	about, err := session.ReadResource(t.Context(), &mcp.ReadResourceParams{URI: testmcp.ResourceAbout})
	if err != nil {
		t.Fatalf("read resource: %v", err)
	}
	if len(about.Contents) != 1 || about.Contents[0].Text == "" {
		t.Errorf("resource contents %+v, want one text", about.Contents)
	}
	greeting, err := session.GetPrompt(t.Context(), &mcp.GetPromptParams{
		Name: testmcp.PromptGreet, Arguments: map[string]string{"name": "Ada"},
	})
	if err != nil {
		t.Fatalf("get prompt: %v", err)
	}
	want := []*mcp.PromptMessage{{Role: "user", Content: &mcp.TextContent{Text: "Say hello to Ada."}}}
	if diff := cmp.Diff(want, greeting.Messages); diff != "" {
		t.Errorf("prompt (-want +got):\n%s", diff)
	}
}

// A call whose stream the server closed half way still delivers everything,
// because the client resumes it: the story a proxy must not get in the way of.
func TestReconnectIsResumed(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(testmcp.Stateful(testmcp.NewServer()))
	t.Cleanup(server.Close)
	var log progressLog
	session := connect(t, streamable(server.URL, nil),
		&mcp.ClientOptions{ProgressNotificationHandler: log.add})
	params := &mcp.CallToolParams{Name: testmcp.ToolReconnect}
	params.SetProgressToken("p")
	if got := call(t, session, params); got != "resumed" {
		t.Errorf("reconnect returned %q", got)
	}
	eventually(t, func() bool { return len(log.all()) == 2 })
}

// Nobody gets to occupy the sample server: out-of-range countdowns are refused.
func TestCountdownIsBounded(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(testmcp.Stateless(testmcp.NewServer()))
	t.Cleanup(server.Close)
	session := connect(t, streamable(server.URL, nil), nil)
	for _, in := range []testmcp.CountdownInput{{From: -1}, {From: 101}, {From: 1, PauseMS: -1}, {From: 1, PauseMS: 5001}} {
		res, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: testmcp.ToolCountdown, Arguments: in})
		if err != nil {
			t.Fatalf("call: %v", err)
		}
		if !res.IsError {
			t.Errorf("countdown %+v was accepted", in)
		}
	}
}

// The legacy transport knows a session only as long as its stream is open.
func TestLegacySessionEndsWithItsStream(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(testmcp.Legacy())
	t.Cleanup(server.Close)
	resp, err := http.Post(server.URL+testmcp.LegacyMessagesPath+"?sessionId=unknown", "application/json", nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusNotFound {
		t.Errorf("unknown session: status %d, want 404", resp.StatusCode)
	}
}

// eventually polls for a condition another goroutine brings about.
func eventually(t *testing.T, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Error("condition not met within 5 s")
}
