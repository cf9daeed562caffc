// SPDX-License-Identifier: Apache-2.0

package web_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/caddy-mcp/caddy-mcp-oauth/gateway/web"
)

func TestSignOutForm(t *testing.T) {
	t.Parallel()
	doc := parse(t, write(t, signOut(octocatSigningOut())).Body.String())
	form := doc.one("form")
	if attr(form, "method") != "post" || attr(form, "action") != "/signout" {
		t.Errorf("form %v", form.Attr)
	}
	if diff := cmp.Diff([]string{"hidden csrf=dG9rZW4", "submit ="}, doc.fields()); diff != "" {
		t.Errorf("fields (-want +got):\n%s", diff)
	}
	for _, want := range []string{
		"You are signed in to mcp.example.com as octocat with GitHub.", "Programs that are connected stay connected.",
		"You also stay signed in with GitHub.",
	} {
		if !strings.Contains(doc.text(), want) {
			t.Errorf("does not tell %q:\n%s", want, doc.text())
		}
	}
}

// An upstream that was removed has no label any more; its sessions still end.
func TestSignOutWithoutUpstream(t *testing.T) {
	t.Parallel()
	s := octocatSigningOut()
	s.SignedInWith = ""
	doc := parse(t, write(t, signOut(s)).Body.String())
	doc.one("form")
	if !strings.Contains(doc.text(), "as octocat. ") || strings.Contains(doc.text(), "You also stay") {
		t.Errorf("tells:\n%s", doc.text())
	}
}

func TestSignOutOfNobody(t *testing.T) {
	t.Parallel()
	doc := parse(t, write(t, signOut(&web.SignOut{Action: "/signout", CSRF: "c", Site: "http://localhost:8080"})).Body.String())
	if len(doc.all("form")) != 0 || len(doc.fields()) != 0 {
		t.Error("there is a button, and nothing to end")
	}
	if !strings.Contains(doc.text(), "Nobody is signed in to http://localhost:8080 in this browser.") {
		t.Errorf("tells:\n%s", doc.text())
	}
}

// Upstreams let people choose their names.
func TestHostileSignOut(t *testing.T) {
	t.Parallel()
	s := octocatSigningOut()
	s.SignedInAs = `"><script>alert(1)</script></form><form action="https://evil.example">` + "\u202e"
	s.SignedInWith, s.Site = s.SignedInAs, `https://"><script>alert(1)</script>`
	doc := parse(t, write(t, signOut(s)).Body.String())
	if len(doc.all("script")) != 0 || attr(doc.one("form"), "action") != "/signout" {
		t.Error("the page is not ours any more")
	}
	if strings.Contains(doc.text(), "\u202e") {
		t.Error("the direction of the page can be turned")
	}
}
