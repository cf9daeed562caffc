// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/modelcontextprotocol/go-sdk/auth"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/caddy-mcp/caddy-mcp-oauth/internal/chromium"
	"github.com/caddy-mcp/caddy-mcp-oauth/internal/testidp"
	"github.com/caddy-mcp/caddy-mcp-oauth/internal/testmcp"
)

// loopbackClient is an MCP client that listens for its callback, as programs on
// a person's computer do. The test takes addresses from open and works the
// browser; what the browser brings back goes on by itself.
type loopbackClient struct {
	*client
	redirect string
	open     chan string
	answers  chan url.Values
	// denied ends further attempts: the SDK tries once for each era.
	denied atomic.Bool
}

func newLoopbackClient(t *testing.T) *loopbackClient {
	t.Helper()
	l := &loopbackClient{open: make(chan string, 1), answers: make(chan url.Values, 1)}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/callback" { // browsers ask for an icon
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", "text/html")
		_, _ = w.Write([]byte("<!DOCTYPE html><link rel=icon href=data:,><title>Done</title><p id=done>You can close this page.</p>"))
		l.answers <- r.URL.Query()
	}))
	t.Cleanup(func() {
		server.CloseClientConnections() // Chromium keeps some in reserve
		server.Close()
	})
	l.redirect = server.URL + "/callback"
	l.client = newClientAt(t, l.redirect, l.fetchCode)
	return l
}

func (l *loopbackClient) fetchCode(ctx context.Context, args *auth.AuthorizationArgs) (*auth.AuthorizationResult, error) {
	if l.denied.Load() {
		return nil, errRefused
	}
	l.open <- args.URL
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case q := <-l.answers:
		if q.Has("error") {
			l.denied.Store(true)
			return nil, errRefused
		}
		return &auth.AuthorizationResult{Code: q.Get("code"), State: q.Get("state"), Iss: q.Get("iss")}, nil
	}
}

// connectInBackground connects while the test works the browser.
func (l *loopbackClient) connectInBackground(t *testing.T, endpoint string) func() *mcp.ClientSession {
	t.Helper()
	type result struct {
		session *mcp.ClientSession
		err     error
	}
	done := make(chan result, 1)
	go func() {
		session, err := l.connect(t.Context(), endpoint, nil, nil)
		done <- result{session, err}
	}()
	return func() *mcp.ClientSession {
		t.Helper()
		r := <-done
		if r.err != nil {
			t.Fatalf("connect: %v", r.err)
		}
		t.Cleanup(func() { _ = r.session.Close() })
		return r.session
	}
}

// A real browser goes the whole way, with every click a person makes: our
// consent page, GitHub's sign-in, GitHub's own consent, and back to the client
// on a loopback port. It is the only test that notices a cookie, a CSP or a
// referrer policy that a browser will not have.
func TestSignInWithARealBrowser(t *testing.T) {
	g := startGateway(t, config{
		backend: serveBackend(t, testmcp.Stateless(testmcp.NewServer())), gateway: []string{`name "Weather"`},
	})
	g.github.SetMode(testidp.Interactive)
	g.github.UpdateUser(testidp.Octocat().ID, func(u *testidp.User) { u.Password = "meow" })
	tab := chromium.New(t).Page(t)
	c := newLoopbackClient(t)
	connected := c.connectInBackground(t, g.url)

	tab.Open(<-c.open)
	tab.WaitFor("button[value=approve]")
	text := tab.Text("main")
	for _, want := range []string{"Weather", g.url, strings.TrimSuffix(strings.TrimPrefix(c.redirect, "http://"), "/callback"), "End-to-end test"} {
		if !strings.Contains(text, want) {
			t.Errorf("the consent page does not show %q:\n%s", want, text)
		}
	}
	if seen := g.github.Requests(); len(seen) > 0 {
		t.Errorf("GitHub got %d requests before any approval", len(seen))
	}
	tab.Click("button[value=approve]")
	tab.WaitURL(g.github.URL + "/login/oauth/authorize")
	tab.WaitFor("input[name=login]")
	tab.Fill("input[name=login]", "octocat")
	tab.Fill("input[name=password]", "meow")
	tab.Click("button[name=commit]")
	tab.WaitFor("button[name=authorize][value='1']")
	tab.Click("button[name=authorize][value='1']")
	tab.WaitURL(g.origin + "/callback/github")
	tab.WaitURL(c.redirect)
	tab.WaitFor("#done")

	session := connected()
	if diff := cmp.Diff(octocat, whoAmI(t, session), ignoreClientID); diff != "" {
		t.Errorf("identity (-want +got):\n%s", diff)
	}

	// A second client in the same browser is asked again (its redirect URI is a
	// loopback one), and does not need GitHub's page a second time.
	second := newLoopbackClient(t)
	connected = second.connectInBackground(t, g.url)
	tab.Open(<-second.open)
	tab.WaitFor("button[value=approve]")
	tab.Click("button[value=approve]")
	tab.WaitURL(second.redirect)
	tab.WaitFor("#done")
	connected()
}

// Denying works in a real browser too, and tells the waiting client.
func TestDenyWithARealBrowser(t *testing.T) {
	g := startGateway(t, config{backend: serveBackend(t, testmcp.Stateless(testmcp.NewServer()))})
	tab := chromium.New(t).Page(t)
	c := newLoopbackClient(t)
	failed := make(chan error, 1)
	go func() {
		_, err := c.connect(t.Context(), g.url, nil, nil)
		failed <- err
	}()
	tab.Open(<-c.open)
	tab.WaitFor("button[value=deny]")
	tab.Click("button[value=deny]")
	answer, err := url.Parse(tab.WaitURL(c.redirect))
	if err != nil {
		t.Fatal(err)
	}
	if got := answer.Query(); got.Get("error") != "access_denied" || got.Get("iss") != g.origin || got.Has("code") {
		t.Errorf("the client is told %v", got)
	}
	select {
	case err := <-failed:
		if !errors.Is(err, errRefused) {
			t.Errorf("connect: %v, want a refusal", err)
		}
	case <-time.After(patience):
		t.Error("the client is still waiting")
	}
}
