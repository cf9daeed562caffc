// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-mcp/caddy-mcp-oauth/identity"
	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
	"github.com/caddy-mcp/caddy-mcp-oauth/upstream"
)

// Somebody is removed from the organization while a stream of theirs is open. Within
// the interval the last decision holds; the first request after it is refused, the
// stream has ended, and the grants are gone for good, also those that no request has
// touched here.
func TestRemovedMember(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, member(1), member(2))
		raw, other := l.grant("g1", member(1)), l.grant("g2", member(2))
		l.grant("untouched", member(1))
		l.idp.is(person("1"))
		time.Sleep(labInterval - time.Millisecond)
		l.want(raw, http.StatusOK, "removed, within the interval")
		time.Sleep(time.Millisecond)
		stream := l.testbed.call(l.request(t.Context(), other), "text/event-stream")
		l.want(raw, http.StatusUnauthorized, "removed, after the interval")
		if l.mem.hasGrant("g1") || l.mem.hasGrant("untouched") || !l.mem.hasGrant("g2") {
			t.Error("want the grants of the removed member gone, and no other")
		}
		if over(stream) != nil {
			t.Error("the stream of another member ended")
		}
		for _, want := range []string{`"level":"WARN"`, "grant revoked after a check", `"subject":"github:1"`, `"reason":"no_longer_allowed"`} {
			if !strings.Contains(l.logged(), want) {
				t.Errorf("no %s in the log", want)
			}
		}
		if l.counted(EventUpstreamDenied) != 1 {
			t.Errorf("counted %v", l.counts)
		}
		if got := l.mem.account("github:1"); len(got.Identity.Groups) != 0 || !got.CheckedAt.Equal(time.Now()) {
			t.Errorf("account %+v", got)
		}
	})
}

// The same with the stream of the removed member: nobody sends a request, and still
// it ends within the interval.
func TestStreamOfARemovedMember(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, member(1))
		stream := l.testbed.call(l.request(t.Context(), l.grant("g1", member(1))), "text/event-stream")
		time.Sleep(labInterval * 7 / 10)
		synctest.Wait()
		if l.idp.questions() != 0 {
			t.Error("checked too early")
		}
		time.Sleep(5 * labInterval) // the open stream alone keeps the account in use
		synctest.Wait()
		if q := l.idp.questions(); over(stream) != nil || q < 5 || q > 8 {
			t.Errorf("%d questions in an hour", q)
		}
		l.idp.is(person("1"))
		time.Sleep(labInterval)
		synctest.Wait()
		if err := over(stream); !errors.Is(err, errStreamRevoked) {
			t.Errorf("the stream ended with %v", err)
		}
	})
}

// An account in use is checked ahead, so that no request waits; an idle one is not
// asked about at all.
func TestAccountsInUseAreCheckedAhead(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, member(1), member(2))
		busy, idle := l.grant("g1", member(1)), l.grant("g2", member(2))
		l.want(idle, http.StatusOK, "idle from now on")
		for range 6 * 60 { // an hour
			l.want(busy, http.StatusOK, "busy")
			time.Sleep(10 * time.Second)
		}
		asked := map[string]int{}
		for _, s := range l.idp.asked {
			asked[s]++
		}
		// Between 75 and 88 percent of ten minutes: seven or eight times an hour.
		if n := asked["github:1"]; n < 6 || n > 8 {
			t.Errorf("asked %d times within an hour", n)
		}
		if n := asked["github:2"]; n > 1 {
			t.Errorf("asked %d times about somebody idle", n)
		}
		l.want(idle, http.StatusOK, "back after an hour")
		if asked := l.idp.asked; asked[len(asked)-1] != "github:2" {
			t.Error("who comes back was not checked")
		}
	})
}

// The provider hangs. A request waits five seconds, not for ever, and goes on with
// the last decision; the answer counts when it comes, and nobody else waits.
func TestRequestDoesNotWaitForEver(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, member(1), member(2))
		one, two := l.grant("g1", member(1)), l.grant("g2", member(2))
		l.idp.does(func(ctx context.Context, last identity.Identity, _ *upstream.Token, _ func(*upstream.Token) error) (identity.Identity, error) {
			pause(ctx, 20*time.Second)
			return identity.Identity{Upstream: "github", Kind: identity.KindGitHub, ID: last.ID}, nil
		})
		time.Sleep(labInterval)
		if status, took := l.use(one); status != http.StatusOK || took != patience {
			t.Errorf("%d after %v", status, took)
		}
		synctest.Wait()
		l.want(one, http.StatusOK, "the same again, while the answer is on its way")
		l.want(two, http.StatusOK, "somebody else meanwhile")
		time.Sleep(20 * time.Second)
		l.want(one, http.StatusUnauthorized, "after the late answer")
	})
}

// An incident of three hours at the provider, with a thousand people at work: nobody
// is logged out or waits, the provider is not hammered, and when it is back everybody
// is checked again.
func TestIncidentOfThreeHours(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const n = 1000
		var people []identity.Identity
		for i := range n {
			people = append(people, member(i+1))
		}
		l := newLab(t, people...)
		raws := make([]string, n)
		for i := range raws {
			raws[i] = l.grant(fmt.Sprint("g", i), people[i])
			l.want(raws[i], http.StatusOK, "before")
		}
		l.idp.does(func(ctx context.Context, last identity.Identity, _ *upstream.Token, _ func(*upstream.Token) error) (identity.Identity, error) {
			pause(ctx, 10*time.Second) // as servers in trouble do
			return last, upstream.Refuse(upstream.ReasonUnavailable, "503")
		})
		waited := time.Duration(0)
		for range 60 {
			for _, raw := range raws {
				status, took := l.use(raw)
				if waited += took; status != http.StatusOK {
					t.Fatalf("%d during the incident", status)
				}
			}
			time.Sleep(3 * time.Minute)
		}
		if q := l.idp.questions(); q < 20 || q > 300 {
			t.Errorf("%d questions in three hours", q)
		}
		if waited > time.Minute {
			t.Errorf("people waited %v in all", waited)
		}
		if !strings.Contains(l.logged(), "upstream gives no answer") || l.counted(EventUpstreamUnavailable) == 0 {
			t.Error("the operator was not told")
		}
		l.idp.says(nil)
		before := l.idp.questions()
		time.Sleep(longestPause + 2*longestLook)
		synctest.Wait()
		for i, raw := range raws {
			l.want(raw, http.StatusOK, "after")
			if got := l.mem.account(people[i].Subject()).CheckedAt; time.Since(got) > longestPause+2*longestLook {
				t.Fatalf("not checked again: %v", got)
			}
		}
		if q := l.idp.questions() - before; q < n || q > n+3 {
			t.Errorf("%d questions for %d people", q, n)
		}
		if !strings.Contains(l.logged(), "upstream answers again") {
			t.Error("the operator was not told that it is over")
		}
	})
}

// Longer than the outage that the operator allows: then nothing is let through, but
// it is the gateway that is not available, and nobody has to sign in again.
func TestOutageThatLastsTooLong(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, member(1))
		raw := l.grant("g1", member(1))
		stream := l.testbed.call(l.request(t.Context(), raw), "text/event-stream")
		l.idp.says(upstream.Refuse(upstream.ReasonUnavailable, "503"))
		time.Sleep(labOutage - time.Minute)
		l.want(raw, http.StatusOK, "just before")
		if over(stream) != nil {
			t.Error("the stream ended before its time")
		}
		time.Sleep(2 * time.Minute)
		l.want(raw, http.StatusServiceUnavailable, "after the outage")
		if err := over(stream); !errors.Is(err, errStreamUnvouched) {
			t.Errorf("the stream ended with %v", err)
		}
		if !l.mem.hasGrant("g1") || l.counted(EventUpstreamOutage) == 0 {
			t.Error("want the grant kept and the refusal counted")
		}
		l.idp.says(nil)
		time.Sleep(labInterval / 2)
		l.want(raw, http.StatusOK, "the provider is back")
	})
}

// A quota is used up: the provider says when to come back, and it is left alone until
// then, whoever asks.
func TestRetryAfterPausesTheWholeUpstream(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, member(1), member(2))
		one, two := l.grant("g1", member(1)), l.grant("g2", member(2))
		limited := upstream.Refuse(upstream.ReasonUnavailable, "rate limit")
		limited.RetryAfter = 40 * time.Minute
		l.idp.says(limited)
		time.Sleep(labInterval)
		l.want(one, http.StatusOK, "limited")
		for range 39 {
			time.Sleep(time.Minute)
			l.want(one, http.StatusOK, "while limited")
			l.want(two, http.StatusOK, "somebody else")
			l.rules(labInterval, labOutage) // a reload is no reason to ask
		}
		if q := l.idp.questions(); q != 1 {
			t.Errorf("%d questions while limited", q)
		}
		l.idp.says(nil)
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if q := l.idp.questions(); q < 3 {
			t.Errorf("%d questions after the limit", q)
		}
	})
}

// An organization that wants people to sign in there first hides from us: nobody is
// accused of anything. The last decision holds as long as in an outage, then the
// client is sent to sign in, which makes it good again, for all clients at once.
func TestProviderAsksForAnotherSignIn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, member(1))
		raw, other := l.grant("g1", member(1)), l.grant("g2", member(1))
		l.want(raw, http.StatusOK, "member")
		l.idp.says(upstream.Refuse(upstream.ReasonSignInNeeded, "SAML"))
		for range 23 {
			time.Sleep(time.Hour)
			l.want(raw, http.StatusOK, "hidden")
		}
		if q := l.idp.questions(); q > 24*7 {
			t.Errorf("%d questions", q)
		}
		time.Sleep(2 * time.Hour)
		l.want(raw, http.StatusUnauthorized, "after the outage")
		l.want(other, http.StatusUnauthorized, "the other client")
		if !l.mem.hasGrant("g1") || !l.mem.hasGrant("g2") {
			t.Error("a grant was revoked")
		}
		l.signIn(member(1))
		l.want(raw, http.StatusOK, "after another sign-in")
		l.want(other, http.StatusOK, "the other client after it")
	})
}

// A user takes the application's access back, is suspended, or deletes the account:
// 401 on the newest token. All is over, everywhere.
func TestRevokedAtTheProvider(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, member(1), member(2))
		raw, other := l.grant("g1", member(1)), l.grant("g2", member(2))
		elsewhere := storage.Grant{Issuer: "https://other.example", ID: "g3", Subject: "github:1", Resource: "https://other.example/mcp"}
		_ = l.mem.CreateGrant(t.Context(), &elsewhere)
		l.st.issuers.Store("https://third.example", nil)
		for _, issuer := range []string{testIssuer, "https://other.example", "https://third.example"} {
			l.mem.consents[issuer+" github:1"], l.mem.consents[issuer+" github:2"] = 1, 1
		}
		l.mem.sessions["github:1"], l.mem.sessions["github:2"] = 2, 2
		stream := l.testbed.call(l.request(t.Context(), raw), "text/event-stream")
		synctest.Wait()
		l.idp.lose("github:1")
		time.Sleep(labInterval)
		l.want(raw, http.StatusUnauthorized, "revoked")
		l.want(other, http.StatusOK, "somebody else")
		if err := over(stream); !errors.Is(err, errStreamRevoked) {
			t.Errorf("the stream ended with %v", err)
		}
		if len(l.mem.grants) != 1 || l.mem.sessions["github:1"] != 0 || l.mem.sessions["github:2"] != 2 || len(l.mem.consents) != 3 {
			t.Errorf("left: %d grants, sessions %v, consents %v", len(l.mem.grants), l.mem.sessions, l.mem.consents)
		}
		a := l.mem.account("github:1")
		if a.Token != "" || !a.CheckedAt.IsZero() {
			t.Errorf("account %+v", a)
		}
		if !strings.Contains(l.logged(), "account revoked at the provider") || l.counted(EventUpstreamDenied) != 1 {
			t.Error("no audit line, or not counted")
		}
		// What slipped through, a code for example that was issued a moment ago, is of
		// no use: the account counts as never checked.
		late := l.grant("late", member(1))
		l.want(late, http.StatusUnauthorized, "a grant of a moment ago")
	})
}

// The check asked with an old token, which the provider dropped because of newer
// ones. While the answer was on its way, a sign-in stored the newest one: that one
// decides, and nobody loses anything.
func TestRevokedTokenIsNotTheNewest(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, member(1))
		raw := l.grant("g1", member(1))
		l.idp.does(func(_ context.Context, last identity.Identity, tok *upstream.Token, _ func(*upstream.Token) error) (identity.Identity, error) {
			if tok.Access != "newest" {
				// As a check, the account of now is known to the store before the answer.
				a := l.mem.account(last.Subject())
				a.Token = l.st.sealToken(last.Subject(), &upstream.Token{Access: "newest"})
				if err := l.mem.SaveAccount(t.Context(), &a); err != nil {
					t.Error(err)
				}
				return identity.Identity{}, upstream.Refuse(upstream.ReasonRevoked, "401")
			}
			return last, nil
		})
		time.Sleep(labInterval)
		l.want(raw, http.StatusOK, "after the check")
		if q := l.idp.questions(); q != 2 {
			t.Errorf("%d questions", q)
		}
	})
}

// Ten clients of one person, each with requests at the same moment, need one check.
func TestManyClientsOfOnePersonNeedOneCheck(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, member(1))
		l.idp.does(func(_ context.Context, last identity.Identity, _ *upstream.Token, _ func(*upstream.Token) error) (identity.Identity, error) {
			time.Sleep(time.Second)
			return last, nil
		})
		var raws []string
		for i := range 10 {
			raws = append(raws, l.grant(fmt.Sprint("g", i), member(1)))
		}
		time.Sleep(labInterval)
		var done sync.WaitGroup
		for i := range 64 {
			done.Go(func() {
				if status, took := l.use(raws[i%10]); status != http.StatusOK || took != time.Second {
					t.Errorf("%d after %v", status, took)
				}
			})
		}
		done.Wait()
		if q := l.idp.questions(); q != 1 {
			t.Errorf("%d questions", q)
		}
	})
}
