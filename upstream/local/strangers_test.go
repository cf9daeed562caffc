// SPDX-License-Identifier: Apache-2.0

package local

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-mcp/caddy-mcp-oauth/upstream"
)

// botnet is one of very many addresses.
func botnet(i int) string { return fmt.Sprintf("198.%d.%d.%d", 18+i>>16, i>>8&255, i&255) }

// checked tries until the n-th attempt and counts how many were compared with a hash.
func checked(t *testing.T, l *Local, n int, name func(int) string) int {
	t.Helper()
	count := 0
	for i := range n {
		var r *upstream.Refusal
		if err := try(t, l, name(i), "guess", botnet(i)); !errors.As(err, &r) {
			t.Fatalf("attempt %d: %v", i, err)
		}
		if r.Reason == upstream.ReasonWrongPassword {
			count++
		}
	}
	return count
}

func always(name string) func(int) string { return func(int) string { return name } }

// TestAttackGuessingFromEverywhere: mallory rents ten thousand addresses and makes
// one guess from each. The account has one budget for all of them.
func TestAttackGuessingFromEverywhere(t *testing.T) {
	t.Parallel()
	l, _, c := throttled(t)
	if n := checked(t, l, 10_000, always("bob")); n != strangerBurst {
		t.Errorf("%d guesses were checked, want %d", n, strangerBurst)
	}
	c.move(24 * time.Hour)
	if n := checked(t, l, 10_000, always("bob")); n != strangerBurst {
		t.Errorf("the next day %d guesses at once, want %d", n, strangerBurst)
	}
	perDay := strangerBurst + int(24*time.Hour/strangerRefill)
	if perDay > 10_000 {
		t.Errorf("%d guesses a day", perDay)
	}
}

// TestAttackLockOut: mallory fails on purpose, from one address and from thousands,
// to keep bob out. Bob signs in from where he always does, and does not notice.
func TestAttackLockOut(t *testing.T) {
	t.Parallel()
	l, _, c := throttled(t)
	if err := try(t, l, "bob", right, home); err != nil {
		t.Fatal(err)
	}
	for day := range 29 {
		checked(t, l, 2000, always("bob"))
		for range 100 {
			_ = try(t, l, "bob", "guess", attack)
		}
		for range 3 { // with a typo now and then
			wantRefusal(t, try(t, l, "bob", "tpyo", home), upstream.ReasonWrongPassword)
			if err := try(t, l, "bob", right, home); err != nil {
				t.Fatalf("day %d: bob is locked out: %v", day, err)
			}
		}
		c.move(24 * time.Hour)
	}
}

// TestStrangersWait: from a hotel, while the attack goes on, bob has to wait like
// anybody else; once it stops he need not.
func TestStrangersWait(t *testing.T) {
	t.Parallel()
	l, w, c := throttled(t)
	checked(t, l, 1000, always("bob"))
	w.take()
	wantRefusal(t, try(t, l, "bob", right, home), upstream.ReasonThrottled)
	if _, calls := w.take(); calls != 0 {
		t.Errorf("%d hashes were computed while throttled", calls)
	}
	if err := try(t, l, "eve", right, home); err != nil {
		t.Errorf("eve, whom nobody attacks: %v", err)
	}
	c.move(strangerRefill)
	if err := try(t, l, "bob", right, home); err != nil {
		t.Errorf("after the attack: %v", err)
	}
	checked(t, l, 1000, always("bob"))
	if err := try(t, l, "bob", right, home); err != nil {
		t.Errorf("when it comes back, home is known: %v", err)
	}
}

// TestSignInsCostNothing: bob travels, and is never wrong.
func TestSignInsCostNothing(t *testing.T) {
	t.Parallel()
	l, _, _ := throttled(t)
	for i := range 2 * overallBurst {
		if err := try(t, l, "bob", right, botnet(i)); err != nil {
			t.Fatalf("from the %d. address: %v", i+1, err)
		}
	}
}

// TestAttackKnownSourceOfAnother: having signed in to an own account from an address
// makes it no less strange to other accounts.
func TestAttackKnownSourceOfAnother(t *testing.T) {
	t.Parallel()
	l, _, _ := throttled(t)
	if err := try(t, l, "eve", right, attack); err != nil {
		t.Fatal(err)
	}
	checked(t, l, 1000, always("bob"))
	wantRefusal(t, try(t, l, "bob", "guess", attack), upstream.ReasonThrottled)
}

// TestAttackFromWithin: who shares an address with bob is known there too, and has
// five guesses and then one every half a minute, as from anywhere.
func TestAttackFromWithin(t *testing.T) {
	t.Parallel()
	l, w, _ := throttled(t)
	if err := try(t, l, "bob", right, home); err != nil {
		t.Fatal(err)
	}
	w.take()
	for range 100 {
		_ = try(t, l, "bob", "guess", home)
	}
	if _, calls := w.take(); calls != pairBurst {
		t.Errorf("%d guesses, want %d", calls, pairBurst)
	}
}

// TestKnownSourcesAreForgotten: an address that bob had a month ago is somebody
// else's by now. Each sign-in counts anew.
func TestKnownSourcesAreForgotten(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		again bool
		known bool
	}{"never again": {false, false}, "again and again": {true, true}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l, _, c := throttled(t)
			if err := try(t, l, "bob", right, home); err != nil {
				t.Fatal(err)
			}
			for range 4 {
				c.move(knownFor / 4)
				if tc.again {
					if err := try(t, l, "bob", right, home); err != nil {
						t.Fatal(err)
					}
				}
			}
			checked(t, l, 1000, always("bob"))
			if err := try(t, l, "bob", right, home); (err == nil) != tc.known {
				t.Errorf("error %v, known %t", err, tc.known)
			}
		})
	}
}

// TestAttackMadeUpNames: mallory makes names up, to push bob's budget out of the
// table and start afresh. Names cost the overall budget, so that she is slower
// than the table is large.
func TestAttackMadeUpNames(t *testing.T) {
	t.Parallel()
	l, _, _ := throttled(t)
	checked(t, l, 1000, always("bob"))
	if n := checked(t, l, 3*maxBuckets, func(i int) string { return fmt.Sprintf("name%d", i) }); n != overallBurst-strangerBurst {
		t.Errorf("%d guesses at names that nobody has, want %d", n, overallBurst-strangerBurst)
	}
	if n := checked(t, l, 100, always("bob")); n != 0 {
		t.Errorf("bob's budget is new: %d more guesses", n)
	}
	if l.throttle.strangers.recent.Len() > 2*overallBurst {
		t.Errorf("%d accounts are counted", l.throttle.strangers.recent.Len())
	}
}

// TestAttackReload: mallory knows that the configuration is loaded again every hour.
// The list is new, the throttle is not.
func TestAttackReload(t *testing.T) {
	t.Parallel()
	c := newClock()
	shared := NewThrottle(c.now)
	guesses := 0
	for range 10 {
		l, w := counting(t, Config{Users: []User{bob(t)}, Throttle: shared})
		for range 20 {
			_ = try(t, l, "bob", "guess", attack)
		}
		_, calls := w.take()
		guesses += calls
	}
	if guesses != pairBurst {
		t.Errorf("%d guesses over ten reloads, want %d", guesses, pairBurst)
	}
	l, _ := counting(t, Config{Users: []User{bob(t)}, Throttle: shared})
	if err := try(t, l, "bob", right, home); err != nil {
		t.Fatal(err)
	}
	checked(t, l, 1000, always("bob"))
	l, _ = counting(t, Config{Users: []User{bob(t)}, Throttle: shared})
	if err := try(t, l, "bob", right, home); err != nil {
		t.Errorf("after a reload home is strange: %v", err)
	}
	other, _ := counting(t, Config{Users: []User{bob(t)}})
	if other.throttle == shared || l.throttle != shared {
		t.Error("the default throttle is somebody's")
	}
}

// TestReloadKeepsTheBoundOnHashing: the old configuration is still computing when
// the new one starts to.
func TestReloadKeepsTheBoundOnHashing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		shared := NewThrottle(nil)
		var running, most atomic.Int64
		for i := range 20 {
			l, _ := counting(t, Config{Users: []User{{Name: "bob", Hash: withCost(10)}}, Throttle: shared})
			l.compare = func([]byte, []byte) error {
				n := running.Add(1)
				defer running.Add(-1)
				for old := most.Load(); n > old && !most.CompareAndSwap(old, n); old = most.Load() {
				}
				time.Sleep(100 * time.Millisecond)
				return nil
			}
			go func() { _, _ = l.Authenticate(t.Context(), "bob", right, botnet(i)) }()
		}
		time.Sleep(9 * time.Second)
		if most.Load() > int64(cap(shared.slots.free)) {
			t.Errorf("%d hashes at a time, want %d", most.Load(), cap(shared.slots.free))
		}
	})
}

// TestAttackExhaustionFromEverywhere: strangers hold every slot and fill the queue.
// Bob, at home, has a slot that they cannot take.
func TestAttackExhaustionFromEverywhere(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l, _ := counting(t, Config{Users: []User{{Name: "bob", Hash: withCost(10)}}})
		if _, err := l.Authenticate(t.Context(), "bob", right, home); err != nil {
			t.Fatal(err)
		}
		for range cap(l.throttle.slots.free) {
			l.throttle.slots.free <- struct{}{} // and never given back
		}
		for i := range maxWaiting + 50 {
			go func() { _, _ = l.Authenticate(t.Context(), "bob", "guess", botnet(i)) }()
		}
		synctest.Wait()
		began := time.Now()
		if _, err := l.Authenticate(t.Context(), "bob", right, home); err != nil {
			t.Errorf("bob: %v", err)
		}
		if took := time.Since(began); took > 0 {
			t.Errorf("bob waited %s", took)
		}
		if n := len(l.throttle.slots.reserved); n != 0 {
			t.Errorf("%d reserved slots are not given back", n)
		}
		time.Sleep(maxWait)
		synctest.Wait()
	})
}

// TestGivenUpBeforeItsTurn: nobody waits for the answer any more. Hashing would be
// for nothing, and it was no guess.
func TestGivenUpBeforeItsTurn(t *testing.T) {
	t.Parallel()
	l, w, _ := throttled(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for range 10 * pairBurst {
		_, err := l.Authenticate(ctx, "bob", right, attack)
		wantRefusal(t, err, upstream.ReasonUnavailable)
	}
	if _, calls := w.take(); calls != 0 {
		t.Errorf("%d hashes", calls)
	}
	if err := try(t, l, "bob", right, attack); err != nil {
		t.Errorf("giving up was counted: %v", err)
	}
	if n := l.throttle.overall.bucket(everybody, l.throttle.now()).tokens; n != overallBurst {
		t.Errorf("the overall budget is %v, want %d", n, overallBurst)
	}
}

// TestCostIsBounded: the list cannot make one sign-in burn more than the costliest
// hash that is accepted, whatever is typed.
func TestCostIsBounded(t *testing.T) {
	t.Parallel()
	if _, err := New(Config{Users: []User{{Name: "bob", Hash: withCost(maxCost + 1)}}}); err == nil {
		t.Errorf("cost %d is accepted", maxCost+1)
	}
	users := []User{}
	for i := range 200 {
		users = append(users, User{Name: fmt.Sprint("user", i), Hash: withCost(minCost + i%(maxCost-minCost+1))})
	}
	l, w := counting(t, Config{Users: users})
	for i, name := range []string{"user0", "user3", "user6", "nobody"} {
		_ = try(t, l, name, "guess", botnet(i))
		if rounds, _ := w.take(); rounds != 1<<maxCost {
			t.Errorf("%s: %d rounds, want %d", name, rounds, 1<<maxCost)
		}
	}
}
