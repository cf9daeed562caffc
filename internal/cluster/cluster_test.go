// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/caddy-mcp/caddy-mcp-oauth/internal/testidp"
	"github.com/caddy-mcp/caddy-mcp-oauth/internal/testproc"
)

// cluster is everything of one test: a store, gateways A, B and C on it, the load
// balancer before them, and what they speak to.
type cluster struct {
	t        *testing.T
	store    store
	github   *testidp.Server
	backend  string
	origin   string
	gateways map[string]*gateway
}

// names of the gateways.
var names = []string{"A", "B", "C"}

// options change a cluster.
type options struct {
	// global are lines of the mcp_oauth block of one gateway.
	global map[string][]string
	// keys are the encryption keys, one if empty. There is {env.TEST_OTHER_KEY} too.
	keys string
	// allow are the rules, octocat alone if empty.
	allow string
	// network says where a gateway is and where it finds the store. Default: on this
	// machine's loopback.
	network func(name string) (ns *namespace, storeListener net.Listener)
}

// startCluster runs a cluster until the test ends. At the fake GitHub octocat
// approves everything at once.
func startCluster(t *testing.T, s store, o options) *cluster {
	t.Helper()
	front, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &cluster{
		t: t, store: s, github: testidp.Start(t), backend: serveBackend(t),
		origin: fmt.Sprintf("http://localhost:%d", front.Addr().(*net.TCPAddr).Port), gateways: map[string]*gateway{},
	}
	c.github.AddUser(testidp.Octocat())
	c.github.SignIn(testidp.Octocat().ID)
	c.github.SetRedirectURIs(c.origin + "/callback/github")
	if o.network == nil {
		o.network = func(string) (*namespace, net.Listener) { return nil, (*namespace)(nil).listen(t, "127.0.0.1:0") }
	}
	env := []string{"TEST_KEY=" + newKey(), "TEST_OTHER_KEY=" + newKey(), "TEST_CLIENT_SECRET=" + c.github.ClientSecret()}
	var all []*gateway
	for _, name := range names {
		ns, listener := o.network(name)
		g := &gateway{
			t: t, name: name, ns: ns, addr: loopback(testproc.FreePort(t)), link: openLink(t, listener, s.dial),
			dir: t.TempDir(), env: env, log: new(testproc.Log),
		}
		g.process = testproc.Process{Name: name, Log: g.log}
		c.visit(g)
		g.configure(c.caddyfile(g, o))
		t.Cleanup(func() { g.process.Finish(t) })
		c.gateways[name], all = g, append(all, g)
	}
	serveBalancer(t, front, all)
	c.start(all)
	return c
}

func newKey() string {
	key := make([]byte, 32)
	_, _ = rand.Read(key) // never fails
	return base64.StdEncoding.EncodeToString(key)
}

// start runs all gateways at once, as after a power cut: of those who prepare an
// empty store at the same time, all succeed.
func (c *cluster) start(all []*gateway) {
	c.t.Helper()
	caddy.Path(c.t) // built by now, so that all begin at once
	for _, g := range all {
		g.begin()
	}
	for _, g := range all {
		g.awaitReady()
	}
}

// visit lets a gateway on another network find GitHub and the backend where all
// others do, on its loopback.
func (c *cluster) visit(g *gateway) {
	if g.ns == nil {
		return
	}
	for _, addr := range []string{strings.TrimPrefix(c.github.URL, "http://"), c.backend} {
		openLink(c.t, g.ns.listen(c.t, addr), func(ctx context.Context) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "tcp", addr)
		})
	}
}

func (c *cluster) caddyfile(g *gateway, o options) string {
	_, port, _ := strings.Cut(g.addr, ":")
	return fmt.Sprintf(`{
	admin off
	persist_config off
	mcp_oauth {
		issuer %s
		%s
		encryption_key %s
		github {
			client_id %s
			client_secret {env.TEST_CLIENT_SECRET}
			base_url %s
			api_url %s/api/v3
		}
		allow %s
		limit registrations off
		limit authorizations off
		limit tokens off
		%s
	}
	servers {
		trusted_proxies static 127.0.0.1/32
	}
}

http://:%s {
	bind 127.0.0.1
	mcp_gateway /mcp %s
}
`, c.origin, c.store.line(g.link.addr()), cmp.Or(o.keys, "{env.TEST_KEY}"), c.github.ClientID(), c.github.URL, c.github.URL, cmp.Or(o.allow, "user:octocat"),
		strings.Join(o.global[g.name], "\n\t\t"), port, c.backend)
}

// backendSession is the session that the backend hands out.
const backendSession = "the-only-session"

// serveBackend is an MCP server as far as a gateway can tell: it answers a POST, and
// a GET with a stream that never ends by itself.
func serveBackend(t *testing.T) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet {
			w.Header().Set("Content-Type", "application/json")
			session := r.Header.Get("Mcp-Session-Id")
			if session == "" {
				w.Header().Set("Mcp-Session-Id", backendSession)
			}
			_, _ = fmt.Fprintf(w, `{"user":%q,"session":%q}`, r.Header.Get("X-Forwarded-User"), session)
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = fmt.Fprint(w, "data: open\n\n")
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}))
	t.Cleanup(func() {
		server.CloseClientConnections() // open streams would hold Close up
		server.Close()
	})
	return strings.TrimPrefix(server.URL, "http://")
}

// eventually polls for what other processes bring about, and returns how long it took.
func eventually(t *testing.T, what string, ok func() bool) time.Duration {
	t.Helper()
	began := time.Now()
	for time.Since(began) < patience {
		if ok() {
			return time.Since(began)
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Fatalf("%s: not within %v", what, patience)
	return 0
}
