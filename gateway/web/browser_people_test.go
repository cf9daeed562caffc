// SPDX-License-Identifier: Apache-2.0

package web_test

import (
	"strings"
	"testing"

	"github.com/chromedp/chromedp/kb"
	"github.com/google/go-cmp/cmp"

	"github.com/caddy-mcp/caddy-mcp-oauth/internal/chromium"
	"github.com/caddy-mcp/caddy-mcp-oauth/internal/chromium/axe"
)

func testAccessible(t *testing.T, b *chromium.Browser) {
	checker, srv := axe.Load(t), servePages(t)
	for _, s := range samples() {
		t.Run(s.name, func(t *testing.T) {
			p := openPage(t, b, srv.URL+"/"+s.name)
			chromium.Eval[int](p, `document.querySelectorAll("details").forEach(d => d.open = true), 0`)
			for _, dark := range []bool{false, true} {
				p.Look(chromium.View{Width: 390, Height: 844, Dark: dark})
				for _, finding := range checker.Check(t, p) {
					t.Errorf("dark %t: %v", dark, finding)
				}
			}
		})
	}
}

// Whoever cannot use a mouse gets to everything, in the order of reading, sees
// where they are, and is not a keystroke away from consent when the page opens.
func testKeyboardOrder(t *testing.T, b *chromium.Browser) {
	srv := servePages(t)
	for _, tc := range []struct {
		page string
		want []string
	}{
		{"consent-claude", []string{"Show the full address", "Continue with GitHub", "Deny"}},
		{"consent-cursor", []string{"Show the full address", "github", "Continue", "Deny"}},
		{"consent-returning", []string{"Show the full address", "@signed-in", "remember", "Continue", "Deny"}},
		{"consent-returning-at-several", []string{"Show the full address", "@signed-in", "Continue", "Deny"}},
		{"signin", []string{"username", "password", "Sign in"}},
		{"signout", []string{"Sign out"}},
		{"problem-declined", []string{"Return to anysphere.cursor-mcp"}},
	} {
		t.Run(tc.page, func(t *testing.T) {
			p := openPage(t, b, srv.URL+"/"+tc.page)
			if got := chromium.Eval[string](p, "document.activeElement.tagName"); got != "BODY" {
				t.Errorf("the page opens with the focus on %s", got)
			}
			var got []string
			for range tc.want {
				p.Press(kb.Tab)
				got = append(got, chromium.Eval[string](p,
					`(e => e.id || (e.type === "radio" ? e.value : e.type === "checkbox" ? e.name : e.innerText))(document.activeElement)`))
				if w := chromium.Eval[string](p, "getComputedStyle(document.activeElement).outline"); !strings.Contains(w, "solid 3px") {
					t.Errorf("%s has the focus ring %q", got[len(got)-1], w)
				}
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("order (-want +got):\n%s", diff)
			}
		})
	}
}

// Fingers are not pointers: 44 CSS pixels (WCAG 2.5.5), on the smallest phone.
func testTargets(t *testing.T, b *chromium.Browser) {
	srv := servePages(t)
	for _, s := range samples() {
		t.Run(s.name, func(t *testing.T) {
			p := openPage(t, b, srv.URL+"/"+s.name)
			p.Look(chromium.View{Width: 320, Height: 640})
			small := chromium.Eval[[]string](p, `[...document.querySelectorAll("button, a, summary, label.choice, input:not([type=hidden], [type=radio], [type=checkbox])")]
				.map(e => [e, e.getBoundingClientRect()]).filter(([, r]) => r.width < 44 || r.height < 44)
				.map(([e, r]) => e.outerHTML + " " + r.width + "×" + r.height)`)
			for _, target := range small {
				t.Errorf("too small: %s", target)
			}
		})
	}
}

// A name of a right-to-left language, or one that tries to turn the line, moves
// nothing but itself: the label behind it stays on its right.
func testNamesStayInPlace(t *testing.T, b *chromium.Browser) {
	for _, name := range []string{"שלום", "مرحبا بالعالم", "abc \u202e fed", "abc \u2069\u202e fed", "\u2067abc"} {
		t.Run(name, func(t *testing.T) {
			c := inspector()
			c.ClientName = name
			f := newFlow(t, c, "http://127.0.0.1:1/cb")
			p := b.Page(t)
			p.Look(chromium.View{Width: 1280, Height: 800})
			p.Open(f.gateway.URL + "/authorize")
			if !chromium.Eval[bool](p, `document.querySelector(".badge").getBoundingClientRect().left >=
				document.querySelector("strong bdi").getBoundingClientRect().right`) {
				t.Error("the label is not behind the name")
			}
		})
	}
}
