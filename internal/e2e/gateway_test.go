// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/caddy-mcp/caddy-mcp-oauth/internal/testidp"
)

// patience bounds everything that is waited for. It is long because the machine
// may be busy, and never slept through.
const patience = time.Minute

// gateway is a Caddy with our module, running as a process of its own.
type gateway struct {
	t *testing.T
	// origin is the issuer, url the resource.
	origin, url string
	// backend is the address in the Caddyfile, admin that of the admin API.
	backend, admin string
	github         *testidp.Server
	dir            string
	log            *logBuffer

	cmd    *exec.Cmd
	exited chan struct{}
}

// startGateway runs a gateway until the test ends. The fake GitHub has octocat,
// who approves everything at once, and mallory, whom nobody allowed.
func startGateway(t *testing.T, c config) *gateway {
	t.Helper()
	port := freePort(t)
	g := &gateway{
		t: t, origin: c.origin(port), admin: fmt.Sprintf("localhost:%d", freePort(t)),
		backend: c.backend, github: testidp.Start(t), dir: t.TempDir(), log: &logBuffer{},
	}
	path := c.path
	if path == "" {
		path = "/mcp"
	}
	g.url = g.origin + path
	g.github.AddUser(testidp.Octocat())
	g.github.AddUser(testidp.User{ID: 666, Login: "mallory"})
	g.github.SignIn(testidp.Octocat().ID)
	g.github.SetRedirectURIs(g.origin + "/callback/github")
	g.configure(c)
	g.start()
	t.Cleanup(g.finish)
	return g
}

// configure writes the Caddyfile that the next start reads.
func (g *gateway) configure(c config) {
	g.t.Helper()
	block := githubBlock(g.github.URL, g.github.ClientID(), g.github.ClientSecret())
	text := c.render(g.origin, g.admin, filepath.Join(g.dir, "state.db"), block)
	if err := os.WriteFile(g.caddyfile(), []byte(text), 0o600); err != nil {
		g.t.Fatal(err)
	}
}

func (g *gateway) caddyfile() string { return filepath.Join(g.dir, "Caddyfile") }

// start runs Caddy and waits until the resource is guarded.
func (g *gateway) start() {
	g.t.Helper()
	binary, err := caddyBinary()
	if err != nil {
		g.t.Fatal(err)
	}
	cmd := exec.Command(binary, "run", "--adapter", "caddyfile", "--config", g.caddyfile())
	cmd.Env = append(os.Environ(), "XDG_DATA_HOME="+g.dir, "XDG_CONFIG_HOME="+g.dir)
	cmd.Stdout, cmd.Stderr = g.log, g.log
	if err := cmd.Start(); err != nil {
		g.t.Fatal(err)
	}
	exited := make(chan struct{})
	go func() {
		_ = cmd.Wait() // how it ended shows in the log
		close(exited)
	}()
	g.cmd, g.exited = cmd, exited
	g.awaitReady()
}

func (g *gateway) awaitReady() {
	g.t.Helper()
	ctx, cancel := context.WithTimeout(g.t.Context(), patience)
	defer cancel()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, g.url, nil)
		if err != nil {
			g.t.Fatal(err)
		}
		resp, err := network.RoundTrip(req)
		if err == nil {
			_ = resp.Body.Close()
			if resp.StatusCode == http.StatusUnauthorized {
				return
			}
			g.t.Fatalf("an unauthenticated request got %s, want 401", resp.Status)
		}
		select {
		case <-g.exited:
			g.t.Fatalf("caddy did not start:\n%s", lastLines(g.log.String(), 40))
		case <-ctx.Done():
			g.t.Fatalf("caddy is not ready: %v\n%s", err, g.log.String())
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// stop ends Caddy in an orderly way.
func (g *gateway) stop() { g.end(syscall.SIGTERM) }

// kill ends it as a power cut would.
func (g *gateway) kill() { g.end(syscall.SIGKILL) }

func (g *gateway) end(sig os.Signal) {
	g.t.Helper()
	if err := g.cmd.Process.Signal(sig); err != nil && !strings.Contains(err.Error(), "already finished") {
		g.t.Fatalf("signal caddy: %v", err)
	}
	select {
	case <-g.exited:
	case <-time.After(patience):
		_ = g.cmd.Process.Kill()
		g.t.Errorf("caddy did not end on %v", sig)
	}
}

// finish stops Caddy and looks at what it wrote on the way: nothing it says may
// be a panic or a data race.
func (g *gateway) finish() {
	select {
	case <-g.exited:
	default:
		g.stop()
	}
	text := g.log.String()
	for _, bad := range []string{"panic", "DATA RACE", "fatal error"} {
		if strings.Contains(text, bad) {
			g.t.Errorf("caddy's log contains %q", bad)
		}
	}
	if g.t.Failed() {
		g.t.Logf("the end of caddy's log:\n%s", lastLines(text, 40))
	}
}

func lastLines(text string, n int) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

// freePort finds a port nobody uses. Another program could take it before Caddy
// does; on a test machine that is unlikely enough, and shows as a clear failure.
func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// logBuffer collects what a process writes.
type logBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
