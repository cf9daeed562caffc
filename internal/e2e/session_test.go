// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"net/url"
	"strings"
	"testing"

	"github.com/caddy-mcp/caddy-mcp-oauth/internal/chromium"
	"github.com/caddy-mcp/caddy-mcp-oauth/internal/testidp"
)

// Cookies with a host prefix, Fetch Metadata, referrers, and what the back button
// loads are decided by browsers. So all of a person's day is done in one.
func TestSessionsInARealBrowser(t *testing.T) {
	s := startSession(t)
	for _, step := range []struct {
		name string
		run  func(*testing.T, *session)
	}{
		{"first sign-in, and do not ask again", stepFirstSignIn},
		{"not asked again", stepNotAskedAgain},
		{"asked when another site leads there", stepOtherSites},
		{"back after an answer without a page", stepBackAfterSkip},
		{"another client goes on as who is signed in", stepAnotherClient},
		{"back after approving", stepBackAfterApproval},
		{"deny, back, approve", stepDeny},
		{"double load and two tabs", stepTwoTabs},
		{"two clients at once", stepTwoClients},
		{"use another account", stepAnotherAccount},
		{"sign out", stepSignOut},
	} {
		if !t.Run(step.name, func(t *testing.T) { step.run(t, s) }) {
			t.Fatal("what follows begins here")
		}
	}
}

func stepFirstSignIn(t *testing.T, s *session) {
	s.assistant.connect(s.tab, "first")
	asked(t, s.tab, "")
	s.tab.Click("input[name=remember]")
	approve(s.tab)
	s.atGitHub(s.tab, "octocat")
	s.assistant.arrives(t, s.tab, "first")
}

func stepNotAskedAgain(t *testing.T, s *session) {
	before := len(s.gateway.github.Requests())
	s.assistant.connect(s.tab, "second")
	s.assistant.arrives(t, s.tab, "second")
	if n := len(s.gateway.github.Requests()); n != before {
		t.Errorf("GitHub got %d requests", n-before)
	}
}

// The link is the very one that the assistant uses. Followed from elsewhere, or
// typed, it gives nothing away by itself; in a frame it shows nothing.
func stepOtherSites(t *testing.T, s *session) {
	link := s.assistant.authorizeURL("theirs")
	s.tab.Open(s.evil.origin + "/link?to=" + url.QueryEscape(link))
	s.tab.Click("#link")
	asked(t, s.tab, "octocat")
	s.tab.Open(link)
	asked(t, s.tab, "octocat")

	for _, site := range []*website{s.evil, s.assistant} {
		framing := s.tab.Tab(t)
		framing.Tolerate("Refused to display")
		framing.Tolerate("frame-ancestors")
		framing.Tolerate("Failed to load resource")
		framing.Open(site.origin + "/frame?to=" + url.QueryEscape(link))
		framing.WaitFor("#framed")
		if got := framing.URL(); !strings.HasPrefix(got, site.origin) {
			t.Errorf("the frame broke out to %s", got)
		}
	}
}

func stepBackAfterSkip(t *testing.T, s *session) {
	s.assistant.connect(s.tab, "third")
	s.assistant.arrives(t, s.tab, "third")
	s.tab.Back() // a redirect is no page to come back to
	s.tab.WaitFor("#connect")
}

func stepAnotherClient(t *testing.T, s *session) {
	s.ide.connect(s.tab, "ide")
	asked(t, s.tab, "octocat")
	approve(s.tab)
	s.ide.arrives(t, s.tab, "ide")
}

func stepBackAfterApproval(t *testing.T, s *session) {
	s.tab.Back()
	asked(t, s.tab, "octocat")
	approve(s.tab)
	s.ide.arrives(t, s.tab, "ide")
}

func stepDeny(t *testing.T, s *session) {
	s.ide.connect(s.tab, "no")
	asked(t, s.tab, "octocat")
	s.tab.Click("button[value=deny]")
	s.tab.WaitFor("a.button")
	if text := s.tab.Text("main"); !strings.Contains(text, "You declined") {
		t.Errorf("after denying:\n%s", text)
	}
	s.tab.Back()
	asked(t, s.tab, "octocat")
	approve(s.tab)
	s.ide.arrives(t, s.tab, "no")
}

func stepTwoTabs(t *testing.T, s *session) {
	other := s.tab.Tab(t)
	s.ide.connect(s.tab, "left")
	asked(t, s.tab, "octocat")
	s.ide.connect(other, "right")
	asked(t, other, "octocat")
	other.Open(other.URL()) // typed again: the same page once more
	asked(t, other, "octocat")
	approve(s.tab)
	s.ide.arrives(t, s.tab, "left")
	approve(other)
	s.ide.arrives(t, other, "right")
}

func stepTwoClients(t *testing.T, s *session) {
	other := s.tab.Tab(t)
	s.ide.connect(s.tab, "of the IDE")
	asked(t, s.tab, "octocat")
	s.assistant.connect(other, "of-the-assistant")
	s.assistant.arrives(t, other, "of-the-assistant")
	approve(s.tab)
	s.ide.arrives(t, s.tab, "of the IDE")
}

func stepAnotherAccount(t *testing.T, s *session) {
	s.ide.connect(s.tab, "switch")
	asked(t, s.tab, "octocat")
	waiting := s.tab.Tab(t)
	s.ide.connect(waiting, "waiting")
	asked(t, waiting, "octocat")
	s.tab.Click("input[name=upstream][value=github]")
	approve(s.tab)
	// GitHub is told to ask, and does although it knows both person and program.
	s.tab.WaitURL(s.gateway.github.URL + "/login/oauth/authorize")
	s.tab.WaitFor("button[name=authorize][value='1']")
	s.gateway.github.SetMode(testidp.Approve)
	s.gateway.github.SignIn(666)
	s.tab.Open(s.tab.URL()) // the person switches there
	s.ide.arrives(t, s.tab, "switch")
	s.gateway.github.SetMode(testidp.Interactive)

	s.assistant.connect(s.tab, "as mallory")
	asked(t, s.tab, "mallory") // octocat's "do not ask again" is octocat's
	// The page in the other tab still says octocat, and makes nobody mallory.
	approve(waiting)
	waiting.WaitURL(s.gateway.github.URL + "/login/oauth/authorize")
}

func stepSignOut(t *testing.T, s *session) {
	s.tab.Click("input[name=remember]")
	approve(s.tab)
	s.assistant.arrives(t, s.tab, "as mallory")
	s.assistant.connect(s.tab, "silently")
	s.assistant.arrives(t, s.tab, "silently")

	s.tab.Open(s.gateway.origin + "/signout")
	s.tab.WaitFor("button")
	if text := s.tab.Text("main"); !strings.Contains(text, "mallory") {
		t.Errorf("the page does not say who is signed in:\n%s", text)
	}
	s.tab.Click("button")
	s.tab.WaitURL(s.gateway.origin + "/signout")
	signedOut := func() bool {
		return chromium.Eval[bool](s.tab, `document.querySelector("h1")?.innerText === "You are not signed in"`)
	}
	eventually(t, "sign-out", signedOut)
	s.tab.Open(s.gateway.origin + "/signout")
	if !signedOut() {
		t.Error("still signed in")
	}
	s.assistant.connect(s.tab, "after")
	asked(t, s.tab, "")
}
