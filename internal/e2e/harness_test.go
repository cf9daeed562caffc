// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The browser of these tests is only worth something if it forgets and hides
// what a real one does.

func mustParse(t *testing.T, address string) *url.URL {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func TestCookieStore(t *testing.T) {
	t.Parallel()
	var s cookieStore
	site := mustParse(t, "http://localhost:8080/callback/github")
	s.set(site, []*http.Cookie{
		{Name: "strict", Value: "1", Path: "/", SameSite: http.SameSiteStrictMode},
		{Name: "lax", Value: "1", Path: "/", SameSite: http.SameSiteLaxMode},
		{Name: "none", Value: "1", Path: "/", SameSite: http.SameSiteNoneMode, Secure: true},
		{Name: "elsewhere", Value: "1", Path: "/account"},
		{Name: "__Host-bad", Value: "1", Path: "/"},
		{Name: "__Host-good", Value: "1", Path: "/", Secure: true},
		{Name: "gone", Value: "1", Path: "/"},
		{Name: "lax", Value: "2", Path: "/", SameSite: http.SameSiteLaxMode},
	})
	s.set(site, []*http.Cookie{{Name: "gone", Path: "/", MaxAge: -1}})
	tests := []struct {
		name, url, method string
		crossSite         bool
		want              string
	}{
		{name: "own navigation", url: "http://localhost:8080/callback/x", method: "GET", want: "strict=1 none=1 __Host-good=1 lax=2"},
		{name: "another port is the same host", url: "http://localhost:9/", method: "GET", want: "strict=1 none=1 __Host-good=1 lax=2"},
		{name: "back from GitHub", url: "http://localhost:8080/", method: "GET", crossSite: true, want: "none=1 __Host-good=1 lax=2"},
		{name: "a foreign form", url: "http://localhost:8080/", method: "POST", crossSite: true, want: "none=1"},
		{name: "another host", url: "http://127.0.0.1:8080/", method: "GET", want: ""},
		{name: "below its path", url: "http://localhost:8080/account/x", method: "GET", want: "strict=1 none=1 elsewhere=1 __Host-good=1 lax=2"},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			var got []string
			for _, c := range s.matching(mustParse(t, tc.url), tc.method, tc.crossSite) {
				got = append(got, c.Name+"="+c.Value)
			}
			if diff := cmp.Diff(tc.want, strings.Join(got, " ")); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// A chain of redirects is as foreign as its most foreign hop, which is what
// makes the callback from GitHub cross-site although the consent form was ours.
func TestRedirectsKeepTheWorstSite(t *testing.T) {
	t.Parallel()
	nav := navigation{
		method: http.MethodPost, url: mustParse(t, "http://localhost:8080/authorize/consent"),
		form: url.Values{"a": {"b"}}, initiator: "http://localhost:8080", site: "same-origin",
	}
	for _, hop := range []struct {
		status         int
		location, site string
	}{
		{http.StatusSeeOther, "/elsewhere", "same-origin"},
		{http.StatusFound, "http://localhost:9090/", "same-site"},
		{http.StatusFound, "http://127.0.0.1:7000/login", "cross-site"},
		{http.StatusFound, "http://localhost:8080/callback/github", "cross-site"},
	} {
		next, err := redirected(nav, hop.status, hop.location)
		if err != nil {
			t.Fatal(err)
		}
		if next.site != hop.site || next.method != http.MethodGet || next.form != nil {
			t.Errorf("to %s: %s %s, want GET %s", hop.location, next.method, next.site, hop.site)
		}
		nav = next
	}
	typed := navigation{method: http.MethodGet, url: mustParse(t, "http://localhost:8080/"), site: "none"}
	next, err := redirected(typed, http.StatusFound, "http://127.0.0.1:7000/")
	if err != nil || next.site != "none" {
		t.Errorf("a person's own doing became %q, %v", next.site, err)
	}
	kept, err := redirected(navigation{method: http.MethodPost, url: nav.url, form: url.Values{}}, http.StatusTemporaryRedirect, "/x")
	if err != nil || kept.method != http.MethodPost || kept.form == nil {
		t.Errorf("a 307 became %s, %v: it repeats the request", kept.method, err)
	}
}

func TestParseForms(t *testing.T) {
	t.Parallel()
	forms, err := parseForms(`<form method=post action="/go"><input type=hidden name=h value="1">
		<input type=radio name=r value=a><input type=radio name=r value=b checked><input type=checkbox name=c value=x>
		<button name=decision value=approve>Continue with <b>GitHub</b></button><button type=button name=no>Help</button>
		<input type=submit name=decision value=deny></form><form action="/other"></form>`)
	if err != nil || len(forms) != 2 {
		t.Fatalf("%d forms, %v; want 2", len(forms), err)
	}
	f := forms[0]
	if diff := cmp.Diff(url.Values{"h": {"1"}, "r": {"b"}}, f.fields); diff != "" {
		t.Errorf("fields (-want +got):\n%s", diff)
	}
	if f.method != "POST" || f.action != "/go" {
		t.Errorf("%s %s", f.method, f.action)
	}
	for label, want := range map[string]string{"approve": "approve", "continue with github": "approve", "deny": "deny"} {
		if b, ok := f.press(label); !ok || b.value != want || b.name != "decision" {
			t.Errorf("press %q: %+v, %v", label, b, ok)
		}
	}
	if b, ok := f.press("help"); ok {
		t.Errorf("pressed %+v, which submits nothing", b)
	}
}

// These tests never leave the machine.
func TestNetworkIsThisMachine(t *testing.T) {
	t.Parallel()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://192.0.2.1/", nil)
	if err != nil {
		t.Fatal(err)
	}
	if resp, err := network.RoundTrip(req); err == nil {
		_ = resp.Body.Close()
		t.Error("192.0.2.1 was reached")
	} else if !strings.Contains(err.Error(), "not part of the test") {
		t.Errorf("error %v", err)
	}
}
