// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/crypto/bcrypt"

	"github.com/caddy-mcp/caddy-mcp-oauth/internal/testidp"
	"github.com/caddy-mcp/caddy-mcp-oauth/internal/testmcp"
	"github.com/caddy-mcp/caddy-mcp-oauth/internal/testop"
)

// house is a site where people sign in at three places: GitHub, the company's own
// provider, and a list of local users. The same address is at each of them.
type house struct {
	*gateway
	op *testop.Provider
}

const (
	sharedAddress = "alice@example.com"
	localPassword = "correct horse battery staple"
)

// startHouse has a resource for all, and others for some.
func startHouse(t *testing.T, after ...string) *house {
	t.Helper()
	h := &house{op: testop.Start(t)}
	hash, err := bcrypt.GenerateFromPassword([]byte(localPassword), 10)
	if err != nil {
		t.Fatal(err)
	}
	h.gateway = startGateway(t, config{
		backend: serveBackend(t, testmcp.Stateless(testmcp.NewServer())),
		global: append(oidcBlock(h.op),
			"local {", fmt.Sprintf("\tuser alice %s %s contractors", hash, sharedAddress), "}"),
		gateway: []string{"allow any"}, after: after,
	})
	h.op.SetRedirectURIs(h.origin + "/callback/company")
	h.github.UpdateUser(testidp.Octocat().ID, func(u *testidp.User) {
		u.Emails = []testidp.Email{{Address: sharedAddress, Primary: true, Verified: true}}
	})
	return h
}

// resource is a further resource of the house, with these rules.
func resource(t *testing.T, path, allow string) []string {
	t.Helper()
	backend := serveBackend(t, testmcp.Stateless(testmcp.NewServer()))
	return []string{"mcp_gateway " + path + " " + backend + " {", "\tallow " + allow, "}"}
}

// at is the gateway seen by a client of another resource.
func (h *house) at(path string) *gateway {
	g := *h.gateway
	g.url = h.origin + path
	return &g
}

// who is somebody who signs in at an upstream, in a browser of their own.
func (h *house) who(t *testing.T, upstream string) *person {
	p := employee(t, h.op, "Alice Example")
	p.upstream = upstream
	if upstream == "local" {
		p.afterConsent = h.atPasswords(t, p)
	}
	return p
}

// atPasswords is the person's part on the gateway's own sign-in page. Any other page
// is where they end.
func (h *house) atPasswords(t *testing.T, p *person) func(*page) (*page, error) {
	return func(at *page) (*page, error) {
		if at.status != http.StatusOK || at.url.Path != "/callback/local" {
			return at, nil
		}
		return p.browser.submit(t.Context(), at, "Sign in", url.Values{"username": {"alice"}, "password": {localPassword}})
	}
}

var offer = regexp.MustCompile(`name="upstream" value="([^"]*)"`)

// offered are the ways to sign in that a consent page has.
func offered(page string) []string {
	var names []string
	for _, m := range offer.FindAllStringSubmatch(page, -1) {
		names = append(names, m[1])
	}
	return names
}

// A resource offers the ways that can lead into it, and no other: nobody is sent to
// sign in somewhere for nothing.
func TestEveryResourceOffersItsWaysIn(t *testing.T) {
	h := startHouse(t, append(append(
		resource(t, "/staff", "github/org:github company/group:ops"),
		resource(t, "/contractors", "local/group:contractors")...),
		resource(t, "/github-only", "github/any")...)...)
	for path, want := range map[string][]string{
		"/mcp":         {"github", "company", "local"},
		"/staff":       {"github", "company"},
		"/contractors": {"local"},
		"/github-only": {"github"},
	} {
		p := h.who(t, "")
		var consent string
		p.onConsent = func(at *page) { consent = at.body }
		p.decision = "deny"
		if _, err := newClient(t, p).connect(t.Context(), h.origin+path, nil, nil); err == nil {
			t.Errorf("%s: connected without an approval", path)
		}
		if diff := cmp.Diff(want, offered(consent)); diff != "" {
			t.Errorf("%s offers (-want +got):\n%s", path, diff)
		}
		label := "Continue"
		if len(want) == 1 {
			label = "Continue with"
		}
		if !strings.Contains(consent, label) || strings.Contains(consent, "Sign in with") != (len(want) > 1) {
			t.Errorf("%s: the page does not fit %d ways:\n%s", path, len(want), consent)
		}
	}
}

// The same address, verified everywhere, is three people: nothing is merged, and what
// one may says nothing about the others.
func TestSameAddressAtThreePlacesIsThreePeople(t *testing.T) {
	h := startHouse(t, resource(t, "/staff", "company/email:"+sharedAddress+" github/id:1 local/local:nobody")...)
	subjects := map[string]string{
		"github": octocatSubject, "company": "oidc:company:user-4711", "local": "local:alice",
	}
	held := map[string]tokenSet{}
	for upstream, subject := range subjects {
		c := newClient(t, h.who(t, upstream))
		got := whoAmI(t, c.mustConnect(t, h.url, nil))
		if got.User != subject || got.Email != sharedAddress {
			t.Errorf("%s: the backend sees %q with the address %q, want %q", upstream, got.User, got.Email, subject)
		}
		held[upstream] = c.wire.last(t)
	}
	// A rule about the address at one place is about nobody at the others.
	staff := h.at("/staff")
	for upstream := range subjects {
		if upstream != "company" {
			wantPage(t, staff, h.who(t, upstream), http.StatusForbidden, "not_allowed")
		}
	}
	signInBy(t, staff, h.who(t, "company"))
	// Nor does what one of them loses concern the others.
	set := held["github"]
	if status, text := postForm(t, h.gateway, "/revoke", url.Values{
		"token": {set.Refresh}, "client_id": {set.form.Get("client_id")},
	}); status != http.StatusOK {
		t.Fatalf("revoke: %d %s", status, text)
	}
	for upstream, set := range held {
		if got := usable(t, h.gateway, set.Access); got != (upstream != "github") {
			t.Errorf("%s: usable %v after GitHub's was revoked", upstream, got)
		}
	}
}

// A browser in which a contractor is signed in asks for a resource of the staff. They
// are not offered to go on as who they are, and a form that says so all the same, or
// names a way that is not offered, leads to no code.
func TestContractorIsNotOfferedTheStaffsWay(t *testing.T) {
	h := startHouse(t, append(
		resource(t, "/staff", "company/group:ops github/org:github"),
		resource(t, "/contractors", "local/group:contractors")...)...)
	p := h.who(t, "")
	p.afterConsent = h.atPasswords(t, p)
	signInBy(t, h.at("/contractors"), p)
	var consent string
	p.onConsent = func(at *page) { consent = at.body }
	signInBy(t, h.at("/contractors"), p)
	if !strings.Contains(consent, "Go on as") {
		t.Fatalf("the contractor is not signed in:\n%s", consent)
	}
	for _, choice := range []string{offered(consent)[0], "local", "nobody-has-this"} {
		p.upstream = choice
		if _, err := newClient(t, p).connect(t.Context(), h.origin+"/staff", nil, nil); err == nil {
			t.Errorf("connected by choosing %q", choice)
		}
		if strings.Contains(consent, "Go on as") {
			t.Errorf("the contractor is offered to go on:\n%s", consent)
		}
		if end := p.lastPage; end.url.Query().Get("code") != "" {
			t.Errorf("choosing %q led to %s", choice, end.url)
		}
	}
}
