// SPDX-License-Identifier: Apache-2.0

package cluster

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
)

// patience bounds everything that is waited for. It is long because the machine may
// be busy, and never slept through.
const patience = time.Minute

// gateway is one Caddy of several.
type gateway struct {
	t    *testing.T
	name string
	// ns is the network it is on, addr where it listens there.
	ns   *namespace
	addr string
	// link is how it reaches the store.
	link *link
	dir  string
	env  []string
	log  *logBuffer

	cmd    *exec.Cmd
	exited <-chan struct{}
}

// configure writes the Caddyfile that the next start reads.
func (g *gateway) configure(text string) {
	g.t.Helper()
	if err := os.WriteFile(g.caddyfile(), []byte(text), 0o600); err != nil {
		g.t.Fatal(err)
	}
}

func (g *gateway) caddyfile() string { return filepath.Join(g.dir, "Caddyfile") }

// begin runs Caddy and does not wait for it.
func (g *gateway) begin() {
	g.t.Helper()
	cmd := exec.Command(mustBuild(g.t), "run", "--adapter", "caddyfile", "--config", g.caddyfile())
	cmd.Env = append(append(os.Environ(), "XDG_DATA_HOME="+g.dir, "XDG_CONFIG_HOME="+g.dir), g.env...)
	cmd.Stdout, cmd.Stderr = g.log, g.log
	exited, err := g.ns.spawn(cmd)
	if err != nil {
		g.t.Fatal(err)
	}
	g.cmd, g.exited = cmd, exited
}

// start runs Caddy and waits until the resource is guarded.
func (g *gateway) start() {
	g.t.Helper()
	g.begin()
	g.awaitReady()
}

func (g *gateway) awaitReady() {
	g.t.Helper()
	transport := &http.Transport{DialContext: g.dial, DisableKeepAlives: true}
	for deadline := time.Now().Add(patience); ; {
		req, err := http.NewRequestWithContext(g.t.Context(), http.MethodGet, "http://"+g.addr+"/mcp", nil)
		if err != nil {
			g.t.Fatal(err)
		}
		req.Host = "localhost"
		resp, err := transport.RoundTrip(req)
		if err == nil {
			_ = resp.Body.Close()
			if resp.StatusCode == http.StatusUnauthorized {
				return
			}
			g.t.Fatalf("%s: an unauthenticated request got %s, want 401", g.name, resp.Status)
		}
		select {
		case <-g.exited:
			g.t.Fatalf("%s did not start:\n%s", g.name, lastLines(g.log.String(), 40))
		case <-time.After(50 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			g.t.Fatalf("%s is not ready: %v\n%s", g.name, err, lastLines(g.log.String(), 40))
		}
	}
}

// dial connects to the gateway, whatever address is asked for.
func (g *gateway) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	return g.ns.dial(ctx, g.addr)
}

// stop ends Caddy in an orderly way.
func (g *gateway) stop() { g.t.Helper(); g.end(syscall.SIGTERM) }

// kill ends it as a power cut would.
func (g *gateway) kill() { g.t.Helper(); g.end(syscall.SIGKILL) }

func (g *gateway) end(sig os.Signal) {
	g.t.Helper()
	_ = g.cmd.Process.Signal(sig) // it may have ended by itself, which the next lines find
	select {
	case <-g.exited:
	case <-time.After(patience):
		_ = g.cmd.Process.Kill()
		g.t.Errorf("%s did not end on %v", g.name, sig)
	}
}

// finish stops Caddy and looks at what it wrote on the way: nothing it says may be a
// panic or a data race.
func (g *gateway) finish() {
	if g.cmd == nil {
		return
	}
	select {
	case <-g.exited:
	default:
		g.stop()
	}
	text := g.log.String()
	for _, bad := range []string{"panic", "DATA RACE", "fatal error"} {
		if strings.Contains(text, bad) {
			g.t.Errorf("the log of %s contains %q", g.name, bad)
		}
	}
	if g.t.Failed() {
		g.t.Logf("the end of the log of %s:\n%s", g.name, lastLines(text, 20))
	}
}

func lastLines(text string, n int) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

// freePort finds a port nobody uses. Another program could take it before Caddy does;
// on a test machine that is unlikely enough, and shows as a clear failure.
func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

func loopback(port int) string { return fmt.Sprintf("127.0.0.1:%d", port) }

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
