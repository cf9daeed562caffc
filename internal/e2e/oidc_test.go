// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/caddy-mcp/caddy-mcp-oauth/internal/testidp"
	"github.com/caddy-mcp/caddy-mcp-oauth/internal/testmcp"
	"github.com/caddy-mcp/caddy-mcp-oauth/internal/testop"
)

// alice is what the backend must be told about Alice of testop, who is in the groups
// dev and ops.
var alice = testmcp.WhoAmI{
	User: "oidc:company:user-4711", PreferredUsername: "alice", Email: "alice@example.com", Groups: "dev,ops",
	Scope: "mcp offline_access",
}

// oidcBlock configures a provider as the upstream "company".
func oidcBlock(op *testop.Provider) []string {
	return []string{
		"oidc company {",
		"\tissuer " + op.Issuer(),
		"\tclient_id " + op.ClientID(),
		"\tclient_secret " + op.ClientSecret(),
		"}",
	}
}

// startCompany is a gateway of a company whose people sign in at their own provider.
func startCompany(t *testing.T, backend http.Handler, gateway ...string) (*gateway, *testop.Provider) {
	t.Helper()
	op := testop.Start(t)
	g := startGateway(t, config{
		backend: serveBackend(t, backend), noGitHub: true, global: oidcBlock(op), gateway: gateway,
	})
	op.SetRedirectURIs(g.origin + "/callback/company")
	return g, op
}

// employee is somebody with a browser of their own, who presses the button with their
// name on the provider's login page.
func employee(t *testing.T, op *testop.Provider, button string) *person {
	p := newPerson()
	p.onConsent = func(*page) { op.SignIn("") } // the provider knows one browser only
	p.afterConsent = func(at *page) (*page, error) {
		if at.status != http.StatusOK || !strings.HasPrefix(at.url.String(), op.Issuer()) {
			return at, nil
		}
		return p.browser.submit(t.Context(), at, button, nil)
	}
	return p
}

// wantPage checks that a sign-in of a client ended on a page of ours, with no code.
func wantPage(t *testing.T, g *gateway, p *person, status int, texts ...string) {
	t.Helper()
	c := newClient(t, p)
	if _, err := c.connect(t.Context(), g.url, nil, nil); !errors.Is(err, errRefused) {
		t.Fatalf("error %v, want a refusal", err)
	}
	end := p.lastPage
	if originOf(end.url) != g.origin || end.status != status {
		t.Errorf("ended at %s with %d, want our own page with %d", end.url, end.status, status)
	}
	for _, text := range texts {
		if !strings.Contains(end.body, text) {
			t.Errorf("%q is not on the page:\n%s", text, end.body)
		}
	}
	if strings.Contains(end.body, "code=") {
		t.Error("there is a code on the page")
	}
	if sets := c.wire.tokens(); len(sets) > 0 {
		t.Errorf("%d token sets were issued", len(sets))
	}
}

// An employee connects a client, and the server behind is told who they are at the
// provider, groups included.
func TestEmployeeSignsIn(t *testing.T) {
	g, op := startCompany(t, testmcp.Stateful(testmcp.NewServer()), "allow group:ops")
	person := employee(t, op, "Alice Example")
	session := newClient(t, person).mustConnect(t, g.url, nil)
	if diff := cmp.Diff(alice, whoAmI(t, session), ignoreClientID); diff != "" {
		t.Errorf("identity at the backend (-want +got):\n%s", diff)
	}
	if n := person.signIns.Load(); n != 1 {
		t.Errorf("the person was asked %d times, want once", n)
	}
}

// Somebody of the company who is not in the group gets the page that says so, and is
// in as soon as somebody puts them into it.
func TestEmployeeWithoutTheGroup(t *testing.T) {
	g, op := startCompany(t, testmcp.Stateless(testmcp.NewServer()), "allow group:ops")
	wantPage(t, g, employee(t, op, "Bob Example"), http.StatusForbidden, "bob", "not_allowed")
	g.mustLog(t, "account not allowed", map[string]any{"subject": "oidc:company:user-0815", "resource": g.url})
	op.UpdateUser("user-0815", func(u *testop.User) { u.Groups = []string{"ops"} })
	session := newClient(t, employee(t, op, "Bob Example")).mustConnect(t, g.url, nil)
	want := testmcp.WhoAmI{User: "oidc:company:user-0815", PreferredUsername: "bob", Groups: "ops", Scope: "mcp offline_access"}
	if diff := cmp.Diff(want, whoAmI(t, session), ignoreClientID); diff != "" {
		t.Errorf("identity at the backend (-want +got):\n%s", diff)
	}
}

// Cancelling at the provider is the person's answer to the client, not an error.
func TestEmployeeCancels(t *testing.T) {
	g, op := startCompany(t, &testmcp.Scripted{}, "allow any")
	_, err := newClient(t, employee(t, op, "Cancel")).connect(t.Context(), g.url, nil, nil)
	if !errors.Is(err, errRefused) || !strings.Contains(err.Error(), "access_denied") {
		t.Errorf("error %v, want access_denied", err)
	}
}

// The provider is down, at one moment of the sign-in or another: a page says that it
// is not ours to mend, and once it is back the same gateway signs people in.
func TestProviderIsDown(t *testing.T) {
	for name, path := range map[string]string{
		"before the person is sent there": testop.PathDiscovery,
		"when they come back":             testop.PathToken,
		"when its keys are needed":        testop.PathKeys,
	} {
		t.Run(name, func(t *testing.T) {
			g, op := startCompany(t, testmcp.Stateless(testmcp.NewServer()), "allow group:ops")
			op.Tamper(path, testidp.HTML(http.StatusBadGateway))
			wantPage(t, g, employee(t, op, "Alice Example"), http.StatusServiceUnavailable, "upstream_unavailable", "is not answering")
			op.Tamper(path, nil)
			eventually(t, "a sign-in after the outage", func() bool {
				session, err := newClient(t, employee(t, op, "Alice Example")).connect(t.Context(), g.url, nil, nil)
				if err == nil {
					_ = session.Close()
				}
				return err == nil
			})
		})
	}
}

// The client secret was changed at the provider, and here it was not: the page says
// that only the operator can mend it, the log says what, and neither shows a secret.
func TestClientSecretIsWrong(t *testing.T) {
	g, op := startCompany(t, &testmcp.Scripted{}, "allow group:ops")
	before := op.ClientSecret()
	op.SetClientSecret("another-one-that-was-rotated")
	person := employee(t, op, "Alice Example")
	wantPage(t, g, person, http.StatusBadGateway, "upstream_misconfigured", "not set up correctly")
	g.mustLog(t, "sign-in refused", map[string]any{"level": "error", "reason": "upstream_misconfigured"})
	g.stop()
	refused := g.logged("sign-in refused")
	if cause, _ := refused[0]["cause"].(string); !strings.Contains(cause, "invalid_client") {
		t.Errorf("the log says %v", refused[0])
	}
	for where, text := range map[string]string{"page": person.lastPage.body, "log": g.log.String()} {
		if strings.Contains(text, before) {
			t.Errorf("the client secret is on the %s", where)
		}
	}
}

// A client of the company's gateway an hour after the sign-in: what changed at the
// provider meanwhile counts with the first request.
func TestEmployeeIsLookedAtAgain(t *testing.T) {
	backend := &testmcp.Scripted{}
	backend.Always(testmcp.JSON(http.StatusOK, "{}"))
	g, op := startCompany(t, backend, "allow group:ops")
	held := signInBy(t, g, employee(t, op, "Alice Example"))

	op.UpdateUser("user-4711", func(u *testop.User) { u.Groups = []string{"ops", "night-shift"} })
	g.aged(alice.User, time.Hour)
	if !usable(t, g, held.Access) {
		t.Fatal("refused although still in the group")
	}
	if got, _ := backend.Last(); got.Header.Get("X-Forwarded-Groups") != "night-shift,ops" {
		t.Errorf("the backend is told the groups %q", got.Header.Get("X-Forwarded-Groups"))
	}

	op.UpdateUser("user-4711", func(u *testop.User) { u.Groups = []string{"night-shift"} })
	g.aged(alice.User, time.Hour)
	wantSignedOut(t, g, held)
	g.mustLog(t, messageRevoked, map[string]any{"subject": alice.User, "reason": "no_longer_allowed"})
}

// An administrator ends all sessions of somebody at the provider.
func TestEmployeeIsSignedOutAtTheProvider(t *testing.T) {
	g, op := startCompany(t, &testmcp.Scripted{}, "allow group:ops")
	held := signInBy(t, g, employee(t, op, "Alice Example"))
	g.aged(alice.User, time.Hour)
	op.SignOut("user-4711")
	wantSignedOut(t, g, held)
	g.mustLog(t, messageAllRevoked, map[string]any{"subject": alice.User, "upstream": "company"})
}
