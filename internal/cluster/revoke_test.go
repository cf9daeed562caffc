// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-mcp/caddy-mcp-oauth/internal/testproc"
)

// promised is when a revocation has to show on every gateway.
const promised = 2 * time.Second

// within checks the promise. It counts from the answer to the revocation until the
// refusal has arrived here, so it includes a request, and the wake-up of processes
// that share a machine: with the race detector everything takes five to ten times as
// long, and so may this.
func within(t *testing.T, what, name string, took time.Duration) {
	t.Helper()
	limit := promised
	if testproc.RaceEnabled {
		limit *= 5
	}
	if took > limit {
		t.Errorf("%s: seen on %s after %v, promised are %v", what, name, took.Round(time.Millisecond), promised)
	}
}

// ending is a way to end a grant on one gateway.
type ending func(ctx context.Context, on client, code string, held tokens) (answer, error)

var endings = map[string]ending{
	"revoked": func(ctx context.Context, on client, _ string, held tokens) (answer, error) {
		return on.revoke(ctx, held.Refresh)
	},
	"revoked by the access token": func(ctx context.Context, on client, _ string, held tokens) (answer, error) {
		return on.revoke(ctx, held.Access)
	},
	"the code came again": func(ctx context.Context, on client, code string, _ tokens) (answer, error) {
		_, a, err := on.redeem(ctx, code)
		if a.status == http.StatusBadRequest {
			a.status = http.StatusOK // it is what ends the grant
		}
		return a, err
	},
	"the client deleted itself": func(ctx context.Context, on client, _ string, _ tokens) (answer, error) {
		return on.unregister(ctx)
	},
}

// Whatever ends a grant on one gateway, ends it on all: its requests, its streams,
// and its refresh token.
func TestRevocationOnOneGatewayIsSeenOnAll(t *testing.T) {
	t.Parallel()
	onEachStore(t, func(t *testing.T, start func(*testing.T) store) {
		c := startCluster(t, start(t), options{})
		var took []time.Duration
		for name, end := range endings {
			t.Run(name, func(t *testing.T) {
				for i := range 6 {
					took = append(took, endedOn(t, c, names[i%len(names)], end)...)
				}
			})
		}
		logTimes(t, took)
	})
}

// The same where nobody is told of a change: then it is the polling that keeps the
// promise.
func TestRevocationIsSeenWithoutNotifications(t *testing.T) {
	t.Parallel()
	onStores(t, map[string]func(*testing.T) store{"postgres behind a pooler": startPooledPostgres},
		func(t *testing.T, start func(*testing.T) store) {
			c := startCluster(t, start(t), options{})
			var took []time.Duration
			for i := range 5 {
				took = append(took, endedOn(t, c, names[i%len(names)], endings["revoked"])...)
			}
			logTimes(t, took)
		})
}

func logTimes(t *testing.T, took []time.Duration) {
	t.Helper()
	if len(took) == 0 {
		return
	}
	slices.Sort(took)
	t.Logf("a revocation was seen on the others after %v at the median, %v at most, of %d",
		took[len(took)/2].Round(time.Millisecond), took[len(took)-1].Round(time.Millisecond), len(took))
}

// endedOn ends a new grant on one gateway and returns how long the others took.
func endedOn(t *testing.T, c *cluster, on string, end ending) []time.Duration {
	t.Helper()
	alice := c.mustRegister(t, at(""))
	code, stop, err := alice.signIn(t.Context())
	if err != nil || code == "" {
		t.Fatalf("the sign-in ended at %v, %v", stop, err)
	}
	held, a, err := alice.redeem(t.Context(), code)
	if err != nil || a.status != http.StatusOK {
		t.Fatalf("redeem: %d, %v", a.status, err)
	}
	streams := map[string]<-chan struct{}{}
	for _, name := range names {
		alice.via(at(name)).mustGet(t, held.Access, http.StatusOK)
		if streams[name], err = alice.via(at(name)).stream(t.Context(), held.Access); err != nil {
			t.Fatal(err)
		}
	}
	if a, err := end(t.Context(), alice.via(at(on)), code, held); err != nil || a.status/100 != 2 {
		t.Fatalf("end the grant: %d %s, %v", a.status, a.body, err)
	}
	ended := time.Now()
	if got := alice.via(at(on)).status(t, held.Access); got != http.StatusUnauthorized {
		t.Errorf("the next request on %s itself got %d, want 401", on, got)
	}
	return watchEnd(t, alice, held, on, ended, streams)
}

func watchEnd(t *testing.T, alice client, held tokens, on string, ended time.Time, streams map[string]<-chan struct{}) []time.Duration {
	t.Helper()
	var mu sync.Mutex
	var took []time.Duration
	var all sync.WaitGroup
	for _, name := range names {
		all.Go(func() {
			d, err := alice.via(at(name)).refusedSince(t.Context(), held.Access, ended)
			if err != nil {
				t.Errorf("on %s: %v", name, err)
				return
			}
			within(t, "a revocation", name, d)
			select {
			case <-streams[name]:
				within(t, "the end of a stream", name, time.Since(ended))
			case <-time.After(patience):
				t.Errorf("a stream on %s goes on after the grant ended", name)
			}
			if _, a, err := alice.via(at(name)).refresh(t.Context(), held.Refresh); err != nil || a.status/100 != 4 {
				t.Errorf("refresh on %s: %d, %v, want it refused", name, a.status, err)
			}
			if name != on {
				mu.Lock()
				took = append(took, d)
				mu.Unlock()
			}
		})
	}
	all.Wait()
	return took
}

// refusedSince polls until a token is refused, and returns how long after a moment
// that was.
func (c client) refusedSince(ctx context.Context, access string, moment time.Time) (time.Duration, error) {
	const enough = 20 * time.Second // to say how late it is, if it is
	for begun := time.Now(); time.Since(begun) < enough; time.Sleep(5 * time.Millisecond) {
		a, err := c.call(ctx, access)
		if err != nil {
			return 0, err
		}
		switch a.status {
		case http.StatusUnauthorized:
			return time.Since(moment), nil
		case http.StatusOK:
		case http.StatusBadGateway: // it was with the backend when it was cut off
		default:
			return 0, fmt.Errorf("a call got %d", a.status)
		}
	}
	return 0, fmt.Errorf("still served after %v", enough)
}

// feedBack is what a gateway logs once it has caught up with what the others did.
const feedBack = "changes of other gateways are read again"

// A gateway that is cut off from the store misses revocations, and serves who was
// verified: that is what max_staleness is for. The first request after it caught up
// is refused, however the network was cut.
func TestRevocationDuringAnOutageOfTheFeed(t *testing.T) {
	t.Parallel()
	onEachStore(t, func(t *testing.T, start func(*testing.T) store) {
		c := startCluster(t, start(t), options{})
		for name, cut := range map[string]func(*link){"reset": (*link).refuse, "silent": (*link).silence, "no answers": (*link).silenceAnswers} {
			t.Run(name, func(t *testing.T) { revokeBehind(t, c, c.gateways["B"], cut) })
		}
	})
}

func revokeBehind(t *testing.T, c *cluster, cutOff *gateway, cut func(*link)) {
	alice, bob := c.mustRegister(t, at("A")), c.mustRegister(t, at("A"))
	revoked, kept := alice.mustSignIn(t), bob.mustSignIn(t)
	for _, name := range names {
		alice.via(at(name)).mustGet(t, revoked.Access, http.StatusOK)
		bob.via(at(name)).mustGet(t, kept.Access, http.StatusOK)
	}
	onB := alice.via(at(cutOff.name))
	seen := strings.Count(cutOff.log.String(), feedBack)
	cut(cutOff.link)
	t.Cleanup(cutOff.link.heal)
	eventually(t, "a gateway that notices", func() bool {
		return strings.Count(cutOff.log.String(), "changes of other gateways cannot be read") > seen
	})
	if a, err := alice.via(at("A")).revoke(t.Context(), revoked.Refresh); err != nil || a.status != http.StatusOK {
		t.Fatalf("revoke: %d, %v", a.status, err)
	}
	ended := time.Now()
	took, err := alice.via(at("C")).refusedSince(t.Context(), revoked.Access, ended)
	if err != nil {
		t.Fatal(err)
	}
	within(t, "a revocation", "C", took)
	onB.mustGet(t, revoked.Access, http.StatusOK)

	cutOff.link.heal()
	healed := time.Now()
	caughtUp := eventually(t, "a gateway that catches up", func() bool {
		return strings.Count(cutOff.log.String(), feedBack) > seen
	})
	onB.mustGet(t, revoked.Access, http.StatusUnauthorized)
	bob.via(at("B")).mustGet(t, kept.Access, http.StatusOK)
	t.Logf("caught up %v after the network was back", caughtUp.Round(time.Millisecond))
	// What it had asked before may still have to time out, and then it tries every second.
	if limit := 30 * time.Second; time.Since(healed) > limit {
		t.Errorf("it took %v to catch up", time.Since(healed))
	}
	if _, a, err := onB.refresh(t.Context(), revoked.Refresh); err != nil || a.status != http.StatusBadRequest {
		t.Errorf("refresh on B: %d, %v, want it refused", a.status, err)
	}
}
