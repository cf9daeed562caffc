// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"
)

const (
	// outage is how long the store is away.
	outage = 30 * time.Second
	// impatience is the max_staleness of C; the others have the default of a minute.
	impatience = 5 * time.Second
	// leeway is how much later than max_staleness a gateway may notice: it counts from
	// the last time it knew that it had seen everything, which is up to two seconds
	// before the outage, or just at its beginning.
	leeway = 3 * time.Second
)

// The store is gone for half a minute: refused at A, silent at B and C. Who was
// verified goes on for max_staleness; whatever needs the store is told to come again
// (503), and never refused for good. Afterwards everything is as before, and nobody
// did anything for it.
func TestTheStoreIsUnreachable(t *testing.T) {
	t.Parallel()
	onEachStore(t, func(t *testing.T, start func(*testing.T) store) {
		c := startCluster(t, start(t), options{global: map[string][]string{"C": {"max_staleness " + impatience.String()}}})
		o := prepareOutage(t, c)
		c.gateways["A"].link.refuse()
		c.gateways["B"].link.silence()
		c.gateways["C"].link.silence()
		o.began = time.Now()
		o.watch(t)
		for _, name := range names {
			c.gateways[name].link.heal()
		}
		o.check(t)
		o.recover(t, "the network")

		c.store.stop(t)
		o.awaitDown(t)
		c.store.restart(t)
		o.recover(t, "the server")
	})
}

// outageWatch is what is tried while the store is away.
type outageWatch struct {
	cluster *cluster
	alice   client
	// verified was seen on every gateway before, unseen on none but the one that
	// issued it.
	verified, unseen tokens
	began            time.Time

	mu   sync.Mutex
	seen map[string][]sample // by what was tried and the gateway's name
}

// sample is one answer: begun and done count from the beginning of the outage.
type sample struct {
	begun, done time.Duration
	status      int
}

func prepareOutage(t *testing.T, c *cluster) *outageWatch {
	t.Helper()
	o := &outageWatch{cluster: c, alice: c.mustRegister(t, at("A")), seen: map[string][]sample{}}
	o.verified, o.unseen = o.alice.mustSignIn(t), o.alice.elsewhere().mustSignIn(t)
	for _, name := range names {
		o.alice.via(at(name)).mustGet(t, o.verified.Access, http.StatusOK)
	}
	return o
}

// attempts are what a client may want during an outage.
func (o *outageWatch) attempts() map[string]func(context.Context, client) (answer, error) {
	return map[string]func(context.Context, client) (answer, error){
		"verified": func(ctx context.Context, on client) (answer, error) { return on.call(ctx, o.verified.Access) },
		"unseen":   func(ctx context.Context, on client) (answer, error) { return on.call(ctx, o.unseen.Access) },
		"refresh": func(ctx context.Context, on client) (answer, error) {
			_, a, err := on.refresh(ctx, o.unseen.Refresh)
			return a, err
		},
		"register": func(ctx context.Context, on client) (answer, error) {
			_, a, err := on.register(ctx)
			return a, err
		},
		"sign-in": func(ctx context.Context, on client) (answer, error) {
			code, end, err := on.elsewhere().signIn(ctx)
			if code != "" {
				end.status = http.StatusOK
			}
			return answer{status: end.status}, err
		},
	}
}

// watch tries everything everywhere, again and again, until the outage is to end.
func (o *outageWatch) watch(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), outage)
	defer cancel()
	var all sync.WaitGroup
	for what, try := range o.attempts() {
		for _, name := range names {
			all.Go(func() {
				for ctx.Err() == nil {
					begun := time.Since(o.began)
					a, err := try(ctx, o.alice.via(at(name)))
					if ctx.Err() != nil {
						return // cut off by the end, not by the gateway
					}
					if err != nil {
						t.Errorf("%s on %s: %v", what, name, err)
						return
					}
					o.note(what, name, sample{begun, time.Since(o.began), a.status})
					time.Sleep(100 * time.Millisecond)
				}
			})
		}
	}
	all.Wait()
}

func (o *outageWatch) note(what, name string, s sample) {
	o.mu.Lock()
	defer o.mu.Unlock()
	key := what + " on " + name
	o.seen[key] = append(o.seen[key], s)
}

// check looks at what came back during the outage.
func (o *outageWatch) check(t *testing.T) {
	t.Helper()
	for what := range o.attempts() {
		for _, name := range names {
			samples := o.seen[what+" on "+name]
			if len(samples) == 0 {
				t.Errorf("%s on %s: no answer within %v", what, name, outage)
			}
			var longest time.Duration
			for _, s := range samples {
				longest = max(longest, s.done-s.begun)
				if want := wanted(what, name, s); !slices.Contains(want, s.status) {
					t.Errorf("%s on %s, %v into the outage: %d, want one of %v", what, name, s.begun.Round(time.Millisecond), s.status, want)
				}
			}
			t.Logf("%-8s on %s: %3d answers, after %v at most", what, name, len(samples), longest.Round(time.Millisecond))
		}
	}
}

// wanted are the statuses that are right for an attempt at a time. An answer may be
// on its way while max_staleness ends.
func wanted(what, name string, s sample) []int {
	switch {
	case what != "verified":
		return []int{http.StatusServiceUnavailable}
	case name != "C" || s.done < impatience:
		return []int{http.StatusOK}
	case s.begun > impatience+leeway:
		return []int{http.StatusServiceUnavailable}
	}
	return []int{http.StatusOK, http.StatusServiceUnavailable}
}

// awaitDown waits until every gateway notices that the store is gone, and still
// serves who was verified.
func (o *outageWatch) awaitDown(t *testing.T) {
	t.Helper()
	for _, name := range names {
		on := o.alice.via(at(name))
		eventually(t, "503 for a sign-in on "+name, func() bool {
			_, end, err := on.elsewhere().signIn(t.Context())
			return err == nil && end.status == http.StatusServiceUnavailable
		})
		on.mustGet(t, o.verified.Access, http.StatusOK)
	}
}

// recover waits until everything works everywhere, with nobody's help.
func (o *outageWatch) recover(t *testing.T, what string) {
	t.Helper()
	back := time.Now()
	for _, name := range names {
		on := o.alice.via(at(name))
		eventually(t, "a sign-in on "+name, func() bool {
			code, _, err := on.elsewhere().signIn(t.Context())
			return err == nil && code != ""
		})
		eventually(t, "the verified token on "+name, func() bool { return on.status(t, o.verified.Access) == http.StatusOK })
		on.mustGet(t, o.unseen.Access, http.StatusOK)
		t.Logf("%s is back: everything works on %s after %v", what, name, time.Since(back).Round(time.Millisecond))
	}
	// Refreshes whose answer was lost may have happened: the token they were asked with
	// is still worth its successor, and there is one only.
	next := map[string]bool{}
	for _, name := range names {
		got, a, err := o.alice.via(at(name)).refresh(t.Context(), o.unseen.Refresh)
		if err != nil || a.status != http.StatusOK {
			t.Fatalf("refresh on %s after the outage: %d, %v", name, a.status, err)
		}
		next[got.Refresh] = true
		o.unseen.Access = got.Access
	}
	if len(next) != 1 {
		t.Errorf("the family has %d successors", len(next))
	}
}
