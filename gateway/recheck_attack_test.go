// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-mcp/caddy-mcp-oauth/identity"
	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
	"github.com/caddy-mcp/caddy-mcp-oauth/upstream"
)

// silentAbout makes the provider say nothing that proves anything about one person,
// and answer about all others.
func (l *lab) silentAbout(id string) {
	l.idp.does(func(_ context.Context, last identity.Identity, _ *upstream.Token, _ func(*upstream.Token) error) (identity.Identity, error) {
		if last.ID == id {
			return identity.Identity{}, upstream.Refuse(upstream.ReasonUnavailable, "more than 20 pages")
		}
		l.idp.mu.Lock()
		defer l.idp.mu.Unlock()
		return l.idp.people[last.Subject()], nil
	})
}

// Attack: mallory was removed, and has made sure that the provider gives no answer
// about a second account of theirs: it is in more teams than anybody can list. Its
// client never calls the server, so that no request is ever put off; it only renews
// its tokens, as fast as it can. If each of these asked the provider, the upstream
// would count as down, and every probe would be about this account: mallory, and
// everybody else who was removed, would stay in for a day, and then all would get 503.
func TestAttackRenewingWithoutEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, member(1), member(2))
		fine := l.grant("g2", member(2))
		l.silentAbout("1")
		for range 2 * 60 * 60 {
			time.Sleep(500 * time.Millisecond)
			_, _ = l.st.currentAccount(t.Context(), "github:1")
		}
		before := l.idp.questions()
		for range 2 * 60 * 60 {
			time.Sleep(500 * time.Millisecond)
			_, _ = l.st.currentAccount(t.Context(), "github:1")
		}
		if asked := l.idp.questions() - before; asked > 20 {
			t.Errorf("asked %d times in an hour about one account", asked)
		}
		l.want(fine, http.StatusOK, "still a member")
		l.idp.is(person("2"))
		for i := range 60 * 2 * 15 {
			time.Sleep(500 * time.Millisecond)
			_, _ = l.st.currentAccount(t.Context(), "github:1")
			if i%20 == 0 {
				l.use(fine)
			}
		}
		if status, _ := l.use(fine); status != http.StatusUnauthorized {
			t.Errorf("removed a quarter of an hour ago, and answered %d", status)
		}
	})
}

// Attack: as before, and each time the client comes back with a new grant, the last
// one revoked: nobody is in use for longer than one request.
func TestAttackGrantsGivenBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, member(1))
		l.silentAbout("1")
		time.Sleep(labInterval)
		for i := range 600 {
			id := fmt.Sprint("g", i)
			l.use(l.grant(id, member(1)))
			if err := l.st.revokeGrant(t.Context(), testIssuer, id); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
		}
		if n := l.idp.questions(); n > 8 {
			t.Errorf("asked %d times in ten minutes about one account", n)
		}
	})
}

// Attack: the provider renews the token of an account and then says nothing about it.
// A token that was stored is no answer: the pauses grow all the same.
func TestAttackRenewedAndSilent(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, member(1))
		raw := l.grant("g1", member(1))
		l.idp.does(func(_ context.Context, _ identity.Identity, _ *upstream.Token, save func(*upstream.Token) error) (identity.Identity, error) {
			if err := save(&upstream.Token{Access: rand.Text()}); err != nil {
				t.Error(err)
			}
			return identity.Identity{}, upstream.Refuse(upstream.ReasonUnavailable, "longer than 262144 bytes")
		})
		time.Sleep(labInterval)
		for range 600 {
			l.use(raw)
			time.Sleep(time.Second)
		}
		if n := l.idp.questions(); n > 8 {
			t.Errorf("asked %d times in ten minutes about one account", n)
		}
	})
}

// Somebody comes back after a weekend, to a gateway that was started meanwhile, and
// the provider wants them to sign in. Their client has only its refresh token: it has
// to be sent to sign in, or it would be told to try again later for ever.
func TestSignInNeededByAClientThatOnlyRenews(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, member(1))
		l.idp.says(upstream.Refuse(upstream.ReasonSignInNeeded, "SAML"))
		time.Sleep(labOutage)
		for range 2 {
			if _, err := l.st.currentAccount(t.Context(), "github:1"); !errors.Is(err, errTokenSignIn) {
				t.Errorf("answered %v", err)
			}
		}
		if n := l.idp.questions(); n != 1 {
			t.Errorf("%d questions", n)
		}
		l.idp.says(nil)
		l.signIn(member(1))
		if _, err := l.st.currentAccount(t.Context(), "github:1"); err != nil {
			t.Errorf("after the sign-in: %v", err)
		}
	})
}

// The memory of whom to leave alone is bounded, and what is over makes room first.
func TestSilencesAreBounded(t *testing.T) {
	t.Parallel()
	live, now := newLiveTable(nil, time.Now), time.Unix(1_800_000_000, 0)
	note := func(subject string, at time.Time) {
		live.provedNothing(&storage.Account{Subject: subject}, false, at, time.Hour)
	}
	note("over", now.Add(-time.Minute))
	for i := range maxSilences + 50 {
		note(fmt.Sprint(i), now)
	}
	if n := len(live.silences); n > maxSilences {
		t.Errorf("%d are remembered", n)
	}
	if live.silence(&storage.Account{Subject: "over"}).failures != 0 {
		t.Error("one that was over is still there")
	}
	last := &storage.Account{Subject: fmt.Sprint(maxSilences + 49)}
	if s := live.silence(last); s.retryAt != now.Add(firstPause).UnixNano() {
		t.Errorf("the last one: %+v", s)
	}
	last.CheckedAt = now
	if s := live.silence(last); s.retryAt != 0 || s.failures != 0 {
		t.Errorf("after a check: %+v", s)
	}
}

// A grant leaves memory while a stream of it is open: its refresh token could not be
// rotated because the store failed, or there are too many grants. Nobody sends
// another request. Still the person behind the stream is checked, and once they are
// removed it ends; while they are not, it stays.
func TestStreamOfAGrantThatLeftMemory(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, member(1), member(2))
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		leaves := l.call(l.request(ctx, l.grant("g1", member(1))), "text/event-stream")
		stays := l.call(l.request(ctx, l.grant("g2", member(2))), "text/event-stream")
		synctest.Wait()
		l.st.live.doubt("g1")
		l.st.live.doubt("g2")
		time.Sleep(3 * labInterval)
		if l.idp.questions() < 2 || over(leaves) != nil || over(stays) != nil {
			t.Fatalf("%d questions about open streams, or one is over", l.idp.questions())
		}
		l.idp.is(person("1"))
		time.Sleep(labInterval)
		synctest.Wait()
		if cause := over(leaves); !errors.Is(cause, errStreamRevoked) {
			t.Errorf("the stream of a removed member: %v", cause)
		}
		time.Sleep(2 * labOutage)
		if cause := over(stays); cause != nil {
			t.Errorf("the stream of a member: %v", cause)
		}
	})
}

// The same, and the grant was revoked at another gateway before it was read again.
func TestStreamOfAGrantThatIsGone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, member(1))
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		ended := l.call(l.request(ctx, l.grant("g1", member(1))), "text/event-stream")
		synctest.Wait()
		l.mem.intercept(func(string, string) error { return errors.New("no store") })
		l.st.live.doubt("g1")
		time.Sleep(longestLook + time.Second)
		synctest.Wait()
		if cause := over(ended); cause != nil {
			t.Fatalf("ended while nothing is known: %v", cause)
		}
		l.mem.intercept(nil)
		if err := l.mem.RevokeGrant(ctx, testIssuer, "g1"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(longestLook + time.Second)
		synctest.Wait()
		if cause := over(ended); !errors.Is(cause, errStreamRevoked) {
			t.Errorf("ended with %v", cause)
		}
	})
}

// The clock was a month ahead while the provider gave no answers, and is set right.
// Neither the upstream nor an account is left alone for a month for it.
func TestClockSetBackDuringAnOutage(t *testing.T) {
	t.Parallel()
	for name, trouble := range map[string]*upstream.Refusal{
		"upstream down":  {Reason: upstream.ReasonMisconfigured, RetryAfter: time.Hour},
		"account silent": {Reason: upstream.ReasonSignInNeeded},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				l := newLab(t, member(1))
				var ahead atomic.Int64
				l.st.now = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
				raw := l.grant("g1", member(1))
				ahead.Store(int64(30 * 24 * time.Hour))
				l.idp.says(trouble)
				l.use(raw)
				synctest.Wait()
				ahead.Store(0)
				l.idp.is(person("1"))
				l.idp.says(nil)
				l.use(raw) // the check grows old from here on, whenever it was
				time.Sleep(labInterval + longestWish)
				if status, _ := l.use(raw); status != http.StatusUnauthorized {
					t.Errorf("removed, and answered %d", status)
				}
			})
		})
	}
}
