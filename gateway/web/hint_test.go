// SPDX-License-Identifier: Apache-2.0

package web_test

import (
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/caddy-mcp/caddy-mcp-oauth/gateway/web"
)

// A person who is not allowed learns what would help, and where: the host is on the
// page, the new tab knows nothing of the page it came from.
func TestHints(t *testing.T) {
	t.Parallel()
	p := notAllowed()
	doc := parse(t, write(t, problem(p)).Body.String())
	var items []string
	for _, n := range doc.all("li") {
		items = append(items, textOf(n))
	}
	want := []string{p.Hints[0].Text + " Open github.com in a new tab", p.Hints[1].Text}
	if diff := cmp.Diff(want, items); diff != "" {
		t.Errorf("hints (-want +got):\n%s", diff)
	}
	// What helps at once comes before what takes somebody else.
	if !strings.Contains(doc.text(), "What you can do "+want[0]+" "+want[1]+" "+p.Hint) {
		t.Errorf("not in this order:\n%s", doc.text())
	}
	link := doc.all("a")[0]
	if attr(link, "href") != p.Hints[0].Href || attr(link, "target") != "_blank" || attr(link, "rel") != "noopener noreferrer" {
		t.Errorf("link %v", link.Attr)
	}
}

func TestHintsAlone(t *testing.T) {
	t.Parallel()
	p := notAllowed()
	p.Hint, p.Back = "", nil
	doc := parse(t, write(t, problem(p)).Body.String())
	if !strings.Contains(doc.text(), "What you can do "+p.Hints[0].Text) {
		t.Errorf("no hints in:\n%s", doc.text())
	}
}

// Hints come from what a provider answered. A provider that was taken over, or one
// that passes on what an organization wrote, gets a sentence on the page at most.
func TestHostileHint(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("A", 5000)
	for name, tc := range map[string]struct {
		hint web.Hint
		link bool
	}{
		"markup":         {web.Hint{Text: `<script>alert(1)</script><img src=x>`, Href: `https://github.com/"><script>alert(1)</script>`}, true},
		"markup escaped": {web.Hint{Text: "x", Href: "https://github.com/%22%3E%3Cscript%3E"}, true},
		"bidi":           {web.Hint{Text: "abc \u202e fed \u2069"}, false},
		"long":           {web.Hint{Text: long}, false},
		"http":           {web.Hint{Text: "x", Href: "http://github.com/orgs/acme/sso"}, false},
		"script":         {web.Hint{Text: "x", Href: "javascript:alert(1)"}, false},
		"own page":       {web.Hint{Text: "x", Href: "/signout"}, false},
		"relative":       {web.Hint{Text: "x", Href: "//evil.example"}, false},
		"program":        {web.Hint{Text: "x", Href: "cursor://anysphere.cursor-mcp/x"}, false},
		"user info":      {web.Hint{Text: "x", Href: "https://github.com@evil.example/"}, false},
		"data":           {web.Hint{Text: "x", Href: "data:text/html,x"}, false},
		"no host":        {web.Hint{Text: "x", Href: "https:///x"}, false},
		"homograph":      {web.Hint{Text: "x", Href: "https://gіthub.com/"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := httptest.NewRecorder()
			err := web.WriteProblem(w, &web.Problem{Status: 403, Title: "t", Hints: []web.Hint{tc.hint}})
			if (err == nil) != (tc.link || tc.hint.Href == "") {
				t.Errorf("error %v", err)
			}
			doc := parse(t, w.Body.String())
			if links := doc.all("a"); (len(links) == 1) != tc.link || len(links) > 1 {
				t.Errorf("%d links", len(links))
			}
			if len(doc.all("li")) != 1 || len(doc.all("script"))+len(doc.all("img")) != 0 {
				t.Error("the sentence is not just a sentence")
			}
			if text := textOf(doc.all("li")[0]); len(text) > 600 || strings.ContainsAny(text, "\u202e\u2069") {
				t.Errorf("%d bytes: %.100q", len(text), text)
			}
		})
	}
}

func FuzzHint(f *testing.F) {
	f.Add("The organization acme wants you to sign in there first.", "https://github.com/orgs/acme/sso")
	f.Add("</li></ul><script>", "https://x\">")
	f.Add("\xff", "https://[::1]/")
	f.Fuzz(func(t *testing.T, text, href string) {
		w := httptest.NewRecorder()
		err := web.WriteProblem(w, &web.Problem{Status: 403, Title: "t", Hints: []web.Hint{{Text: text, Href: href}}})
		doc := parse(t, w.Body.String())
		links := doc.all("a")
		if (err == nil && href != "") != (len(links) == 1) || len(doc.all("li")) != 1 {
			t.Fatalf("error %v, %d links, %d sentences", err, len(links), len(doc.all("li")))
		}
		if len(links) == 1 && !strings.HasPrefix(strings.ToLower(attr(links[0], "href")), "https://") {
			t.Errorf("link to %q", attr(links[0], "href"))
		}
	})
}
