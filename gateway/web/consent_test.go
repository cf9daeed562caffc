// SPDX-License-Identifier: Apache-2.0

package web_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/html"

	"github.com/caddy-mcp/caddy-mcp-oauth/gateway/web"
)

func TestConsentForm(t *testing.T) {
	t.Parallel()
	hidden := []string{"hidden request=mcpcr_c2VhbGVk", "hidden csrf=dG9rZW4"}
	for _, tc := range []struct {
		name    string
		consent *web.Consent
		fields  []string
		buttons string
	}{
		{
			"one way to sign in", claude(),
			append(hidden[:2:2], "hidden upstream=github", "submit decision=approve", "submit decision=deny"),
			"Continue with GitHub, Deny",
		},
		{
			"several ways to sign in", cursor(),
			append(hidden[:2:2], "radio upstream=github", "radio upstream=corp", "radio upstream=local",
				"submit decision=approve", "submit decision=deny"),
			"Continue, Deny",
		},
		{
			"signed in, and may be remembered", returning(),
			append(hidden[:2:2], "radio upstream=@signed-in", "radio upstream=github", "checkbox remember=yes",
				"submit decision=approve", "submit decision=deny"),
			"Continue, Deny",
		},
		{
			"signed in, several ways to be somebody else", returningAtSeveral(),
			append(hidden[:2:2], "radio upstream=@signed-in", "radio upstream=github", "radio upstream=corp", "radio upstream=local",
				"submit decision=approve", "submit decision=deny"),
			"Continue, Deny",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			doc := parse(t, write(t, consent(tc.consent)).Body.String())
			form := doc.one("form")
			if attr(form, "method") != "post" || attr(form, "action") != "/authorize/consent" {
				t.Errorf("form %v", form.Attr)
			}
			if diff := cmp.Diff(tc.fields, doc.fields()); diff != "" {
				t.Errorf("fields (-want +got):\n%s", diff)
			}
			var buttons, checked []string
			for _, n := range doc.all("button") {
				buttons = append(buttons, textOf(n))
			}
			if got := strings.Join(buttons, ", "); got != tc.buttons {
				t.Errorf("buttons %q, want %q", got, tc.buttons)
			}
			for _, n := range doc.all("input") {
				if has(n, "checked") {
					checked = append(checked, attr(n, "value"))
				}
			}
			want := []string(nil) // and never the box that asks not to be asked again
			switch {
			case tc.consent.SignedIn != nil:
				want = []string{"@signed-in"}
			case len(tc.consent.Upstreams) > 1:
				want = []string{"github"}
			}
			if diff := cmp.Diff(want, checked); diff != "" {
				t.Errorf("preselected (-want +got):\n%s", diff)
			}
		})
	}
}

// What the user is told, and must not be told, in each case.
func TestConsentTells(t *testing.T) {
	t.Parallel()
	change := func(c *web.Consent, f func(*web.Consent)) *web.Consent {
		f(c)
		return c
	}
	const (
		loopback   = "program on your own computer"
		privateUse = "app on your device"
		unchecked  = "Nobody has checked it"
	)
	for _, tc := range []struct {
		name         string
		consent      *web.Consent
		destination  string
		tells, omits []string
	}{
		{
			"client with a metadata document", claude(), "claude.ai",
			[]string{
				"Allow access to Weather?", "Claude Published by claude.ai", "https://claude.ai/api/mcp/auth_callback",
				"https://mcp.example.com/mcp", "You sign in with GitHub", "GitHub may ask you to share", "your profile read:user",
				"use everything this server offers, in your name mcp",
			},
			[]string{"Unverified", loopback, privateUse, unchecked},
		},
		{
			"registered client on this computer", inspector(), "localhost:6274",
			[]string{"MCP Inspector Unverified", unchecked, loopback, "http://localhost:6274/oauth/callback"},
			[]string{"Published", privateUse},
		},
		{
			// A metadata document is public: any program here can use its name.
			"verified client on this computer is warned about all the same",
			change(inspector(), func(c *web.Consent) { c.ClientVerified, c.ClientHost = true, "claude.ai" }), "localhost:6274",
			[]string{loopback, "under any name", "Published by claude.ai"},
			[]string{"Unverified"},
		},
		{
			"private-use scheme is shown whole (M-29)", cursor(), "cursor://anysphere.cursor-mcp",
			[]string{"whichever app opens cursor: links", "another app may have claimed them", "weather:write"},
			[]string{loopback},
		},
		{
			"private-use scheme without host", bare(), "com.example.app:",
			[]string{"A program that gave no name Unverified", "Nobody has checked who made it", "Allow access to mcp.example.com?", privateUse},
			[]string{"permissions", "may ask you to share"},
		},
		{
			"private-use host with its scheme in front",
			change(cursor(), func(c *web.Consent) { c.RedirectHost = "cursor://anysphere.cursor-mcp" }),
			"cursor://anysphere.cursor-mcp", nil, nil,
		},
		{
			"private-use scheme in place of a host",
			change(bare(), func(c *web.Consent) { c.RedirectHost = "com.example.app:" }), "com.example.app:", nil, nil,
		},
		{
			"private-use host named as its scheme",
			change(cursor(), func(c *web.Consent) { c.RedirectHost = "cursor:80" }), "cursor://cursor:80", nil, nil,
		},
		{
			"pre-registered client",
			change(claude(), func(c *web.Consent) { c.ClientHost = "" }), "claude.ai",
			[]string{"Registered by this server’s operator"},
			[]string{"Unverified", "Published", unchecked},
		},
		{
			"brand of somebody else (M-28)",
			change(claude(), func(c *web.Consent) {
				c.ClientVerified = false
				c.RedirectHost, c.RedirectURI = "evil.example", "https://evil.example/cb"
			}),
			"evil.example",
			[]string{"Claude Unverified", unchecked},
			[]string{"Published", "claude.ai"},
		},
		{
			"signed in", returning(), "claude.ai",
			[]string{
				"Your account Go on as octocat You are signed in with GitHub.", "Use another account with GitHub May ask you to share: your profile read:user",
				"Do not ask again for this program", "To undo this, sign out at mcp.example.com/signout.",
			},
			[]string{"unless you already are signed in"},
		},
		{
			"signed in, for an app that cannot be remembered", returningAtSeveral(), "cursor://anysphere.cursor-mcp",
			[]string{"Go on as ada@example.com You are signed in with Example Corp.", "Use another account with a password"},
			[]string{"Do not ask again"},
		},
		{
			"nobody signed in, at a website that may be remembered",
			change(returning(), func(c *web.Consent) { c.SignedIn = nil }), "claude.ai",
			[]string{"You sign in with GitHub", "Do not ask again"},
			[]string{"another account"},
		},
		{
			"server that receives the token", forwarding(), "claude.ai",
			[]string{
				"This server will also receive your GitHub access token.", "the server can act at GitHub in your name, as far as these permissions go:",
				"read and change all your repositories, private ones too repo", "the organisations and teams you belong to read:org",
				"Go on only if you trust whoever runs this server with that.",
			},
			[]string{"as far as the token allows", "from where you sign in"},
		},
		{
			"server that receives a token nobody knows the scopes of",
			change(forwarding(), func(c *web.Consent) { c.ForwardsToken[0].Scopes = nil }), "claude.ai",
			[]string{"your GitHub access token.", "in your name, as far as the token allows."},
			nil,
		},
		{
			"server that receives the token of whichever upstream", forwardingSeveral(), "cursor://anysphere.cursor-mcp",
			[]string{
				"your access token from where you sign in.", "GitHub: the organisations and teams you belong to read:org, read and change all",
				"Example Corp: as far as the token allows",
			},
			[]string{"your GitHub access token"},
		},
		{
			"server that receives no token", claude(), "claude.ai", nil, []string{"will also receive", "access token"},
		},
		{
			// A kind this page does not know gets the warning, not the benefit of the doubt.
			"unknown kind of redirect URI",
			change(claude(), func(c *web.Consent) { c.RedirectKind = "" }), "https://claude.ai",
			[]string{privateUse},
			nil,
		},
		{
			"name of nothing but white space",
			change(inspector(), func(c *web.Consent) { c.ClientName = " \t\u2003\n" }), "localhost:6274",
			[]string{"A program that gave no name Unverified"},
			nil,
		},
		{
			"punycode host (M-27)",
			change(claude(), func(c *web.Consent) { c.RedirectHost = "xn--cude-8ma0l.ai" }), "xn--cude-8ma0l.ai",
			nil, nil,
		},
		{
			"homograph host that nobody turned into punycode",
			change(claude(), func(c *web.Consent) { c.RedirectHost = "clаude.ai" }), // Cyrillic а
			"cl%D0%B0ude.ai", nil,
			[]string{"clаude.ai"},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			doc := parse(t, write(t, consent(tc.consent)).Body.String())
			shown := doc.class("destination")
			if len(shown) != 1 || textOf(shown[0]) != tc.destination {
				t.Errorf("destination not %q in:\n%s", tc.destination, doc.text())
			}
			for _, want := range tc.tells {
				if !strings.Contains(doc.text(), want) {
					t.Errorf("does not tell %q:\n%s", want, doc.text())
				}
			}
			for _, not := range tc.omits {
				if strings.Contains(doc.text(), not) {
					t.Errorf("tells %q:\n%s", not, doc.text())
				}
			}
		})
	}
}

// The destination is the fact of the page, the name is a claim: it comes first (M-28).
func TestDestinationComesBeforeTheName(t *testing.T) {
	t.Parallel()
	text := parse(t, write(t, consent(inspector())).Body.String()).text()
	body := text[strings.LastIndex(text, "Allow access to"):]
	if strings.Index(body, "localhost:6274") > strings.Index(body, "MCP Inspector") {
		t.Errorf("the name comes first: %s", body)
	}
	if heading := textOf(parse(t, write(t, consent(inspector())).Body.String()).one("h1")); strings.Contains(heading, "Inspector") {
		t.Errorf("the unverified name is in the heading %q", heading)
	}
}

// A client registers with markup, template code, bidi controls and ten thousand
// letters for a name. It is shown as text, in a box of its own, cut, and nothing
// around it changes.
func TestHostileClientIsJustText(t *testing.T) {
	t.Parallel()
	w := write(t, consent(hostile()))
	if w.Body.Len() > 20_000 {
		t.Errorf("page of %d bytes", w.Body.Len())
	}
	doc := parse(t, w.Body.String())
	want := parse(t, write(t, consent(returning())).Body.String())
	if diff := cmp.Diff(want.fields(), doc.fields()); diff != "" {
		t.Errorf("the form changed (-want +got):\n%s", diff)
	}
	if strings.ContainsAny(w.Body.String(), "\u202e\u2069\u200b") {
		t.Error("a character that is unseen or steers others got through")
	}
	name := doc.all("strong")[0]
	if text := textOf(name); !strings.HasPrefix(text, `"><img src=x onerror=alert(1)><script>alert(2)</script>{{.CSRF}}`) ||
		!strings.HasSuffix(text, "…") {
		t.Errorf("name shown as %q", text)
	}
	if name.FirstChild.Data != "bdi" {
		t.Error("the name is not isolated from the text around it")
	}
	if got := textOf(doc.class("destination")[0]); got != hostile().RedirectHost {
		t.Errorf("the end of the host, which is what counts, is not shown: %s", got)
	}
	if got := textOf(doc.class("address")[0]); got != hostile().RedirectURI {
		t.Error("the full address is not the full address")
	}
}

func FuzzConsent(f *testing.F) {
	f.Add("Claude", "https://claude.ai/cb", "mcp")
	f.Add(hostile().ClientName, hostile().RedirectURI, hostile().Scopes[1])
	f.Add("\xff\xfe", "javascript:alert(1)", "</style>")
	want := []string{
		"hidden request=mcpcr_c2VhbGVk", "hidden csrf=dG9rZW4", "hidden upstream=github",
		"submit decision=approve", "submit decision=deny",
	}
	f.Fuzz(func(t *testing.T, name, uri, scope string) {
		c := claude()
		c.ClientName, c.RedirectURI, c.Scopes, c.ResourceName = name, "x"+uri, []string{scope}, name
		doc := parse(t, write(t, consent(c)).Body.String())
		if diff := cmp.Diff(want, doc.fields()); diff != "" {
			t.Errorf("the form changed (-want +got):\n%s", diff)
		}
		for _, tag := range []string{"script", "img", "a", "iframe", "object", "base", "link"} {
			if n := len(doc.all(tag)); n != 0 {
				t.Errorf("%d elements <%s>", n, tag)
			}
		}
	})
}

// What the server receives is said before the buttons, and looks like a warning.
func TestForwardedTokenIsAWarning(t *testing.T) {
	t.Parallel()
	for _, c := range []*web.Consent{forwarding(), forwardingSeveral()} {
		doc := parse(t, write(t, consent(c)).Body.String())
		boxes := slices.DeleteFunc(doc.class("warning"), func(n *html.Node) bool { return !strings.Contains(textOf(n), "access token") })
		if len(boxes) != 1 {
			t.Fatalf("%d warnings about the token", len(boxes))
		}
		if text := doc.text(); strings.Index(text, "access token") > strings.Index(text, "Deny") {
			t.Error("the warning comes after the decision")
		}
	}
}
