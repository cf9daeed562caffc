// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"testing"

	"github.com/caddy-mcp/caddy-mcp-oauth/internal/testproc"
)

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
	log  *testproc.Log

	process testproc.Process
}

// configure writes the Caddyfile that the next start reads.
func (g *gateway) configure(text string) {
	g.t.Helper()
	if err := os.WriteFile(g.caddyfile(), []byte(text), 0o600); err != nil {
		g.t.Fatal(err)
	}
}

func (g *gateway) caddyfile() string { return testproc.Caddyfile(g.dir) }

// begin runs Caddy and does not wait for it.
func (g *gateway) begin() {
	g.t.Helper()
	cmd := testproc.Command(context.Background(), caddy.Path(g.t), g.dir)
	cmd.Env = append(cmd.Env, g.env...)
	g.process.Start(g.t, cmd, g.ns.spawn)
}

// start runs Caddy and waits until the resource is guarded.
func (g *gateway) start() {
	g.t.Helper()
	g.begin()
	g.awaitReady()
}

func (g *gateway) awaitReady() {
	g.t.Helper()
	r, err := http.NewRequestWithContext(g.t.Context(), http.MethodGet, "http://"+g.addr+"/mcp", http.NoBody)
	if err != nil {
		g.t.Fatal(err)
	}
	r.Host = "localhost"
	g.process.Await(g.t, &http.Transport{DialContext: g.dial, DisableKeepAlives: true}, r, http.StatusUnauthorized)
}

// dial connects to the gateway, whatever address is asked for.
func (g *gateway) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	return g.ns.dial(ctx, g.addr)
}

// stop ends Caddy in an orderly way.
func (g *gateway) stop() { g.t.Helper(); g.process.Stop(g.t) }

// kill ends it as a power cut would.
func (g *gateway) kill() { g.t.Helper(); g.process.Kill(g.t) }

func loopback(port int) string { return fmt.Sprintf("127.0.0.1:%d", port) }
