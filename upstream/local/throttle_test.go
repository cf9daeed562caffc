// SPDX-License-Identifier: Apache-2.0

package local

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-mcp/caddy-mcp-oauth/upstream"
)

const (
	home   = "203.0.113.7"
	attack = "198.51.100.66"
)

func throttled(t *testing.T) (*Local, *work, *clock) {
	t.Helper()
	c := newClock()
	l, w := counting(t, Config{Users: []User{bob(t), {Name: "eve", Hash: withCost(10)}}, Now: c.now})
	return l, w, c
}

func try(t *testing.T, l *Local, name, password, from string) error {
	t.Helper()
	_, err := l.Authenticate(t.Context(), name, password, from)
	return err
}

// TestAttackGuessing: five guesses, then one every half a minute, and the right
// password does not help while it is throttled: otherwise it would be told.
func TestAttackGuessing(t *testing.T) {
	t.Parallel()
	l, w, c := throttled(t)
	for range pairBurst {
		wantRefusal(t, try(t, l, "bob", "guess", attack), upstream.ReasonWrongPassword)
	}
	w.take()
	wantRefusal(t, try(t, l, "bob", "guess", attack), upstream.ReasonThrottled)
	wantRefusal(t, try(t, l, "bob", right, attack), upstream.ReasonThrottled)
	if _, calls := w.take(); calls != 0 {
		t.Errorf("%d hashes were computed while throttled", calls)
	}
	c.move(pairRefill - time.Second)
	wantRefusal(t, try(t, l, "bob", "guess", attack), upstream.ReasonThrottled)
	c.move(time.Second)
	wantRefusal(t, try(t, l, "bob", "guess", attack), upstream.ReasonWrongPassword)
	wantRefusal(t, try(t, l, "bob", "guess", attack), upstream.ReasonThrottled)
	c.move(24 * time.Hour)
	for range pairBurst {
		wantRefusal(t, try(t, l, "bob", "guess", attack), upstream.ReasonWrongPassword)
	}
	wantRefusal(t, try(t, l, "bob", "guess", attack), upstream.ReasonThrottled)
}

// TestAttackSpraying: one password against many names, known and unknown.
func TestAttackSpraying(t *testing.T) {
	t.Parallel()
	l, w, _ := throttled(t)
	for i := range sourceBurst {
		wantRefusal(t, try(t, l, fmt.Sprintf("user%d", i), "Summer2026", attack), upstream.ReasonWrongPassword)
	}
	w.take()
	for i := range 50 {
		wantRefusal(t, try(t, l, fmt.Sprintf("more%d", i), "Summer2026", attack), upstream.ReasonThrottled)
	}
	wantRefusal(t, try(t, l, "bob", right, attack), upstream.ReasonThrottled)
	if _, calls := w.take(); calls != 0 {
		t.Errorf("%d hashes were computed while throttled", calls)
	}
}

// TestAttackOwnAccountBuysNoGuesses: mallory has an account too, and signs in to
// it between guesses to look successful.
func TestAttackOwnAccountBuysNoGuesses(t *testing.T) {
	t.Parallel()
	l, _, _ := throttled(t)
	guesses := 0
	for i := range 200 {
		_ = try(t, l, "eve", right, attack)
		var name string
		if i < pairBurst+1 {
			name = "bob"
		} else {
			name = fmt.Sprintf("user%d", i)
		}
		if err := try(t, l, name, "guess", attack); err.(*upstream.Refusal).Reason == upstream.ReasonWrongPassword {
			guesses++
		}
	}
	if guesses > sourceBurst {
		t.Errorf("%d guesses from one address at one time", guesses)
	}
}

// TestAttackThrottleTellsNames: unknown names are throttled like known ones.
func TestAttackThrottleTellsNames(t *testing.T) {
	t.Parallel()
	l, _, _ := throttled(t)
	counts := map[string]int{}
	for _, name := range []string{"bob", "nobody"} {
		for try(t, l, name, "guess", attack).(*upstream.Refusal).Reason == upstream.ReasonWrongPassword {
			counts[name]++
		}
	}
	if counts["bob"] != counts["nobody"] {
		t.Errorf("guesses until throttled: %v", counts)
	}
}

// TestSuccessForgives: four typos, then the right password, and again.
func TestSuccessForgives(t *testing.T) {
	t.Parallel()
	l, _, _ := throttled(t)
	for range 5 {
		for range pairBurst - 1 {
			wantRefusal(t, try(t, l, "bob", "tpyo", home), upstream.ReasonWrongPassword)
		}
		if err := try(t, l, "bob", right, home); err != nil {
			t.Fatal(err)
		}
	}
	l, _, _ = throttled(t)
	for range 10 * sourceBurst { // an office behind one address
		if err := try(t, l, "bob", right, home); err != nil {
			t.Fatal(err)
		}
	}
}

// TestAttackParallelGuesses: a hundred guesses at once must not all be let
// through before the first one is counted.
func TestAttackParallelGuesses(t *testing.T) {
	t.Parallel()
	l, w, _ := throttled(t)
	var wg sync.WaitGroup
	for range 100 {
		wg.Go(func() { _, _ = l.Authenticate(t.Context(), "bob", "guess", attack) })
	}
	wg.Wait()
	if _, calls := w.take(); calls != pairBurst {
		t.Errorf("%d guesses were checked, want %d", calls, pairBurst)
	}
}

// TestAttackManyAddressesOfOneCustomer: a /64 has more addresses than there are
// guesses.
func TestAttackManyAddressesOfOneCustomer(t *testing.T) {
	t.Parallel()
	l, _, _ := throttled(t)
	checked := 0
	for i := range 200 {
		err := try(t, l, "bob", "guess", fmt.Sprintf("2001:db8:1:2:%x::%x", i, i))
		if err.(*upstream.Refusal).Reason == upstream.ReasonWrongPassword {
			checked++
		}
	}
	if checked != pairBurst {
		t.Errorf("%d guesses were checked, want %d", checked, pairBurst)
	}
}

func TestSourceOf(t *testing.T) {
	t.Parallel()
	for from, want := range map[string]string{
		"192.0.2.1":                "192.0.2.1",
		"192.0.2.1:4711":           "192.0.2.1",
		"::ffff:192.0.2.1":         "192.0.2.1",
		"[::ffff:192.0.2.1]:4711":  "192.0.2.1",
		"2001:db8:1:2:3:4:5:6":     "2001:db8:1:2::/64",
		"[2001:db8:1:2::9]:443":    "2001:db8:1:2::/64",
		"fe80::1%eth0":             "fe80::/64",
		"2001:DB8:1:2::":           "2001:db8:1:2::/64",
		"":                         "",
		"unix":                     "unix",
		"192.0.2.1, 198.51.100.66": "192.0.2.1, 198.51.100.66",
	} {
		if got := sourceOf(from); got != want {
			t.Errorf("%q counts as %q, want %q", from, got, want)
		}
	}
}

// TestAttackMemory: any number of addresses and names leaves a bounded table behind,
// and evicting costs no more than inserting.
func TestAttackMemory(t *testing.T) {
	t.Parallel()
	c := newClock()
	th := NewThrottle(c.now)
	for i := range 5 * maxBuckets {
		from := fmt.Sprintf("10.%d.%d.%d", i>>16, i>>8&255, i&255)
		if a, err := th.begin(fmt.Sprintf("name%d", i), from); err == nil {
			th.succeed(a) // a list of very many users
		}
		_, _ = th.begin(fmt.Sprintf("name%d", i), from)
		c.move(overallRefill)
	}
	for name, tab := range map[string]*table{"pairs": th.pairs, "sources": th.sources, "strangers": th.strangers, "overall": th.overall} {
		if len(tab.byKey) != tab.recent.Len() || len(tab.byKey) > maxBuckets {
			t.Errorf("%s: %d keys, %d in order; the bound is %d", name, len(tab.byKey), tab.recent.Len(), maxBuckets)
		}
	}
	if len(th.pairs.byKey) != maxBuckets || len(th.known.byKey) != maxKnown || th.known.recent.Len() != maxKnown {
		t.Errorf("%d pairs, %d known; the bounds are %d and %d", len(th.pairs.byKey), len(th.known.byKey), maxBuckets, maxKnown)
	}
}

// TestEvictionTakesTheLeastRecentlyUsed: flooding the table does not free an
// address that keeps guessing.
func TestEvictionTakesTheLeastRecentlyUsed(t *testing.T) {
	t.Parallel()
	tab := newTable(2, time.Minute, 3)
	now := newClock().now()
	guesser := key{1}
	took := 0
	for i := range 100 {
		if tab.take(guesser, now) {
			took++
		}
		tab.take(key{2, byte(i)}, now)
	}
	if took != 2 {
		t.Errorf("%d guesses got through, want the 2 of the bucket", took)
	}
}

// TestClockSteps: NTP steps the clock by minutes, either way. Nobody gets
// unlimited guesses, and nobody is shut out for good.
func TestClockSteps(t *testing.T) {
	t.Parallel()
	tab := newTable(2, time.Minute, 3)
	c := newClock()
	k := key{1}
	tab.take(k, c.now())
	tab.take(k, c.now())
	c.move(-time.Hour)
	if tab.take(k, c.now()) {
		t.Error("going back refilled the bucket")
	}
	c.move(time.Minute)
	if !tab.take(k, c.now()) {
		t.Error("shut out until the clock catches up")
	}
	c.move(1000 * time.Hour)
	for i := range 3 {
		if got := tab.take(k, c.now()); got != (i < 2) {
			t.Errorf("after a leap, take %d: %v", i, got)
		}
	}
}

// TestConcurrencyIsBounded: however many sign in at a time, only so many hashes
// are computed, and who waits is served in the end.
func TestConcurrencyIsBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l, _ := counting(t, Config{Users: []User{{Name: "bob", Hash: withCost(10)}}})
		var running, most, served atomic.Int64
		l.compare = func([]byte, []byte) error {
			n := running.Add(1)
			defer running.Add(-1)
			for old := most.Load(); n > old && !most.CompareAndSwap(old, n); old = most.Load() {
			}
			time.Sleep(100 * time.Millisecond)
			return nil
		}
		for i := range 20 {
			go func() {
				if _, err := l.Authenticate(t.Context(), "bob", right, fmt.Sprintf("192.0.2.%d", i)); err == nil {
					served.Add(1)
				}
			}()
		}
		time.Sleep(9 * time.Second)
		if served.Load() != 20 || most.Load() > int64(cap(l.throttle.slots.free)) {
			t.Errorf("%d of 20 served, at most %d at a time, %d slots", served.Load(), most.Load(), cap(l.throttle.slots.free))
		}
		if n := l.throttle.slots.waiting.Load(); n != 0 {
			t.Errorf("%d are still counted as waiting", n)
		}
	})
}

// TestAttackExhaustion: a botnet keeps all slots busy. Those who wait are told to
// come back, by number and by time, instead of piling up.
func TestAttackExhaustion(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l, _ := counting(t, Config{Users: []User{{Name: "bob", Hash: withCost(10)}}})
		for range cap(l.throttle.slots.free) {
			l.throttle.slots.free <- struct{}{} // and never given back
		}
		var refused atomic.Int64
		for i := range maxWaiting + 50 {
			go func() {
				_, err := l.Authenticate(t.Context(), "bob", right, fmt.Sprintf("192.0.2.%d", i))
				wantRefusal(t, err, upstream.ReasonThrottled)
				refused.Add(1)
			}()
		}
		synctest.Wait()
		if n := refused.Load(); n != 50 {
			t.Errorf("%d were refused at once, want those beyond %d", n, maxWaiting)
		}
		time.Sleep(maxWait)
		synctest.Wait()
		if n := refused.Load(); n != maxWaiting+50 {
			t.Errorf("%d were refused after %s", n, maxWait)
		}
		for range cap(l.throttle.slots.free) {
			<-l.throttle.slots.free
		}
		// Being turned away for want of a turn was no failed attempt.
		if _, err := l.Authenticate(t.Context(), "bob", right, "192.0.2.1"); err != nil {
			t.Errorf("after the attack: %v", err)
		}
	})
}
