// SPDX-License-Identifier: Apache-2.0

package testidp

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"
)

// conditionally is apiGet with If-None-Match.
func conditionally(t *testing.T, s *Server, path, token, etag string) answer {
	t.Helper()
	req := request(t, "GET", s.URL+path, nil)
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("If-None-Match", etag)
	return do(t, req)
}

// TestNotModified costs nothing and has no body; a tag is of one token and one
// body.
func TestNotModified(t *testing.T) {
	t.Parallel()
	s := withOctocat(t)
	token, other := s.IssueToken(583231, allScopes...), s.IssueToken(583231, allScopes...)
	first := apiGet(t, s, "/user/teams", token)
	etag := first.header.Get("ETag")
	if !strings.HasPrefix(etag, `W/"`) || s.Used(583231) != 1 {
		t.Fatalf("ETag %q, used %d", etag, s.Used(583231))
	}
	for _, condition := range []string{etag, strings.TrimPrefix(etag, "W/"), `"x", ` + etag} {
		a := conditionally(t, s, "/user/teams", token, condition)
		if a.status != 304 || a.body != "" || a.header.Get("ETag") != etag || a.header.Get("X-RateLimit-Remaining") != "4999" {
			t.Errorf("%s: %d %q %v", condition, a.status, a.body, a.header)
		}
	}
	if a := conditionally(t, s, "/user/teams", other, etag); a.status != 200 {
		t.Errorf("with another token: %d", a.status)
	}
	s.UpdateUser(583231, func(u *User) { u.Teams = append(u.Teams, "github/dogs") })
	if a := conditionally(t, s, "/user/teams", token, etag); a.status != 200 || a.header.Get("ETag") == etag {
		t.Errorf("after a change: %d", a.status)
	}
	if s.Used(583231) != 3 {
		t.Errorf("used %d", s.Used(583231))
	}
	if a := conditionally(t, s, "/user/memberships/orgs/nobody", token, etag); a.status != 404 || a.header.Get("ETag") != "" {
		t.Errorf("an error: %d %q", a.status, a.header.Get("ETag"))
	}
}

// TestFullPageKeepsItsTag although it is not the last one any more: the trap in
// which a client that trusts a 304 misses what was added.
func TestFullPageKeepsItsTag(t *testing.T) {
	t.Parallel()
	for _, link := range []bool{false, true} {
		s := withOctocat(t, func(c *Config) { c.PageSize, c.LinkOn304 = 2, link })
		s.UpdateUser(583231, func(u *User) { u.Orgs = []string{"a", "b"} })
		token := s.IssueToken(583231, allScopes...)
		first := apiGet(t, s, "/user/memberships/orgs?state=active", token)
		s.UpdateUser(583231, func(u *User) { u.Orgs = append(u.Orgs, "c") })
		a := conditionally(t, s, "/user/memberships/orgs?state=active", token, first.header.Get("ETag"))
		if a.status != 304 || first.header.Get("Link") != "" || (a.header.Get("Link") != "") != link {
			t.Errorf("%d, Link %q before and %q after", a.status, first.header.Get("Link"), a.header.Get("Link"))
		}
	}
}

// TestQuota is a user's, with all tokens together, for an hour.
func TestQuota(t *testing.T) {
	t.Parallel()
	now := newClock()
	s := withOctocat(t, func(c *Config) { c.RateLimit, c.Now = 3, now.get })
	s.AddUser(User{ID: 2, Login: "mona"})
	one, two, mona := s.IssueToken(583231), s.IssueToken(583231), s.IssueToken(2)
	for i, token := range []string{one, two, one} {
		if a := apiGet(t, s, "/user", token); a.status != 200 || a.header.Get("X-RateLimit-Used") != strconv.Itoa(i+1) {
			t.Errorf("request %d: %d, used %q", i, a.status, a.header.Get("X-RateLimit-Used"))
		}
	}
	a := apiGet(t, s, "/user", two)
	reset := fmt.Sprint(now.get().Add(time.Hour).Unix())
	if a.status != 403 || a.header.Get("X-RateLimit-Remaining") != "0" || a.header.Get("X-RateLimit-Reset") != reset || !strings.Contains(a.body, "API rate limit exceeded") {
		t.Errorf("the fourth: %d %v %s", a.status, a.header, a.body)
	}
	if a := apiGet(t, s, "/user", mona); a.status != 200 {
		t.Errorf("somebody else: %d", a.status)
	}
	now.move(time.Hour)
	if a := apiGet(t, s, "/user", one); a.status != 200 {
		t.Errorf("the next hour: %d", a.status)
	}
}
