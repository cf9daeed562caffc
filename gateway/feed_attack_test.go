// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-mcp/caddy-mcp-oauth/identity"
	"github.com/caddy-mcp/caddy-mcp-oauth/oauth"
	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
	"github.com/caddy-mcp/caddy-mcp-oauth/token"
)

// accountLink is a link on which reading accounts is not what it should be.
type accountLink struct {
	*link
	// before runs before an account is read. Its error is the answer.
	before func(ctx context.Context, subject string) error
	// changes is in place of the link's, if it is set.
	changes func() ([]storage.Change, uint64, error)
}

func (l *accountLink) Account(ctx context.Context, subject string) (*storage.Account, error) {
	if l.before != nil {
		if err := l.before(ctx, subject); err != nil {
			return nil, err
		}
	}
	return l.link.Account(ctx, subject)
}

func (l *accountLink) Changes(ctx context.Context, after uint64, limit int) ([]storage.Change, uint64, error) {
	if l.changes != nil {
		return l.changes()
	}
	return l.link.Changes(ctx, after, limit)
}

// oddGateway is a gateway with such a link, beside one with a good one.
func oddGateway(t *testing.T, odd *accountLink) (good *link, b *testbed) {
	t.Helper()
	shared, _, links := gateways(t, 1)
	odd.link = &link{sharedStore: shared}
	st := newTestState(odd)
	t.Cleanup(func() { _ = st.Close() })
	res := &Resource{Path: "/mcp", Scopes: []string{"mcp"}, Policy: testPolicy(t, "any")}
	return links[0], &testbed{t, shared.scriptedStore, st, newGuard(st, testIssuer, res, slog.New(slog.DiscardHandler))}
}

func wantStatusOf(t *testing.T, b *testbed, grantID string, p identity.Identity, want int, when string) {
	t.Helper()
	if got := b.status(grantID, p); got != want {
		t.Errorf("%s: %s got %d, want %d", when, grantID, got, want)
	}
}

// The record of one account is damaged, or of a format that this version does not
// know yet, and it is in use here when another gateway says that it changed. If the
// reader of the feed stopped there, one record would cut everybody off.
func TestOneUnreadableAccountCutsNobodyElseOff(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		bad := person("1").Subject()
		var poisoned atomic.Bool
		other, b := oddGateway(t, &accountLink{before: func(_ context.Context, subject string) error {
			if poisoned.Load() && subject == bad {
				return storage.ErrFormat
			}
			return nil
		}})
		ctx, cleanUp := context.WithCancel(t.Context())
		defer cleanUp()
		streams := map[string]<-chan error{}
		for _, n := range []string{"1", "2", "3"} {
			streams[n] = b.call(b.bearerRequest(ctx, "g"+n, person(n)), "text/event-stream")
		}
		synctest.Wait()
		poisoned.Store(true)
		if err := errors.Join(
			other.SaveAccount(ctx, &storage.Account{Subject: bad, Identity: person("1")}),
			other.RevokeGrant(ctx, testIssuer, "g2"),
		); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		wantStatusOf(t, b, "g2", person("2"), 401, "revoked after the bad record")
		wantStatusOf(t, b, "g1", person("1"), 503, "the person of the bad record")
		if err := over(streams["1"]); !errors.Is(err, errStreamStale) {
			t.Errorf("the stream of the person whose facts are unknown ended with %v", err)
		}
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		wantStatusOf(t, b, "g3", person("3"), 200, "somebody else, much later")
		if err := over(streams["3"]); err != nil {
			t.Errorf("the stream of somebody else ended with %v", err)
		}
		poisoned.Store(false)
		wantStatusOf(t, b, "g1", person("1"), 200, "when the record can be read again")
	})
}

// Thousands of people are in use here, all of them were checked again by another
// gateway while this one was cut off, and the store is far away. If what is learnt had
// to be learnt within one reading, or nothing of it counted, the reader would begin the
// same page for ever; and what was revoked would wait behind all of them.
func TestManyChangedAccountsInAFarStore(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const people = 1500
		var far atomic.Bool
		reads := map[string]*atomic.Int32{}
		for i := range people {
			reads[person(fmt.Sprint(i+1)).Subject()] = new(atomic.Int32)
		}
		odd := &accountLink{before: func(ctx context.Context, subject string) error {
			if !far.Load() {
				return nil
			}
			reads[subject].Add(1)
			select {
			case <-time.After(6 * time.Millisecond):
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		}}
		other, b := oddGateway(t, odd)
		for i := range people {
			b.store.add(fmt.Sprint("g", i+1), person(fmt.Sprint(i+1)))
			wantStatusOf(t, b, fmt.Sprint("g", i+1), person(fmt.Sprint(i+1)), 200, "first")
		}
		far.Store(true)
		odd.cut(errCut)
		for i := range 2 * people { // each of them twice
			p := person(fmt.Sprint(i%people + 1))
			if err := other.SaveAccount(t.Context(), &storage.Account{Subject: p.Subject(), Identity: p}); err != nil {
				t.Fatal(err)
			}
		}
		if err := other.RevokeGrant(t.Context(), testIssuer, "g7"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Second)
		odd.cut(nil)
		time.Sleep(4 * time.Second)
		synctest.Wait()
		wantStatusOf(t, b, "g7", person("7"), 401, "revoked at the end of it all")
		time.Sleep(2 * time.Minute)
		wantStatusOf(t, b, "g8", person("8"), 200, "somebody else, long after")
		for subject, n := range reads {
			if n.Load() > 2 {
				t.Fatalf("%s was read %d times", subject, n.Load())
			}
		}
	})
}

// A store says of its own head that changes after it were missed, as one does whose
// counters were restored by hand. It is not asked in a tight loop.
func TestAFeedThatAlwaysMisses(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var asked atomic.Int32
		_, b := oddGateway(t, &accountLink{changes: func() ([]storage.Change, uint64, error) {
			if asked.Add(1) > 10_000 {
				time.Sleep(time.Hour) // the loop would not let the time of the test pass
			}
			return nil, 0, storage.ErrMissed
		}})
		time.Sleep(65 * time.Second)
		if n := asked.Load(); n > 100 {
			t.Errorf("asked %d times in a minute", n)
		}
		wantStatusOf(t, b, "g1", person("1"), 503, "when nothing is known for too long")
	})
}

// A request is admitted, and before it is among those in flight everything in memory is
// forgotten, because revocations were missed: while the token of the provider is fetched
// for it, for example. Nobody would ever end its stream.
func TestARequestThatIsOvertakenByDoubt(t *testing.T) {
	t.Parallel()
	for name, doubt := range map[string]func(*State){
		"about everything": func(st *State) { st.doubtAll() },
		"about the person": func(st *State) { _ = st.reloadAccounts(t.Context(), map[string]bool{person("1").Subject(): true}) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var poisoned atomic.Bool
			_, b := oddGateway(t, &accountLink{before: func(context.Context, string) error {
				if poisoned.Load() {
					return storage.ErrFormat
				}
				return nil
			}})
			st, g := b.st, b.guard
			a := admission{matched: "/mcp", doubts: st.doubts.Load()}
			r := b.bearerRequest(t.Context(), "g1", person("1"))
			w := httptest.NewRecorder()
			var err error
			if a.tok, err = g.authenticate(w, r, g.st.now()); err != nil || a.tok == nil {
				t.Fatal(a.tok, err)
			}
			a.view, a.judged = a.tok.viewFor(g.cfg.Policy, g.log), st.judge.Load()
			poisoned.Store(true)
			doubt(st)
			err = g.forward(w, r, a, func(http.ResponseWriter, *http.Request, *Admitted) error {
				t.Error("it reached the backend")
				return nil
			})
			if unavailable := (*Unavailable)(nil); !errors.As(err, &unavailable) || b.inFlight() != 0 {
				t.Errorf("got %v, and %d in flight", err, b.inFlight())
			}
		})
	}
}

// The feed cannot be read for too long, but the store answers otherwise. What a client
// is told about its refresh token comes from the same memory as the guard's verdict.
func TestIntrospectionOfARefreshTokenKnowsStaleness(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var down atomic.Bool
		odd := &accountLink{}
		odd.changes = func() ([]storage.Change, uint64, error) {
			if down.Load() {
				return nil, 0, errCut
			}
			return nil, 0, nil
		}
		_, b := oddGateway(t, odd)
		server := &Server{
			st: b.st, cfg: &Config{Issuer: testIssuer}, log: b.st.log, byResource: map[string]*Guard{b.guard.resource: b.guard},
		}
		b.store.add("g1", person("1"))
		refresh := b.st.ring.Load().NewRefresh("g1")
		g, err := b.store.Grant(t.Context(), testIssuer, "g1")
		if err != nil {
			t.Fatal(err)
		}
		g.Refresh.Current = token.Hash(refresh)
		b.store.mu.Lock()
		b.store.grants["g1"] = g
		b.store.mu.Unlock()
		ask := func() (bool, *oauth.Error) {
			answer, perr := server.introspect(t.Context(), &client{Client: storage.Client{ID: g.ClientID}}, refresh)
			return answer.Active, perr
		}
		if active, perr := ask(); !active || perr != nil {
			t.Fatalf("active %v, %v", active, perr)
		}
		down.Store(true)
		time.Sleep(65 * time.Second)
		if active, perr := ask(); active || perr == nil || perr.HTTPStatus() != http.StatusServiceUnavailable {
			t.Errorf("active %v, %v", active, perr)
		}
	})
}
