// SPDX-License-Identifier: Apache-2.0

package web_test

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/caddy-mcp/caddy-mcp-oauth/gateway/web"
)

// What must hold for every page, whatever it shows.

func TestEveryPageHasTheHeaders(t *testing.T) {
	t.Parallel()
	for _, s := range samples() {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			w := write(t, s.write)
			style := parse(t, w.Body.String()).one("style")
			sum := sha256.Sum256([]byte(style.FirstChild.Data))
			want := http.Header{
				"Content-Type": {"text/html; charset=utf-8"},
				// No form-action: it would stop the redirects after the form.
				"Content-Security-Policy": {"default-src 'none'; style-src 'sha256-" +
					base64.StdEncoding.EncodeToString(sum[:]) + "'; base-uri 'none'; frame-ancestors 'none'"},
				"X-Frame-Options":              {"DENY"},
				"Referrer-Policy":              {"same-origin"},
				"Cache-Control":                {"no-store"},
				"X-Content-Type-Options":       {"nosniff"},
				"Cross-Origin-Resource-Policy": {"same-origin"},
				"Permissions-Policy":           {"camera=(), geolocation=(), microphone=()"},
				"Content-Length":               {strconv.Itoa(w.Body.Len())},
			}
			if diff := cmp.Diff(want, w.Header()); diff != "" {
				t.Errorf("headers (-want +got):\n%s", diff)
			}
		})
	}
}

// A middleware in front that allows every origin must not make a page readable by
// other sites: it carries the CSRF token.
func TestPagesTakeCORSHeadersBack(t *testing.T) {
	t.Parallel()
	for _, s := range samples() {
		w := httptest.NewRecorder()
		for _, name := range []string{"Origin", "Credentials", "Headers", "Methods"} {
			w.Header().Set("Access-Control-Allow-"+name, "*")
		}
		w.Header().Set("Access-Control-Expose-Headers", "*")
		w.Header().Set("Set-Cookie", "kept=1")
		if err := s.write(w); err != nil {
			t.Fatal(err)
		}
		for name := range w.Header() {
			if strings.HasPrefix(name, "Access-Control-") {
				t.Errorf("%s: %s left", s.name, name)
			}
		}
		if w.Header().Get("Set-Cookie") == "" {
			t.Errorf("%s: the caller's cookie is gone", s.name)
		}
	}
}

// Nothing may run and nothing may be fetched: every element and attribute is one
// of those that cannot (M-48).
func TestEveryPageIsInert(t *testing.T) {
	t.Parallel()
	elements := strings.Fields(`html head meta title style body main h1 h2 form input section p bdi wbr strong code span
		details summary div ul li fieldset legend label button a footer dl dt dd`)
	attributes := strings.Fields(`lang dir charset name content class id method action type value checked required
		autocomplete autocapitalize autocorrect spellcheck for href rel target role
		aria-labelledby aria-describedby aria-invalid`)
	for _, s := range samples() {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			doc := parse(t, write(t, s.write).Body.String())
			for _, n := range doc.all("") {
				if !slices.Contains(elements, n.Data) {
					t.Errorf("element <%s>", n.Data)
				}
				for _, a := range n.Attr {
					if !slices.Contains(attributes, a.Key) {
						t.Errorf("attribute %s of <%s>", a.Key, n.Data)
					}
				}
			}
			if css := doc.one("style").FirstChild.Data; strings.Contains(css, "url(") || strings.Contains(css, "@import") {
				t.Error("the style sheet loads something")
			}
		})
	}
}

func TestEveryPageHasAnOutline(t *testing.T) {
	t.Parallel()
	for _, s := range samples() {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			body := write(t, s.write).Body.String()
			if !strings.HasPrefix(body, "<!DOCTYPE html>") {
				t.Error("no doctype: quirks mode")
			}
			doc := parse(t, body)
			if got := attr(doc.one("html"), "lang"); got != "en" {
				t.Errorf("lang %q", got)
			}
			doc.one("main")
			title, h1 := textOf(doc.one("title")), textOf(doc.one("h1"))
			if strings.TrimPrefix(title, "Error: ") != h1 || h1 == "" {
				t.Errorf("title %q, heading %q", title, h1)
			}
			ids := map[string]bool{}
			for _, n := range doc.all("") {
				if id := attr(n, "id"); id != "" && ids[id] {
					t.Errorf("id %q twice", id)
				} else {
					ids[id] = true
				}
			}
			for _, n := range doc.all("") {
				for _, ref := range []string{"aria-labelledby", "aria-describedby", "for"} {
					if has(n, ref) && !ids[attr(n, ref)] {
						t.Errorf("<%s %s=%q> leads nowhere", n.Data, ref, attr(n, ref))
					}
				}
			}
		})
	}
}

// A page that cannot be made must not be shown in part, nor be stored.
func TestFailureIsAPlain500(t *testing.T) {
	t.Parallel()
	broken := func(change func(*web.Consent)) func(http.ResponseWriter) error {
		c := claude()
		change(c)
		return consent(c)
	}
	for name, f := range map[string]func(http.ResponseWriter) error{
		"no action":                broken(func(c *web.Consent) { c.Action = "" }),
		"no request":               broken(func(c *web.Consent) { c.Request = "" }),
		"no csrf":                  broken(func(c *web.Consent) { c.CSRF = "" }),
		"no redirect uri":          broken(func(c *web.Consent) { c.RedirectURI = "" }),
		"no redirect scheme":       broken(func(c *web.Consent) { c.RedirectScheme = "" }),
		"https without host":       broken(func(c *web.Consent) { c.RedirectHost = "" }),
		"https that is not":        broken(func(c *web.Consent) { c.RedirectScheme = "http" }),
		"no resource":              broken(func(c *web.Consent) { c.ResourceURL = "" }),
		"no upstream":              broken(func(c *web.Consent) { c.Upstreams = nil }),
		"upstream unnamed":         broken(func(c *web.Consent) { c.Upstreams = []web.Upstream{{Label: "x"}} }),
		"upstream unlabelled":      broken(func(c *web.Consent) { c.Upstreams = []web.Upstream{{Name: "x"}} }),
		"token of nobody":          broken(func(c *web.Consent) { c.ForwardsToken = []web.ForwardedToken{{}} }),
		"account without name":     broken(func(c *web.Consent) { c.SignedIn = &web.Account{Upstream: "GitHub"} }),
		"account of nowhere":       broken(func(c *web.Consent) { c.SignedIn = &web.Account{Name: "octocat"} }),
		"ambiguous upstream":       broken(func(c *web.Consent) { c.Upstreams = []web.Upstream{{Name: web.StaySignedIn, Label: "x"}} }),
		"remembers a loopback":     broken(func(c *web.Consent) { *c = *inspector(); c.MayRemember, c.SignOutURL = true, "x" }),
		"remembers private use":    broken(func(c *web.Consent) { *c = *cursor(); c.MayRemember, c.SignOutURL = true, "x" }),
		"remembers for ever":       broken(func(c *web.Consent) { c.MayRemember = true }),
		"sign-out without csrf":    signOut(&web.SignOut{Action: "/signout", Site: "https://x.example", SignedInAs: "x"}),
		"sign-out to nowhere":      signOut(&web.SignOut{CSRF: "c", Site: "https://x.example", SignedInAs: "x"}),
		"sign-out of no site":      signOut(&web.SignOut{Action: "/signout", CSRF: "c", SignedInAs: "x"}),
		"sign-out of no site, too": signOut(&web.SignOut{}),
		"sign-in without csrf":     signIn(200, &web.SignIn{Action: "/a", State: "s"}),
		"sign-in stateless":        signIn(200, &web.SignIn{Action: "/a", CSRF: "s"}),
		"sign-in to nowhere":       signIn(200, &web.SignIn{State: "s", CSRF: "s"}),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := httptest.NewRecorder()
			if err := f(w); err == nil {
				t.Error("no error")
			}
			if w.Code != http.StatusInternalServerError || strings.Contains(w.Body.String(), "<") {
				t.Errorf("%d %q", w.Code, w.Body)
			}
			if got := w.Header().Get("Cache-Control"); got != "no-store" {
				t.Errorf("Cache-Control %q", got)
			}
			if got := w.Header().Get("Content-Type"); got != "text/plain; charset=utf-8" {
				t.Errorf("Content-Type %q", got)
			}
		})
	}
}

func TestStatus(t *testing.T) {
	t.Parallel()
	for status, want := range map[int]int{
		200: 200, 400: 400, 403: 403, 429: 429, 503: 503, 0: 500, -1: 500, 99: 500, 101: 500, 204: 500, 304: 500, 600: 500,
	} {
		if got := write(t, problem(&web.Problem{Status: status, Title: "x"})).Code; got != want {
			t.Errorf("problem with status %d is sent with %d, want %d", status, got, want)
		}
		if got := write(t, signIn(status, firstSignIn())).Code; got != want {
			t.Errorf("sign-in with status %d is sent with %d, want %d", status, got, want)
		}
	}
	if got := write(t, consent(claude())).Code; got != http.StatusOK {
		t.Errorf("consent is sent with %d", got)
	}
}
