// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bufio"
	"context"
	"net/http"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/caddy-mcp/caddy-mcp-oauth/internal/testmcp"
	"github.com/caddy-mcp/caddy-mcp-oauth/internal/testproc"
)

// reload loads the Caddyfile as written by configure into the running Caddy.
func (g *gateway) reload() error {
	g.t.Helper()
	cmd := exec.CommandContext(g.t.Context(), testproc.Caddy.Path(g.t), "reload", "--force",
		"--adapter", "caddyfile", "--config", g.caddyfile(), "--address", g.admin)
	out, err := cmd.CombinedOutput()
	g.t.Logf("reload: %v %s", err, testproc.LastLines(string(out), 3))
	return err
}

// liveStream is an SSE response that a client is reading.
type liveStream struct {
	*testmcp.Stream
	lines *bufio.Reader
}

func openStream(t *testing.T, g *gateway, backend *testmcp.Scripted, token string) *liveStream {
	t.Helper()
	stream := testmcp.NewStream(nil)
	backend.Next(stream.Reply)
	resp, err := bearer(t.Context(), http.MethodGet, g.url, token, nil, http.Header{"Accept": {"text/event-stream"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = resp.Body.Close() })
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("stream: %s", resp.Status)
	}
	return &liveStream{Stream: stream, lines: bufio.NewReader(resp.Body)}
}

// passes checks that an event gets through.
func (s *liveStream) passes(t *testing.T, event string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := s.Send(ctx, event+"\n"); err != nil {
		t.Fatalf("send %q: %v", event, err)
	}
	if got, err := s.lines.ReadString('\n'); err != nil || got != event+"\n" {
		t.Fatalf("read %q, %v; want %q", got, err, event)
	}
}

// ends checks that the stream is over, on both sides.
func (s *liveStream) ends(t *testing.T) {
	t.Helper()
	await(t, s.Disconnected(), "the end of the stream at the backend")
	done := make(chan error, 1)
	go func() {
		_, err := s.lines.ReadString('\n')
		done <- err
	}()
	select {
	case err := <-done:
		if err == nil {
			t.Error("the stream went on")
		}
	case <-time.After(patience):
		t.Error("the client's side is still open")
	}
}

// A reload changes the configuration and nothing else: who is connected stays
// connected, on an open stream as between two requests.
func TestReloadIsANonEvent(t *testing.T) {
	c := config{adminAPI: true}
	g, backend, token := startScripted(t, c)
	c.backend = g.backend
	stream := openStream(t, g, backend, token)
	stream.passes(t, "data: before")

	c.gateway = []string{`name "Renamed"`}
	g.configure(c)
	if err := g.reload(); err != nil {
		t.Fatalf("reload: %v", err)
	}
	if got := resourceName(t, g); !strings.Contains(got, "Renamed") {
		t.Fatalf("the new configuration is not served: %s", got)
	}
	stream.passes(t, "data: after")
	backend.Always(testmcp.JSON(http.StatusOK, "{}"))
	if !usable(t, g, token) {
		t.Error("the token is no longer accepted")
	}

	// A configuration that cannot work changes nothing at all.
	c.gateway = []string{"nonsense"}
	g.configure(c)
	if err := g.reload(); err == nil {
		t.Error("nonsense was loaded")
	}
	stream.passes(t, "data: still")
	if !usable(t, g, token) {
		t.Error("a failed reload broke the running configuration")
	}

	// A configuration that fails only when it is started does not, either.
	c.gateway = []string{"allow nobody:at-all"}
	g.configure(c)
	if err := g.reload(); err == nil {
		t.Error("an unknown rule was loaded")
	}
	stream.passes(t, "data: and still")
}

// A reload that takes somebody off the list takes them off their streams.
func TestReloadEndsStreamsOfWhoIsNoLongerAllowed(t *testing.T) {
	c := config{adminAPI: true}
	g, backend, token := startScripted(t, c)
	c.backend = g.backend
	stream := openStream(t, g, backend, token)
	stream.passes(t, "data: before")
	c.gateway = []string{"allow user:somebody-else"}
	g.configure(c)
	if err := g.reload(); err != nil {
		t.Fatalf("reload: %v", err)
	}
	stream.ends(t)
}

// Stopping Caddy does not wait for streams that would never end.
func TestExitEndsStreams(t *testing.T) {
	g, backend, token := startScripted(t, config{})
	stream := openStream(t, g, backend, token)
	stream.passes(t, "data: before")
	g.stop()
	stream.ends(t)
}

// resourceName reads the metadata document of the resource.
func resourceName(t *testing.T, g *gateway) string {
	t.Helper()
	resp, err := bearer(t.Context(), http.MethodGet, g.origin+"/.well-known/oauth-protected-resource/mcp", "", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	return readAll(t, resp)
}
