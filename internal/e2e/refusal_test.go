// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/caddy-mcp/caddy-mcp-oauth/internal/testidp"
	"github.com/caddy-mcp/caddy-mcp-oauth/internal/testmcp"
)

func startPlain(t *testing.T) *gateway {
	t.Helper()
	return startGateway(t, config{backend: serveBackend(t, testmcp.Stateless(testmcp.NewServer()))})
}

// Somebody who says no on our page is sent back with access_denied, and GitHub
// never hears of it.
func TestPersonDeclinesOnTheConsentPage(t *testing.T) {
	g := startPlain(t)
	bob := newPerson()
	bob.decision = "deny"
	c := newClient(t, bob)
	_, err := c.connect(t.Context(), g.url, nil, nil)
	if !errors.Is(err, errRefused) || !strings.Contains(err.Error(), "access_denied") {
		t.Errorf("error %v, want access_denied", err)
	}
	if seen := g.github.Requests(); len(seen) > 0 {
		t.Errorf("GitHub got %d requests before any approval", len(seen))
	}
	if sets := c.wire.tokens(); len(sets) > 0 {
		t.Errorf("%d token sets were issued", len(sets))
	}
}

// Somebody who says no at GitHub is sent back with access_denied.
func TestPersonDeclinesAtGitHub(t *testing.T) {
	g := startPlain(t)
	g.github.SetMode(testidp.Deny)
	c := newClient(t, newPerson())
	_, err := c.connect(t.Context(), g.url, nil, nil)
	if !errors.Is(err, errRefused) || !strings.Contains(err.Error(), "access_denied") {
		t.Errorf("error %v, want access_denied", err)
	}
}

// An account nobody allowed gets a page that says so, with its name on it, and
// no code: not even one that would turn out useless.
func TestAccountThatIsNotAllowedGetsAPageAndNoCode(t *testing.T) {
	g := startPlain(t)
	g.github.SignIn(666)
	mallory := newPerson()
	c := newClient(t, mallory)
	_, err := c.connect(t.Context(), g.url, nil, nil)
	if !errors.Is(err, errRefused) {
		t.Fatalf("error %v, want a refusal", err)
	}
	end := mallory.lastPage
	if end.status != http.StatusForbidden || originOf(end.url) != g.origin {
		t.Errorf("ended at %s with %d, want our own page with 403", end.url, end.status)
	}
	if !strings.Contains(end.body, "mallory") {
		t.Errorf("the page does not say who is signed in:\n%s", end.body)
	}
	if strings.Contains(end.body, "code=") {
		t.Error("there is a code on the page")
	}
	if sets := c.wire.tokens(); len(sets) > 0 {
		t.Errorf("%d token sets were issued", len(sets))
	}
}

// A callback that GitHub sent is worth nothing in another browser: the attacker
// who made the victim open it would otherwise sign the victim in as himself, or
// himself as the victim (R6.4).
func TestCallbackInAnotherBrowserIsRefused(t *testing.T) {
	g := startPlain(t)
	attacker := newPerson()
	attacker.browser.stopAt = g.origin + "/callback/"
	c := newClient(t, attacker)
	if _, err := c.connect(t.Context(), g.url, nil, nil); err == nil {
		t.Fatal("connected without a callback")
	}
	stolen := attacker.lastPage.url.String()

	victim := newPerson()
	end, err := victim.browser.open(t.Context(), stolen)
	if err != nil {
		t.Fatal(err)
	}
	refused(t, g, end)

	// It was not used up: whom it belongs to still gets in.
	attacker.browser.stopAt = redirectURI
	own, err := attacker.browser.open(t.Context(), stolen)
	if err != nil {
		t.Fatal(err)
	}
	if own.url.Query().Get("code") == "" {
		t.Errorf("the rightful browser ended at %s with %d", own.url, own.status)
	}
	// And now it is: a second visit, as by the back button, gives no second code.
	again, err := attacker.browser.open(t.Context(), stolen)
	if err != nil {
		t.Fatal(err)
	}
	refused(t, g, again)
}

// States nobody issued, and none at all, end on a page.
func TestForeignCallbacksAreRefused(t *testing.T) {
	g := startPlain(t)
	for name, query := range map[string]url.Values{
		"unknown state": {"code": {"c"}, "state": {strings.Repeat("A", 43)}},
		"no state":      {"code": {"c"}},
		"two states":    {"code": {"c"}, "state": {"a", "b"}},
		"only an error": {"error": {"access_denied"}},
		"nothing":       {},
	} {
		t.Run(name, func(t *testing.T) {
			end, err := newPerson().browser.open(t.Context(), g.origin+"/callback/github?"+query.Encode())
			if err != nil {
				t.Fatal(err)
			}
			refused(t, g, end)
		})
	}
}

// refused checks that the browser ended on a page of ours that says no.
func refused(t *testing.T, g *gateway, end *page) {
	t.Helper()
	if originOf(end.url) != g.origin || end.status < 400 || end.status > 499 {
		t.Errorf("ended at %s with %d, want our own page with a 4xx", end.url, end.status)
	}
	if got := end.header.Get("Content-Type"); !strings.HasPrefix(got, "text/html") {
		t.Errorf("the refusal is %q, not a page", got)
	}
	if got := end.header.Get("Cache-Control"); got != "no-store" {
		t.Errorf("Cache-Control %q on a refusal, want no-store", got)
	}
}

// A form that another site submits, with the cookies of the victim's browser,
// approves nothing.
func TestConsentCannotBeForged(t *testing.T) {
	g := startPlain(t)
	victim := newPerson()
	var consent *page
	victim.onConsent = func(p *page) { consent = p }
	victim.decision = "no such button"
	c := newClient(t, victim)
	if _, err := c.connect(t.Context(), g.url, nil, nil); err == nil {
		t.Fatal("connected without a decision")
	}
	if consent == nil {
		t.Fatal("no consent page was shown")
	}
	forms, err := parseForms(consent.body)
	if err != nil || len(forms) != 1 {
		t.Fatalf("%d forms on the consent page, %v; want one", len(forms), err)
	}
	target, err := consent.url.Parse(forms[0].action)
	if err != nil {
		t.Fatal(err)
	}
	values := url.Values{"decision": {"approve"}}
	for name, v := range forms[0].fields {
		values[name] = v
	}
	for name, nav := range map[string]navigation{
		"from another site":      {initiator: "https://evil.example", site: "cross-site"},
		"from another port":      {initiator: "http://localhost:1", site: "same-site"},
		"from a sandboxed frame": {initiator: "null", site: "cross-site"},
		"from nowhere, without its token": {
			initiator: g.origin, site: "same-origin",
			form: url.Values{"decision": {"approve"}, "request": values["request"]},
		},
	} {
		t.Run(name, func(t *testing.T) {
			nav.method, nav.url = http.MethodPost, target
			if nav.form == nil {
				nav.form = values
			}
			end, err := victim.browser.follow(t.Context(), nav)
			if err != nil {
				t.Fatal(err)
			}
			refused(t, g, end)
		})
	}
	if seen := g.github.Requests(); len(seen) > 0 {
		t.Errorf("GitHub got %d requests", len(seen))
	}
}
