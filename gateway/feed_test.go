// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-mcp/caddy-mcp-oauth/identity"
	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
)

// sharedStore is one store that several gateways look at, with a feed that can be cut
// off, can lose changes, and wakes nobody unless told to.
type sharedStore struct {
	*scriptedStore
	mu        sync.Mutex
	changes   []storage.Change
	dropped   uint64 // changes no longer in the feed
	revisions map[string]uint64
	wakes     chan struct{} // closed at the next change
	silent    bool          // no wake-ups
	asked     int           // how often the feed was read
}

func newSharedStore() *sharedStore {
	return &sharedStore{scriptedStore: newScriptedStore(), revisions: map[string]uint64{}, wakes: make(chan struct{})}
}

// cut makes the gateway that holds the link unable to reach the store.
type link struct {
	*sharedStore
	mu  sync.Mutex
	err error
}

var errCut = errors.New("no route to the store")

func (l *link) cut(err error) { l.mu.Lock(); defer l.mu.Unlock(); l.err = err }

func (l *link) broken() error { l.mu.Lock(); defer l.mu.Unlock(); return l.err }

func (s *sharedStore) append(c storage.Change) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.changes = append(s.changes, c)
	if !s.silent {
		close(s.wakes)
		s.wakes = make(chan struct{})
	}
}

func (l *link) RevokeGrant(ctx context.Context, issuer, id string) error {
	if err := l.broken(); err != nil {
		return err
	}
	if err := l.scriptedStore.RevokeGrant(ctx, issuer, id); err != nil {
		return err
	}
	l.append(storage.Change{Kind: storage.ChangeGrant, ID: id})
	return nil
}

func (l *link) SaveAccount(ctx context.Context, a *storage.Account) error {
	if err := l.broken(); err != nil {
		return err
	}
	if err := l.scriptedStore.SaveAccount(ctx, a); err != nil {
		return err
	}
	l.sharedStore.mu.Lock()
	l.revisions[a.Subject]++
	l.sharedStore.mu.Unlock()
	l.append(storage.Change{Kind: storage.ChangeAccount, ID: a.Subject})
	return nil
}

func (l *link) Account(ctx context.Context, subject string) (*storage.Account, error) {
	if err := l.broken(); err != nil {
		return nil, err
	}
	a, err := l.scriptedStore.Account(ctx, subject)
	if err == nil {
		l.sharedStore.mu.Lock()
		a.Revision = l.revisions[subject] + 1
		l.sharedStore.mu.Unlock()
	}
	return a, err
}

func (l *link) Grant(ctx context.Context, issuer, id string) (*storage.Grant, error) {
	if err := l.broken(); err != nil {
		return nil, err
	}
	return l.scriptedStore.Grant(ctx, issuer, id)
}

func (l *link) Head(context.Context) (uint64, error) {
	l.sharedStore.mu.Lock()
	defer l.sharedStore.mu.Unlock()
	return l.dropped + uint64(len(l.changes)), l.broken()
}

func (l *link) Changes(_ context.Context, after uint64, limit int) ([]storage.Change, uint64, error) {
	l.sharedStore.mu.Lock()
	defer l.sharedStore.mu.Unlock()
	l.asked++
	switch {
	case l.broken() != nil:
		return nil, 0, l.broken()
	case after < l.dropped || after > l.dropped+uint64(len(l.changes)):
		return nil, 0, storage.ErrMissed
	}
	list := l.changes[after-l.dropped:]
	list = list[:min(len(list), limit)]
	return list, after + uint64(len(list)), nil
}

func (l *link) Wait(ctx context.Context, _ uint64, limit time.Duration) {
	l.sharedStore.mu.Lock()
	wakes := l.wakes
	l.sharedStore.mu.Unlock()
	select {
	case <-wakes:
	case <-time.After(limit):
	case <-ctx.Done():
	}
}

func (s *sharedStore) timesAsked() int { s.mu.Lock(); defer s.mu.Unlock(); return s.asked }

// lose drops what is in the feed, as a store does after its retention.
func (s *sharedStore) lose() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dropped += uint64(len(s.changes))
	s.changes = nil
}

// gateways are some of them on one store.
func gateways(t *testing.T, n int) (*sharedStore, []*testbed, []*link) {
	t.Helper()
	shared := newSharedStore()
	beds, links := make([]*testbed, n), make([]*link, n)
	for i := range n {
		links[i] = &link{sharedStore: shared}
		st := newTestState(links[i])
		res := &Resource{Path: "/mcp", Scopes: []string{"mcp"}, Policy: testPolicy(t, "any")}
		beds[i] = &testbed{t, shared.scriptedStore, st, newGuard(st, testIssuer, res, slog.New(slog.DiscardHandler))}
		t.Cleanup(func() { _ = st.Close() })
	}
	return shared, beds, links
}

// status is what a request with this grant's token is answered.
func (b *testbed) status(grantID string, p identity.Identity) int {
	b.t.Helper()
	r := httptest.NewRequest(http.MethodPost, testIssuer+"/mcp", http.NoBody)
	r.Header.Set("Authorization", "Bearer "+sealFor(b.t, b.st, grantID, p))
	w := httptest.NewRecorder()
	err := b.guard.Serve(w, r, "/mcp", func(w http.ResponseWriter, _ *http.Request, _ *Admitted) error {
		w.WriteHeader(http.StatusOK)
		return nil
	})
	if unavailable := (*Unavailable)(nil); errors.As(err, &unavailable) {
		return http.StatusServiceUnavailable
	}
	if err != nil {
		b.t.Fatal(err)
	}
	return w.Code
}

func wantStatus(t *testing.T, b *testbed, grantID string, want int, when string) {
	t.Helper()
	if got := b.status(grantID, person("1")); got != want {
		t.Errorf("%s: %s got %d, want %d", when, grantID, got, want)
	}
}

// A token is revoked on one machine. The others learn of it in two seconds, by the
// wake-up at once, and without one all the same; their open streams end, too.
func TestRevocationReachesOtherGateways(t *testing.T) {
	t.Parallel()
	for name, silent := range map[string]bool{"woken": false, "polling only": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				shared, beds, _ := gateways(t, 3)
				shared.mu.Lock()
				shared.silent = silent
				shared.mu.Unlock()
				ctx, cleanUp := context.WithCancel(t.Context())
				defer cleanUp()
				var streams []<-chan error
				for _, b := range beds {
					streams = append(streams, b.call(b.bearerRequest(ctx, "g1", person("1")), "text/event-stream"))
					b.call(b.bearerRequest(ctx, "g2", person("1")), "text/event-stream")
				}
				synctest.Wait()
				if err := beds[0].st.revokeGrant(ctx, testIssuer, "g1"); err != nil {
					t.Fatal(err)
				}
				wantStatus(t, beds[0], "g1", 401, "where it was revoked, at once")
				time.Sleep(2 * time.Second)
				synctest.Wait()
				for i, b := range beds {
					wantStatus(t, b, "g1", 401, fmt.Sprint("two seconds later at ", i))
					wantStatus(t, b, "g2", 200, fmt.Sprint("another grant at ", i))
					if err := over(streams[i]); !errors.Is(err, errStreamRevoked) {
						t.Errorf("the stream at %d ended with %v", i, err)
					}
					if n := b.inFlight(); n != 1 {
						t.Errorf("%d streams are left at %d, want the other grant's", n, i)
					}
				}
			})
		})
	}
}

// One gateway learns at GitHub that somebody left the organization. What the others
// know of them changes, too, and their open streams are judged by it.
func TestNewFactsReachOtherGateways(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		_, beds, _ := gateways(t, 2)
		ctx, cleanUp := context.WithCancel(t.Context())
		defer cleanUp()
		acme := testPolicy(t, "org:acme")
		var streams []<-chan error
		for _, b := range beds {
			b.guard.cfg.Policy = acme
			b.st.SetJudge(func(_ string, id identity.Identity) bool { return acme.Allows(id) })
			streams = append(streams, b.call(b.bearerRequest(ctx, "g1", person("1", "acme")), "text/event-stream"))
		}
		synctest.Wait()
		if err := beds[0].st.store.SaveAccount(ctx, &storage.Account{Subject: person("1").Subject(), Identity: person("1")}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		for i, b := range beds {
			wantStatus(t, b, "g1", 403, fmt.Sprint("at ", i))
			if err := over(streams[i]); !errors.Is(err, errStreamDenied) {
				t.Errorf("the stream at %d ended with %v", i, err)
			}
		}
	})
}

// The network between a gateway and the store is cut. What it verified before goes
// on for max_staleness, streams included, and then nobody gets in by what may no
// longer be true. When it is back, what was revoked meanwhile is refused at once.
func TestPartition(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		_, beds, links := gateways(t, 2)
		ctx, cleanUp := context.WithCancel(t.Context())
		defer cleanUp()
		cutOff := beds[1]
		cutOff.st.SetMaxStaleness(30 * time.Second)
		revoked := cutOff.call(cutOff.bearerRequest(ctx, "g1", person("1")), "text/event-stream")
		honest := cutOff.call(cutOff.bearerRequest(ctx, "g2", person("1")), "text/event-stream")
		cutOff.store.add("g3", person("1"))
		synctest.Wait()
		links[1].cut(errCut)
		if err := beds[0].st.revokeGrant(ctx, testIssuer, "g1"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(29 * time.Second)
		synctest.Wait()
		wantStatus(t, cutOff, "g2", 200, "within max_staleness")
		wantStatus(t, cutOff, "g3", 503, "a grant that was never seen here")
		if over(revoked) != nil || over(honest) != nil {
			t.Error("streams ended within max_staleness")
		}
		time.Sleep(5 * time.Second)
		synctest.Wait()
		wantStatus(t, cutOff, "g2", 503, "past max_staleness")
		if a, b := over(revoked), over(honest); !errors.Is(a, errStreamStale) || !errors.Is(b, errStreamStale) {
			t.Errorf("streams ended with %v and %v", a, b)
		}
		wantStatus(t, beds[0], "g2", 200, "at the gateway that reaches the store")
		links[1].cut(nil)
		time.Sleep(2 * time.Second)
		synctest.Wait()
		wantStatus(t, cutOff, "g1", 401, "when the network is back")
		wantStatus(t, cutOff, "g2", 200, "when the network is back")
	})
}

// The feed forgot changes before they were read, because the gateway was cut off for
// too long, or the store was emptied or set back. Nothing in memory counts any more.
func TestMissedChanges(t *testing.T) {
	t.Parallel()
	for name, lose := range map[string]func(*sharedStore){
		"forgotten": (*sharedStore).lose,
		"set back":  func(s *sharedStore) { s.mu.Lock(); defer s.mu.Unlock(); s.changes = nil },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				shared, beds, links := gateways(t, 2)
				ctx, cleanUp := context.WithCancel(t.Context())
				defer cleanUp()
				b := beds[1]
				b.st.SetMaxStaleness(time.Hour)
				stream := b.call(b.bearerRequest(ctx, "g1", person("1")), "text/event-stream")
				b.call(b.bearerRequest(ctx, "g2", person("1")), "text/event-stream")
				_ = beds[0].st.revokeGrant(ctx, testIssuer, "unrelated") // the position is not the beginning
				time.Sleep(2 * time.Second)
				links[1].cut(errCut)
				synctest.Wait()
				_ = links[0].scriptedStore.RevokeGrant(ctx, testIssuer, "g1") // nobody is told
				shared.append(storage.Change{Kind: storage.ChangeGrant, ID: "another"})
				lose(shared)
				wantStatus(t, b, "g1", 200, "cut off")
				links[1].cut(nil)
				time.Sleep(2 * time.Second)
				synctest.Wait()
				wantStatus(t, b, "g1", 401, "when it is back")
				wantStatus(t, b, "g2", 200, "another grant, when it is back")
				if err := over(stream); !errors.Is(err, errStreamStale) {
					t.Errorf("the revoked grant's stream ended with %v", err)
				}
			})
		})
	}
}

// A grant is read from the store, and revoked elsewhere before it is in memory. The
// change may come before or after; the token must not live on.
func TestRevocationElsewhereWhileAGrantIsRead(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		_, beds, links := gateways(t, 2)
		b := beds[1]
		b.store.add("g1", person("1"))
		var once sync.Once
		b.store.after = func() {
			once.Do(func() {
				_ = links[0].RevokeGrant(t.Context(), testIssuer, "g1")
				time.Sleep(2 * time.Second) // until the change was applied
			})
		}
		wantStatus(t, b, "g1", 401, "read before the revocation, used after it")
	})
}

// A grant is read while the gateway forgets everything, because changes were missed:
// its revocation was among them. What was read before that counts for nothing.
func TestGrantThatIsReadWhileEverythingIsForgotten(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		_, beds, links := gateways(t, 2)
		b := beds[1]
		b.store.add("g1", person("1"))
		var once sync.Once
		b.store.after = func() {
			once.Do(func() {
				_ = links[0].scriptedStore.RevokeGrant(t.Context(), testIssuer, "g1") // nobody is told
				b.st.live.doubtAll()
			})
		}
		wantStatus(t, b, "g1", 401, "read before everything was forgotten")
	})
}

// Sixty-four people use two gateways while grants are revoked on either: from two
// seconds after its revocation on, no token is ever accepted.
func TestRevocationsUnderLoad(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		_, beds, _ := gateways(t, 2)
		var revokedAt [64]struct {
			sync.Mutex
			at time.Time
		}
		for i := range revokedAt {
			beds[0].store.add(fmt.Sprint("g", i), person("1"))
		}
		end := time.Now().Add(30 * time.Second)
		var wg sync.WaitGroup
		for i := range revokedAt {
			wg.Go(func() {
				b, id, mine := beds[i%2], fmt.Sprint("g", i), &revokedAt[i]
				for time.Now().Before(end) {
					mine.Lock()
					at := mine.at
					mine.Unlock()
					late := !at.IsZero() && time.Since(at) > 2*time.Second
					if got := b.status(id, person("1")); late && got != 401 {
						t.Errorf("%s is answered %d %s after its revocation", id, got, time.Since(at))
						return
					}
					time.Sleep(100 * time.Millisecond)
				}
			})
			wg.Go(func() {
				time.Sleep(time.Duration(i) * 300 * time.Millisecond)
				if err := beds[(i+1)%2].st.revokeGrant(t.Context(), testIssuer, fmt.Sprint("g", i)); err != nil {
					t.Error(err)
				}
				revokedAt[i].Lock()
				revokedAt[i].at = time.Now()
				revokedAt[i].Unlock()
			})
		}
		wg.Wait()
	})
}

// A store that is down is asked with patience, and said to be down once.
func TestFeedOutageIsNotHammered(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		shared, beds, links := gateways(t, 1)
		synctest.Wait()
		before := shared.timesAsked()
		links[0].cut(errCut)
		time.Sleep(time.Minute)
		synctest.Wait()
		if n := shared.timesAsked() - before; n > 70 {
			t.Errorf("asked %d times in a minute", n)
		}
		if err := beds[0].st.Close(); err != nil { // ends although the store does not answer
			t.Error(err)
		}
	})
}

// A gateway with a store of its own has no feed, and nothing can be stale.
func TestNoFeedNoStaleness(t *testing.T) {
	t.Parallel()
	st := newTestState(newScriptedStore())
	st.SetMaxStaleness(0)
	if st.follower != nil || st.follower.check(time.Now().Add(time.Hour)) != nil {
		t.Error("a store of one's own became stale")
	}
	st.follower.close()
}
