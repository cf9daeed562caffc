// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/caddy-mcp/caddy-mcp-oauth/internal/testidp"
	"github.com/caddy-mcp/caddy-mcp-oauth/internal/testproc"
)

// gateway is a Caddy with our module, running as a process of its own.
type gateway struct {
	t *testing.T
	// origin is the issuer, url the resource.
	origin, url string
	// backend is the address in the Caddyfile, admin that of the admin API.
	backend, admin string
	github         *testidp.Server
	dir            string
	log            *testproc.Log

	process testproc.Process
}

// startGateway runs a gateway until the test ends. The fake GitHub has octocat,
// who approves everything at once, and mallory, whom nobody allowed.
func startGateway(t *testing.T, c config) *gateway {
	t.Helper()
	port := testproc.FreePort(t)
	g := &gateway{
		t: t, origin: c.origin(port), admin: fmt.Sprintf("localhost:%d", testproc.FreePort(t)),
		backend: c.backend, github: testidp.Start(t), dir: t.TempDir(), log: new(testproc.Log),
	}
	g.process = testproc.Process{Name: "caddy", Log: g.log}
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
	t.Cleanup(func() { g.process.Finish(t) })
	g.start()
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

func (g *gateway) caddyfile() string { return testproc.Caddyfile(g.dir) }

// start runs Caddy and waits until the resource is guarded.
func (g *gateway) start() {
	g.t.Helper()
	g.process.Start(g.t, testproc.Command(context.Background(), testproc.Caddy.Path(g.t), g.dir), testproc.Here)
	r, err := http.NewRequestWithContext(g.t.Context(), http.MethodGet, g.url, http.NoBody)
	if err != nil {
		g.t.Fatal(err)
	}
	g.process.Await(g.t, network, r, http.StatusUnauthorized)
}

// stop ends Caddy in an orderly way.
func (g *gateway) stop() { g.t.Helper(); g.process.Stop(g.t) }

// kill ends it as a power cut would.
func (g *gateway) kill() { g.t.Helper(); g.process.Kill(g.t) }
