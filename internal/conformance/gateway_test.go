// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/caddy-mcp/caddy-mcp-oauth/internal/testidp"
	"github.com/caddy-mcp/caddy-mcp-oauth/internal/testproc"
)

// Backends by what they do with sessions. Revisions up to 2025-11-25 have them,
// 2026-07-28 has none, and the SDK's server does either.
const (
	stateful  = "stateful"
	stateless = "stateless"
)

// gateway is a Caddy with our module in front of one MCP server of each kind, at
// the paths /stateful and /stateless.
type gateway struct {
	t *testing.T
	// issuer is the origin of the gateway.
	issuer string
	// backends are the addresses of the MCP servers by their kind, bare those of
	// twins that the gateway does not know. Servers have state, such as the lists
	// that some scenarios change, and runs at the same time must not share it.
	backends, bare map[string]string
	github         *testidp.Server
}

// startGateway runs everything until the test ends. The fake GitHub approves its
// only user at once.
func startGateway(t *testing.T) *gateway {
	t.Helper()
	port, dir := testproc.FreePort(t), t.TempDir()
	g := &gateway{
		t: t, issuer: fmt.Sprintf("http://localhost:%d", port), github: testidp.Start(t),
		backends: startServers(t), bare: startServers(t),
	}
	g.github.AddUser(testidp.Octocat())
	g.github.SignIn(testidp.Octocat().ID)
	g.github.SetRedirectURIs(g.issuer + "/callback/github")
	if err := os.WriteFile(testproc.Caddyfile(dir), []byte(g.caddyfile(port, filepath.Join(dir, "state.db"))), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := testproc.Command(context.Background(), testproc.Caddy.Path(t), dir)
	start(t, "caddy", cmd, g.resource(stateful), http.StatusUnauthorized)
	return g
}

// caddyfile names no host: the suite's test against DNS rebinding sends a foreign
// one, and the answer to that has to be ours and not Caddy's.
func (g *gateway) caddyfile(port int, state string) string {
	return fmt.Sprintf(`{
	admin off
	mcp_oauth {
		storage bolt %s
		github {
			client_id %s
			client_secret %s
			base_url %s
			api_url %s/api/v3
		}
		issuer %s
		allow user:octocat
	}
}

:%d {
	bind 127.0.0.1
	mcp_gateway /stateful %s
	mcp_gateway /stateless %s
}
`, state, g.github.ClientID(), g.github.ClientSecret(), g.github.URL, g.github.URL, g.issuer,
		port, g.backends[stateful], g.backends[stateless])
}

// resource is the URL of an MCP server at the gateway.
func (g *gateway) resource(kind string) string { return g.issuer + "/" + kind }

func startServers(t *testing.T) map[string]string {
	t.Helper()
	return map[string]string{stateful: startServer(t, stateful), stateless: startServer(t, stateless)}
}

// startServer runs an MCP server until the test ends and returns its address.
func startServer(t *testing.T, kind string) string {
	t.Helper()
	addr := fmt.Sprintf("127.0.0.1:%d", testproc.FreePort(t))
	cmd := exec.Command(everythingServer.Path(t), "-http", addr, "-stateless="+fmt.Sprint(kind == stateless))
	// Without a session there is no stream to GET, and no session to name.
	status := http.StatusBadRequest
	if kind == stateless {
		status = http.StatusMethodNotAllowed
	}
	start(t, "the "+kind+" server", cmd, "http://"+addr, status)
	return addr
}

// start runs a server until the test ends, once url answers with status.
func start(t *testing.T, name string, cmd *exec.Cmd, url string, status int) {
	t.Helper()
	p := testproc.Process{Name: name, Log: new(testproc.Log)}
	t.Cleanup(func() { p.Finish(t) })
	p.Start(t, cmd, testproc.Here)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	p.Await(t, &http.Transport{DisableKeepAlives: true}, r, status)
}
