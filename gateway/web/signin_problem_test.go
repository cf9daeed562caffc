// SPDX-License-Identifier: Apache-2.0

package web_test

import (
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/caddy-mcp/caddy-mcp-oauth/gateway/web"
)

func TestSignInForm(t *testing.T) {
	t.Parallel()
	doc := parse(t, write(t, signIn(401, failedSignIn())).Body.String())
	form := doc.one("form")
	if attr(form, "method") != "post" || attr(form, "action") != "/callback/local" {
		t.Errorf("form %v", form.Attr)
	}
	want := []string{"hidden state=c3RhdGU", "hidden csrf=dG9rZW4", "text username=ada", "password password=", "submit ="}
	if diff := cmp.Diff(want, doc.fields()); diff != "" {
		t.Errorf("fields (-want +got):\n%s", diff)
	}
}

// A family has no help desk: the page says what for, with what, and whom to ask.
func TestSignInTells(t *testing.T) {
	t.Parallel()
	const whom = "Ask whoever runs this server."
	for name, tc := range map[string]struct {
		page *web.SignIn
		want []string
		not  []string
	}{
		"all of it": {firstSignIn(), []string{
			"Sign in to Weather", "You sign in with a password, for a program that calls itself MCP Inspector.", whom,
		}, []string{"This is for"}},
		"failed":         {failedSignIn(), []string{"The name or the password is not right.", whom}, nil},
		"nameless":       {&web.SignIn{Action: "/a", State: "s", CSRF: "c", Label: "a password (home)"}, []string{"You sign in with a password (home)."}, []string{"calls itself"}},
		"only a program": {&web.SignIn{Action: "/a", State: "s", CSRF: "c", ClientName: "X"}, []string{"This is for a program that calls itself X."}, []string{"sign in with"}},
		"nothing":        {&web.SignIn{Action: "/a", State: "s", CSRF: "c"}, []string{whom}, []string{"calls itself", "sign in with"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			text := parse(t, write(t, signIn(200, tc.page)).Body.String()).text()
			for _, want := range tc.want {
				if !strings.Contains(text, want) {
					t.Errorf("does not tell %q:\n%s", want, text)
				}
			}
			for _, not := range tc.not {
				if strings.Contains(text, not) {
					t.Errorf("tells %q:\n%s", not, text)
				}
			}
		})
	}
}

// Password managers go by the autocomplete tokens, screen readers by the label and
// by the description that says what was wrong.
func TestSignInFieldsForPeopleAndTheirTools(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name   string
		page   *web.SignIn
		failed bool
	}{{"first try", firstSignIn(), false}, {"after a failure", failedSignIn(), true}} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			doc := parse(t, write(t, signIn(200, tc.page)).Body.String())
			labels := map[string]string{}
			for _, n := range doc.all("label") {
				labels[attr(n, "for")] = textOf(n)
			}
			for name, tokens := range map[string][2]string{
				"username": {"username", "User name"}, "password": {"current-password", "Password"},
			} {
				for _, n := range doc.all("input") {
					if attr(n, "name") != name {
						continue
					}
					if attr(n, "autocomplete") != tokens[0] || labels[attr(n, "id")] != tokens[1] || !has(n, "required") {
						t.Errorf("%s: %v, label %q", name, n.Attr, labels[attr(n, "id")])
					}
					if got := attr(n, "aria-invalid") == "true" && attr(n, "aria-describedby") == "error"; got != tc.failed {
						t.Errorf("%s: marked as wrong: %v, want %v", name, got, tc.failed)
					}
				}
			}
			title := textOf(doc.one("title"))
			if strings.HasPrefix(title, "Error: ") != tc.failed {
				t.Errorf("title %q", title)
			}
			if alert := doc.class("warning"); tc.failed && (len(alert) != 1 || attr(alert[0], "role") != "alert") {
				t.Error("the error is not announced")
			}
		})
	}
}

func TestHostileSignIn(t *testing.T) {
	t.Parallel()
	s := failedSignIn()
	s.Username = `"><script>alert(1)</script>` + "\u202e"
	s.ClientName, s.Label, s.ResourceName = s.Username, s.Username, s.Username
	doc := parse(t, write(t, signIn(200, s)).Body.String())
	if len(doc.all("script")) != 0 {
		t.Error("script")
	}
	// What the user typed comes back as it was, or a retry would silently differ.
	if got := doc.fields()[2]; got != "text username="+s.Username {
		t.Errorf("field %q", got)
	}
	if strings.Contains(doc.text(), "\u202e") {
		t.Error("the direction of the page can be turned")
	}
}

func TestProblemTellsWhatHappenedAndWhatToDo(t *testing.T) {
	t.Parallel()
	p := unknownClient()
	doc := parse(t, write(t, problem(p)).Body.String())
	for _, want := range []string{p.Title, p.Text, "What you can do " + p.Hint, "Reason unknown_client", "Reference 9f2c61d07ab3"} {
		if !strings.Contains(doc.text(), want) {
			t.Errorf("does not tell %q:\n%s", want, doc.text())
		}
	}
	if n := len(doc.all("a")); n != 0 {
		t.Errorf("%d links", n)
	}
	doc = parse(t, write(t, problem(&web.Problem{Status: 404, Title: "Not found"})).Body.String())
	if got := strings.TrimPrefix(doc.text(), "Not found "); got != "Not found" {
		t.Errorf("a bare problem says more than its title: %q", got)
	}
}

func TestHostileProblem(t *testing.T) {
	t.Parallel()
	x := `"><script>alert(1)</script>`
	doc := parse(t, write(t, problem(&web.Problem{
		Status: 400, Title: x, Text: x, Hint: x, Reason: x, Flow: x,
		Back: &web.Link{Href: `https://client.example/cb?a="><script>alert(1)</script>`, Text: x},
	})).Body.String())
	if len(doc.all("script")) != 0 {
		t.Error("script")
	}
}

func TestBackLink(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		href string
		ok   bool
	}{
		{"https://claude.ai/api/mcp/auth_callback?error=access_denied&state=a%2Fb", true},
		{"http://localhost:6274/oauth/callback?error=access_denied", true},
		{"http://[::1]:8080/cb", true},
		{"cursor://anysphere.cursor-mcp/oauth/callback?error=x&iss=https%3A%2F%2Fmcp.example.com", true},
		{"vscode://saoudrizwan.claude-dev/auth?code=1", true},
		{"com.example.app:/oauth?x=1", true},
		{"com.example.app:oauth", true},
		{"/account", true},

		{"", false},
		{"account", false},
		{"//evil.example/", false},
		{`/\evil.example/`, false},
		{`\\evil.example`, false},
		{"https:///cb", false},
		{"https://claude.ai@evil.example/", false},
		{"javascript:alert(1)", false},
		{"JaVaScRiPt:alert(1)", false},
		{"java\tscript:alert(1)", false},
		{"\x01javascript:alert(1)", false},
		{" javascript:alert(1)", false},
		{"javascript://claude.ai/%0aalert(1)", false},
		{"data:text/html,<script>alert(1)</script>", false},
		{"vbscript:msgbox", false},
		{"blob:https://claude.ai/x", false},
		{"filesystem:https://claude.ai/x", false},
		{"file:///etc/passwd", false},
		{"about:blank", false},
		{"view-source:https://claude.ai", false},
		{"intent://scan/#Intent;end", false},
		{"ms-msdt:/id", false},
		{"search-ms:query=x", false},
		{"x-apple.systempreferences:", false},
		{"chrome://settings", false},
		{"https://bücher.example/", false},
		{"https://claude.ai/\n", false},
	} {
		t.Run(tc.href, func(t *testing.T) {
			t.Parallel()
			w := httptest.NewRecorder()
			err := web.WriteProblem(w, &web.Problem{Status: 400, Title: "t", Back: &web.Link{Href: tc.href, Text: "Return"}})
			if (err == nil) != tc.ok {
				t.Errorf("error %v, want ok %v", err, tc.ok)
			}
			doc := parse(t, w.Body.String())
			if w.Code != 400 || textOf(doc.one("h1")) != "t" {
				t.Errorf("the page itself is missing: %d", w.Code)
			}
			links := doc.all("a")
			switch {
			case !tc.ok && len(links) > 0:
				t.Errorf("link to %q", attr(links[0], "href"))
			case tc.ok && (len(links) != 1 || attr(links[0], "href") != tc.href || textOf(links[0]) != "Return"):
				t.Errorf("link is not the one given: %v", links)
			}
		})
	}
}
