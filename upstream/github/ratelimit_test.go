// SPDX-License-Identifier: Apache-2.0

package github

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/caddy-mcp/caddy-mcp-oauth/internal/testidp"
	"github.com/caddy-mcp/caddy-mcp-oauth/upstream"
)

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	now := newClock().now
	for value, want := range map[string]time.Duration{
		"": 0, "0": 0, "1": time.Second, "60": time.Minute, "3600": time.Hour, "3601": time.Hour,
		"9223372036854775807": time.Hour, "9223372036854775808": 0, "-5": 0, "+5": 0, "1.5": 0, "5 ": 0, "0x10": 0, "soon": 0, "٣": 0,
		now.Add(90 * time.Second).Format(http.TimeFormat): 90 * time.Second,
		now.Add(-time.Hour).Format(http.TimeFormat):       0,
		now.Add(1e6 * time.Hour).Format(http.TimeFormat):  time.Hour,
	} {
		if got := retryAfter(http.Header{"Retry-After": {value}}, now); got != want {
			t.Errorf("%q: %s, want %s", value, got, want)
		}
	}
}

func TestQuotaReset(t *testing.T) {
	t.Parallel()
	now := newClock().now
	at := func(d time.Duration) string { return fmt.Sprint(now.Add(d).Unix()) }
	for name, tc := range map[string]struct {
		remaining, reset string
		want             time.Duration // zero: not used up
	}{
		"some left":       {"1", at(time.Minute), 0},
		"not said":        {"", at(time.Minute), 0},
		"odd":             {"00", at(time.Minute), 0},
		"used up":         {"0", at(20 * time.Minute), 20 * time.Minute},
		"for long":        {"0", at(48 * time.Hour), time.Hour},
		"for ever":        {"0", "9223372036854775807", time.Hour},
		"beyond numbers":  {"0", "99999999999999999999", time.Minute},
		"in the past":     {"0", at(-time.Minute), time.Minute},
		"now":             {"0", at(0), time.Minute},
		"without a time":  {"0", "", time.Minute},
		"negative":        {"0", "-1", time.Minute},
		"a date for some": {"0", now.Format(http.TimeFormat), time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := http.Header{"X-Ratelimit-Remaining": {tc.remaining}, "X-Ratelimit-Reset": {tc.reset}}
			reset, spent := quotaReset(h, now)
			if spent != (tc.want != 0) || spent && !reset.Equal(now.Add(tc.want)) {
				t.Errorf("until %s, %v; want in %s", reset, spent, tc.want)
			}
		})
	}
}

func FuzzRateHeaders(f *testing.F) {
	for _, s := range []string{"0", "60", "-1", "1e9", "9223372036854775807", "Fri, 02 Jan 2026 03:04:05 GMT", "Mon, 01 Jan 0001 00:00:00 GMT", "\u0663"} {
		f.Add(s, s)
	}
	now := newClock().now
	f.Fuzz(func(t *testing.T, retry, reset string) {
		h := http.Header{"Retry-After": {retry}, "X-Ratelimit-Remaining": {"0"}, "X-Ratelimit-Reset": {reset}}
		if d := retryAfter(h, now); d < 0 || d > maxWait {
			t.Errorf("%q: %s", retry, d)
		}
		if at, spent := quotaReset(h, now); !spent || !at.After(now) || at.After(now.Add(maxWait)) {
			t.Errorf("%q: until %s, %v", reset, at, spent)
		}
	})
}

// TestAttackBurntQuota: mallory is about to lose her access, and uses up her own
// GitHub quota with a script, which is hers with every app. Nobody else's check
// must wait for that, hers is not asked for in vain, and after the hour she is out.
func TestAttackBurntQuota(t *testing.T) {
	t.Parallel()
	a := signedIn(t, func(c *testidp.Config) { c.RateLimit = 20 })
	a.holds("github", "github/cats")
	for a.srv.Used(583231) < 20 {
		if _, _, err := a.g.newSession(a.tok.Access).orgs(t.Context()); err != nil {
			break
		}
	}
	a.change(func(u *testidp.User) { u.Orgs, u.Teams = nil, nil })
	if r := a.refused(upstream.ReasonUnavailable, "X-RateLimit-Remaining 0"); r.RetryAfter != 0 {
		t.Errorf("everybody has to wait %s for one", r.RetryAfter)
	}
	a.srv.Forget()
	a.refused(upstream.ReasonUnavailable, "no quota left until 2026-01-02T04:04:05Z")
	if n := len(a.srv.Requests()); n != 0 {
		t.Errorf("%d requests that were bound to fail", n)
	}
	a.srv.AddUser(testidp.User{ID: 2, Login: "mona"})
	other := *a
	other.tok = &upstream.Token{Access: a.srv.IssueToken(2, "read:org", "user:email", "read:user")}
	other.last.ID, other.last.Groups = "2", nil
	other.last.EmailVerified = false
	other.holds()
	a.clock.move(time.Hour)
	a.holds()
}

// TestSpendersAreFew: a bounded number of them is remembered, and old ones go.
func TestSpendersAreFew(t *testing.T) {
	t.Parallel()
	var s spenders
	now := newClock().now
	for i := range maxSpent + 10 {
		s.add(fmt.Sprint(i), now.Add(time.Minute), now)
	}
	if len(s.resets) != maxSpent {
		t.Errorf("%d are remembered", len(s.resets))
	}
	if _, spent := s.has("0", now.Add(time.Minute)); spent {
		t.Error("after the reset")
	}
	s.add("new", now.Add(2*time.Hour), now.Add(time.Hour))
	s.add("newer", now.Add(2*time.Hour), now.Add(time.Hour))
	if diff := cmp.Diff(2, len(s.resets)); diff != "" {
		t.Error(diff)
	}
}

// TestLimitsAreDescribed, for the operator who wonders.
func TestLimitsAreDescribed(t *testing.T) {
	t.Parallel()
	a := signedIn(t)
	a.srv.Fail("/user", testidp.RateLimited(a.clock.now.Add(time.Minute)))
	r := a.refused(upstream.ReasonUnavailable)
	for _, want := range []string{"/user answered with status 403", "X-RateLimit-Remaining 0", "X-RateLimit-Reset 1767323105"} {
		if !strings.Contains(r.Error(), want) {
			t.Errorf("%v does not say %q", r, want)
		}
	}
}
