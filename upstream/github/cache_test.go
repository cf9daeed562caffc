// SPDX-License-Identifier: Apache-2.0

package github

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/caddy-mcp/caddy-mcp-oauth/internal/testidp"
	"github.com/caddy-mcp/caddy-mcp-oauth/policy"
	"github.com/caddy-mcp/caddy-mcp-oauth/upstream"
)

// TestChecksCostNothing while nothing changes, and see at once what does.
func TestChecksCostNothing(t *testing.T) {
	t.Parallel()
	a := signedIn(t)
	a.srv.SetParent("github/cats", "github/animals")
	a.holds("github", "github/animals", "github/cats")
	used := a.srv.Used(583231)
	for range 10 {
		a.holds("github", "github/animals", "github/cats")
	}
	if now := a.srv.Used(583231); now != used {
		t.Errorf("ten checks of nothing new used %d of the quota", now-used)
	}
	for name, tc := range map[string]struct {
		change func(*testidp.User)
		want   []string
	}{
		"1 leaves a team": {func(u *testidp.User) { u.Teams = nil }, []string{"github"}},
		"2 joins one":     {func(u *testidp.User) { u.Teams = []string{"github/dogs"} }, []string{"github", "github/dogs"}},
	} {
		a.change(tc.change)
		a.holds(tc.want...)
		if now := a.srv.Used(583231); now != used+1 {
			t.Errorf("%s: one list changed, %d of the quota used", name, now-used)
		}
		a.change(func(u *testidp.User) { u.Teams = []string{"github/cats"} })
		a.holds("github", "github/animals", "github/cats")
		used = a.srv.Used(583231)
	}
}

// TestFullPageThatGrew: the hundred and first organization leaves the first page
// as it was. GitHub answers it with 304, with the new link or without any.
func TestFullPageThatGrew(t *testing.T) {
	t.Parallel()
	for _, link := range []bool{false, true} {
		a := signedInAs(t, Config{Needs: policy.Needs{Orgs: true}}, func(s *testidp.Server) {
			s.UpdateUser(583231, func(u *testidp.User) {
				u.Orgs = nil
				for i := range perPage {
					u.Orgs = append(u.Orgs, fmt.Sprintf("org-%d", i))
				}
			})
		}, func(c *testidp.Config) { c.LinkOn304 = link })
		for _, step := range []struct {
			change func(*testidp.User)
			want   int
		}{
			{func(*testidp.User) {}, perPage},
			{func(u *testidp.User) { u.Orgs = append(u.Orgs, "one-more") }, perPage + 1},
			{func(*testidp.User) {}, perPage + 1},
			{func(u *testidp.User) { u.Orgs = u.Orgs[:perPage] }, perPage},
			{func(u *testidp.User) { u.Orgs = u.Orgs[:1] }, 1},
		} {
			a.change(step.change)
			// More are lost than are asked about one by one.
			a.last.Groups = nil
			if id, err := a.check(); err != nil || len(id.Groups) != step.want {
				t.Errorf("link %v: %d organizations, want %d, error %v", link, len(id.Groups), step.want, err)
			}
		}
	}
}

// TestAttackOtherUsersPage: two users ask for the same addresses. What one is told
// is never shown to the other, whichever tag GitHub sends.
func TestAttackOtherUsersPage(t *testing.T) {
	t.Parallel()
	a := signedIn(t)
	for _, path := range []string{"/user", "/user/emails", "/user/memberships/orgs", "/user/teams"} {
		a.srv.Fail(path, testidp.With("X-Nothing", "1"))
	}
	a.holds("github", "github/cats")
	a.srv.AddUser(testidp.User{ID: 2, Login: "mona", Orgs: []string{"other"}})
	mona := *a
	mona.tok = &upstream.Token{Access: a.srv.IssueToken(2, "read:org", "user:email", "read:user")}
	mona.last.ID, mona.last.Groups, mona.last.EmailVerified = "2", nil, false
	mona.srv.Forget()
	mona.holds("other")
	for _, r := range mona.srv.Requests() {
		if r.Header.Get("If-None-Match") != "" {
			t.Errorf("%s was asked with somebody else's tag", r.Path)
		}
	}
	if mona.last.Email != "" || mona.last.Login != "mona" {
		t.Errorf("identity %+v", mona.last)
	}
	a.holds("github", "github/cats")
}

// TestCheckOwnsItsGroups: the caller may change what it gets.
func TestCheckOwnsItsGroups(t *testing.T) {
	t.Parallel()
	a := signedIn(t)
	for range 3 {
		a.holds("github", "github/cats")
		for i := range a.last.Groups {
			a.last.Groups[i] = "evil"
		}
		a.last.Groups = nil
	}
}

// TestSignInIsNotCached: its token is new, and may be dropped right away.
func TestSignInIsNotCached(t *testing.T) {
	t.Parallel()
	a := signedIn(t)
	if n := len(a.g.cache.entries); n != 0 {
		t.Errorf("%d entries after a sign-in", n)
	}
	a.holds("github", "github/cats")
	if n := len(a.g.cache.entries); n != 4 {
		t.Errorf("%d entries after a check", n)
	}
}

// TestCacheHasNoTokens, in whichever form.
func TestCacheHasNoTokens(t *testing.T) {
	t.Parallel()
	a := signedIn(t)
	a.holds("github", "github/cats")
	var dump bytes.Buffer
	for key, e := range a.g.cache.entries {
		fmt.Fprintf(&dump, "%s %+v\n", key, e.Value.(*slot).entry)
	}
	if !strings.Contains(dump.String(), "octocat") {
		t.Fatalf("the dump shows nothing: %s", dump.String())
	}
	keepsSecret(t, fmt.Errorf("%s", dump.String()), a.tok.Access, a.srv.ClientSecret())
}

type text string

func (s text) size() int { return len(s) }

func cacheURL(t *testing.T, path string) *url.URL {
	t.Helper()
	u, err := url.Parse("https://api.github.com" + path)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func TestCacheIsBounded(t *testing.T) {
	t.Parallel()
	c := newCache(100 * (entryOverhead + 100))
	key := func(i int) cacheKey { return keyOf(fmt.Sprintf("token-%d", i), cacheURL(t, "/user")) }
	for i := range 1000 {
		c.put(key(i), entry{etag: `"x"`, value: text(strings.Repeat("v", i%97))})
		c.get(key(0)) // in use
	}
	size := 0
	for e := c.recent.Front(); e != nil; e = e.Next() {
		size += e.Value.(*slot).entry.size()
	}
	if c.used != size || c.used > c.limit || len(c.entries) != c.recent.Len() || len(c.entries) < 90 {
		t.Errorf("%d bytes in %d entries, counted %d, limit %d", size, len(c.entries), c.used, c.limit)
	}
	if _, ok := c.get(key(0)); !ok {
		t.Error("the one in use is gone")
	}
	if _, ok := c.get(key(999)); !ok {
		t.Error("the newest is gone")
	}
	if _, ok := c.get(key(1)); ok {
		t.Error("the oldest is there")
	}
	before := c.used
	c.put(key(999), entry{etag: `"y"`, value: text(strings.Repeat("v", c.limit))})
	if _, ok := c.get(key(999)); ok || c.used >= before {
		t.Error("what is too large was kept, or what it replaces")
	}
	c.put(key(0), entry{value: text("no tag")})
	if _, ok := c.get(key(0)); ok {
		t.Error("an answer without a tag was kept, or what it replaces")
	}
}

func TestKeysDiffer(t *testing.T) {
	t.Parallel()
	seen := map[cacheKey]string{}
	for _, token := range []string{"a", "ab", "abc"} {
		for _, path := range []string{"/", "/b", "/user?per_page=100", "/user?per_page=100&page=2"} {
			key := keyOf(token, cacheURL(t, path))
			if other, ok := seen[key]; ok {
				t.Errorf("%s %s and %s are the same", token, path, other)
			}
			seen[key] = token + " " + path
		}
	}
}

func TestCacheInParallel(t *testing.T) {
	t.Parallel()
	c := newCache(20 * (entryOverhead + 10))
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for j := range 500 {
				key := keyOf(fmt.Sprint(i*j%50), cacheURL(t, "/user"))
				want := text(fmt.Sprint(i * j % 50))
				c.put(key, entry{etag: `"x"`, value: want})
				if e, ok := c.get(key); ok && e.value != decoded(want) {
					t.Errorf("got %v, want %v", e.value, want)
				}
			}
		})
	}
	wg.Wait()
}

func TestETag(t *testing.T) {
	t.Parallel()
	for etag, want := range map[string]bool{
		`"abc"`: true, `W/"abc"`: true, `""`: true, `W/""`: true,
		``: false, `"`: false, `W/`: false, `abc`: false, `"abc`: false, `abc"`: false, `w/"abc"`: false,
		`"a b"`: false, "\"a\r\nX: y\"": false, `"` + strings.Repeat("a", maxETag) + `"`: false, `"ä"`: false,
	} {
		if got := etagOf(http.Header{"Etag": {etag}}); (got != "") != want {
			t.Errorf("%q: %q", etag, got)
		}
	}
	if got := etagOf(http.Header{"Etag": {`"a"`}, "Cache-Control": {"private, No-Store"}}); got != "" {
		t.Errorf("no-store: %q", got)
	}
}

// TestHeadersAfter304: what is not said again is as it was.
func TestHeadersAfter304(t *testing.T) {
	t.Parallel()
	before := headers{link: []string{"<a>"}, scopes: []string{"read:org"}, sso: "partial-results"}
	if diff := cmp.Diff(before, before.updated(http.Header{}), cmp.AllowUnexported(headers{})); diff != "" {
		t.Error(diff)
	}
	want := headers{link: []string{"<b>"}, scopes: []string{""}, sso: "required"}
	got := before.updated(http.Header{"Link": {"<b>"}, "X-Oauth-Scopes": {""}, "X-Github-Sso": {"required"}})
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(headers{})); diff != "" {
		t.Error(diff)
	}
}

// TestSizesAreHonest: the decoded form is a small part of the answer, and no
// smaller than its JSON would be without names.
func TestSizesAreHonest(t *testing.T) {
	t.Parallel()
	var teams []map[string]any
	for i := range perPage {
		teams = append(teams, map[string]any{
			"id": i + 1, "slug": fmt.Sprintf("team-%d", i), "organization": map[string]any{"login": "acme"},
			"parent": map[string]any{"id": 1000 + i, "slug": "parent"},
		})
	}
	body, err := json.Marshal(teams)
	if err != nil {
		t.Fatal(err)
	}
	p, err := decodeTeams(body)
	if err != nil || p.size() < perPage*30 || p.size() > 2*len(body) || p.entries() != perPage {
		t.Errorf("%d bytes for a body of %d, %d entries, %v", p.size(), len(body), p.entries(), err)
	}
}
