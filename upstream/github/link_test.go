// SPDX-License-Identifier: Apache-2.0

package github

import (
	"net/url"
	"strings"
	"testing"

	"github.com/caddy-mcp/caddy-mcp-oauth/internal/testidp"
	"github.com/caddy-mcp/caddy-mcp-oauth/upstream"
)

func orgsPage(t testing.TB) *url.URL {
	t.Helper()
	u, err := url.Parse("https://api.github.com/user/orgs?per_page=100")
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func TestNextPage(t *testing.T) {
	t.Parallel()
	const api = "https://api.github.com"
	for name, tc := range map[string]struct {
		headers []string
		want    string // empty: there is no next page
	}{
		"none":                 {nil, ""},
		"empty":                {[]string{""}, ""},
		"github":               {[]string{`<https://api.github.com/user/orgs?per_page=100&page=2>; rel="next", <https://api.github.com/user/orgs?per_page=100&page=5>; rel="last"`}, api + "/user/orgs?per_page=100&page=2"},
		"last page":            {[]string{`<https://api.github.com/x?page=1>; rel="prev", <https://api.github.com/x?page=1>; rel="first"`}, ""},
		"next is not first":    {[]string{`<https://api.github.com/a>; rel="prev", <https://api.github.com/b>; rel="next"`}, api + "/b"},
		"two headers":          {[]string{`<https://api.github.com/a>; rel="prev"`, `<https://api.github.com/b>; rel="next"`}, api + "/b"},
		"by user id":           {[]string{`<https://api.github.com/user/1/orgs?page=2>; rel="next"`}, api + "/user/1/orgs?page=2"},
		"token":                {[]string{`<https://api.github.com/b>;rel=next`}, api + "/b"},
		"case":                 {[]string{`<https://api.github.com/b>; REL="Next"`}, api + "/b"},
		"several relations":    {[]string{`<https://api.github.com/b>; rel="last next"`}, api + "/b"},
		"blanks":               {[]string{" \t<https://api.github.com/b> \t; \trel \t= \t\"next\" \t, "}, api + "/b"},
		"other parameters":     {[]string{`<https://api.github.com/b>; title="a, <c>; rel=\"prev\""; hreflang=en; rel="next"`}, api + "/b"},
		"comma in target":      {[]string{`<https://api.github.com/b?a=1,2>; rel="next"`}, api + "/b?a=1,2"},
		"only first rel":       {[]string{`<https://api.github.com/b>; rel="prev"; rel="next"`}, ""},
		"next in a title":      {[]string{`<https://api.github.com/b>; title="rel=next"`}, ""},
		"nextish":              {[]string{`<https://api.github.com/b>; rel="nextish"`}, ""},
		"flag":                 {[]string{`<https://api.github.com/b>; next; rel`}, ""},
		"relative path":        {[]string{`</user/orgs?page=2>; rel="next"`}, api + "/user/orgs?page=2"},
		"relative query":       {[]string{`<?page=2>; rel="next"`}, api + "/user/orgs?page=2"},
		"host with other case": {[]string{`<https://API.github.com/b>; rel="next"`}, "https://API.github.com/b"},
		"fragment":             {[]string{`<https://api.github.com/b#c>; rel="next"`}, api + "/b"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			next, more, err := nextPage(orgsPage(t), tc.headers)
			if err != nil {
				t.Fatal(err)
			}
			if more != (tc.want != "") || more && next.String() != tc.want {
				t.Errorf("next %v, more %v; want %q", next, more, tc.want)
			}
		})
	}
}

// TestAttackNextPageElsewhere: whoever can write the Link header would have the
// token sent to them.
func TestAttackNextPageElsewhere(t *testing.T) {
	t.Parallel()
	for _, target := range []string{
		"https://evil.example/user/orgs",
		"http://api.github.com/user/orgs",
		"https://api.github.com.evil.example/",
		"https://api.github.com:8443/",
		"https://api.github.com@evil.example/",
		"https://evil.example@api.github.com/",
		"//evil.example/user/orgs",
		`/\evil.example`,
		"https:evil",
		"javascript:alert(1)",
		"https://api.github.com\\@evil.example/",
		"https://[::1",
		"%zz",
	} {
		next, more, err := nextPage(orgsPage(t), []string{"<" + target + `>; rel="next"`})
		if err == nil && (!more || next.Scheme != "https" || next.Host != "api.github.com" || next.User != nil) {
			t.Errorf("%s: goes on to %v", target, next)
		}
		if err == nil && target != `/\evil.example` {
			t.Errorf("%s: accepted as %v", target, next)
		}
	}
}

func TestMalformedLink(t *testing.T) {
	t.Parallel()
	for _, s := range []string{
		"x", "<", "<a", ">", `a>; rel="next"`, `<a> rel="next"`, `<a>; rel="next`, `<a>; rel="next\`, `<a>; rel="prev" x`,
		`<a>; "next"`, "<a>;=<", strings.Repeat(",", maxLink+1),
	} {
		if next, more, err := nextPage(orgsPage(t), []string{s}); err == nil {
			t.Errorf("%.40q: next %v, more %v", s, next, more)
		}
	}
}

// TestAttackLinkIsFollowedOnlyAtHome runs the attack through a sign-in.
func TestAttackLinkIsFollowedOnlyAtHome(t *testing.T) {
	t.Parallel()
	thief := testidp.Start(t)
	for _, path := range []string{"/user/emails", "/user/memberships/orgs", "/user/teams"} {
		g, srv := start(t, Config{Needs: needBoth})
		if path == "/user/emails" { // else the first page is enough
			srv.UpdateUser(583231, func(u *testidp.User) { u.Emails = nil })
		}
		srv.Fail(path, testidp.With("Link", "<"+thief.URL+path+`>; rel="next"`))
		_, err := signIn(t, g, srv)
		wantRefusal(t, err, upstream.ReasonUnavailable, "not on the API's origin")
	}
	if n := len(thief.Requests()); n != 0 {
		t.Errorf("the thief got %d requests", n)
	}
}

// TestAttackLinkCircle: a list whose next page is itself.
func TestAttackLinkCircle(t *testing.T) {
	t.Parallel()
	g, srv := start(t, Config{Needs: needBoth})
	srv.Fail("/user/memberships/orgs", testidp.With("Link", `<?page=1>; rel="next"`))
	_, err := signIn(t, g, srv)
	wantRefusal(t, err, upstream.ReasonUnavailable, "more than 20 pages")
}

func FuzzNextPage(f *testing.F) {
	for _, s := range []string{
		`<https://api.github.com/user/orgs?page=2>; rel="next", <https://api.github.com/user/orgs?page=5>; rel="last"`,
		`<//evil.example>; rel=next`, `</\evil>; rel="a next"`, `<?page=2>;rel="next"`, `<a>; title="\"`, ",,<", `<a>;b=c;rel`,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, header string) {
		next, more, err := nextPage(orgsPage(t), []string{header})
		if more != (next != nil) || err != nil && more {
			t.Fatalf("next %v, more %v, error %v", next, more, err)
		}
		if !more {
			return
		}
		// What is requested is what was checked, also after being written out.
		again, err := url.Parse(next.String())
		if err != nil {
			t.Fatalf("%q: %v", next, err)
		}
		if again.Scheme != "https" || !strings.EqualFold(again.Host, "api.github.com") || again.User != nil {
			t.Errorf("%q leads to %s", header, again)
		}
	})
}
