// SPDX-License-Identifier: Apache-2.0

package limiter

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// clock is set by hand. It has no monotonic reading, like a clock that steps.
type clock struct{ ns atomic.Int64 }

func (c *clock) now() time.Time          { return time.Unix(1_800_000_000, c.ns.Load()) }
func (c *clock) advance(d time.Duration) { c.ns.Add(int64(d)) }

// spend takes events until one is refused and returns how many were allowed.
func spend(l *Limiter, key string, most int) int {
	for n := range most {
		if ok, _ := l.Allow(key); !ok {
			return n
		}
	}
	return most
}

func TestBurstThenSteadyRate(t *testing.T) {
	t.Parallel()
	c := &clock{}
	l := New(10, time.Minute, c.now)
	if n := spend(l, "a", 100); n != 10 {
		t.Fatalf("burst of %d, want 10", n)
	}
	ok, wait := l.Allow("a")
	if ok || wait != 6*time.Second {
		t.Fatalf("got %v, %v, want a wait of 6s", ok, wait)
	}
	c.advance(wait - 1)
	if ok, wait := l.Allow("a"); ok || wait != 1 {
		t.Fatalf("a nanosecond early: %v, %v", ok, wait)
	}
	c.advance(1)
	if n := spend(l, "a", 100); n != 1 {
		t.Fatalf("after the wait: %d events, want 1", n)
	}
	c.advance(30 * time.Second)
	if n := spend(l, "a", 100); n != 5 {
		t.Fatalf("after half a period: %d events, want 5", n)
	}
	c.advance(time.Hour)
	if n := spend(l, "a", 100); n != 10 {
		t.Fatalf("after a long pause: %d events, want no more than the burst of 10", n)
	}
}

// Refused attempts must not push the end of the wait away, or a client that
// retries eagerly is locked out for ever.
func TestRefusalsCostNothing(t *testing.T) {
	t.Parallel()
	c := &clock{}
	l := New(1, time.Minute, c.now)
	l.Allow("a")
	for range 1000 {
		l.Allow("a")
	}
	c.advance(time.Minute)
	if ok, wait := l.Allow("a"); !ok {
		t.Errorf("still %v to wait", wait)
	}
}

func TestKeysAreIndependent(t *testing.T) {
	t.Parallel()
	c := &clock{}
	l := New(3, time.Minute, c.now)
	spend(l, "a", 100)
	if n := spend(l, "b", 100); n != 3 {
		t.Errorf("b was allowed %d, want 3", n)
	}
}

func TestNoLimit(t *testing.T) {
	t.Parallel()
	for _, l := range []*Limiter{nil, New(0, time.Minute, nil), New(-1, time.Minute, nil), New(5, 0, nil)} {
		if l != nil {
			t.Fatal("a limit where none was asked for")
		}
		if n := spend(l, "a", 1000); n != 1000 {
			t.Errorf("%d events, want no limit", n)
		}
	}
}

func TestExtremeRates(t *testing.T) {
	t.Parallel()
	c := &clock{}
	for _, tt := range []struct {
		events int
		per    time.Duration
	}{{1, 1}, {3, 2}, {1_000_000, time.Second}, {7, 24 * time.Hour}, {1, 1 << 62}} {
		l := New(tt.events, tt.per, c.now)
		if n := spend(l, "a", 2_000_000); n != tt.events {
			t.Errorf("%d per %v: burst of %d", tt.events, tt.per, n)
		}
	}
}

func TestRealClock(t *testing.T) {
	t.Parallel()
	l := New(2, time.Hour, nil)
	if n := spend(l, "a", 10); n != 2 {
		t.Errorf("%d events, want 2", n)
	}
}

// The clock of a virtual machine steps back by a day: whoever used up the burst
// before must not wait for a day.
func TestClockStepsBack(t *testing.T) {
	t.Parallel()
	c := &clock{}
	c.advance(48 * time.Hour)
	l := New(4, time.Minute, c.now)
	c.advance(24 * time.Hour)
	spend(l, "a", 100)
	c.advance(-24 * time.Hour)
	ok, wait := l.Allow("a")
	if ok || wait > 15*time.Second {
		t.Errorf("got %v, %v, want to wait 15s at most", ok, wait)
	}
}

// M-38: an attacker with a /40 or a botnet sends one request from each of a
// million addresses. The table must stay as small as it was meant to be.
func TestAttackMillionSources(t *testing.T) {
	t.Parallel()
	c := &clock{}
	l := New(5, time.Minute, c.now)
	for i := range 1_000_000 {
		if ok, _ := l.Allow(fmt.Sprintf("2001:db8:%x:%x::/64", i>>16, i&0xffff)); !ok {
			t.Fatalf("source %d was refused its first request", i)
		}
	}
	if n := l.len(); n > shardCount*keysPerShard {
		t.Errorf("%d keys remembered, want at most %d", n, shardCount*keysPerShard)
	}
}

// The point of such a flood may be to have one's own empty bucket forgotten. It
// is the full ones that go: the flooder needs far more sources than the table
// has room for.
func TestAttackFloodToBeForgotten(t *testing.T) {
	t.Parallel()
	c := &clock{}
	l := New(5, time.Minute, c.now)
	const offenders = 200
	name := func(i int) string { return fmt.Sprint("offender", i) }
	for i := range offenders {
		spend(l, name(i), 10)
	}
	for i := range 2 * shardCount * keysPerShard {
		l.Allow(fmt.Sprint("flood", i))
	}
	forgotten := 0
	for i := range offenders {
		if ok, _ := l.Allow(name(i)); ok {
			forgotten++
		}
	}
	if forgotten > offenders/20 {
		t.Errorf("%d of %d empty buckets were forgotten", forgotten, offenders)
	}
}

func TestLongKeysAreFree(t *testing.T) { // not parallel: it counts allocations
	l := New(1, time.Hour, (&clock{}).now)
	long := strings.Repeat("x", 1<<20)
	if allocs := testing.AllocsPerRun(100, func() { l.Allow(long) }); allocs != 0 {
		t.Errorf("%v allocations for a known key, want 0", allocs)
	}
}

// 64 goroutines on the same few keys: together they get exactly the burst.
func TestConcurrent(t *testing.T) {
	t.Parallel()
	c := &clock{}
	l := New(1000, time.Hour, c.now)
	var wg sync.WaitGroup
	var allowed [4]atomic.Int64
	for g := range 64 {
		wg.Go(func() {
			for i := range 500 {
				k := (g + i) % len(allowed)
				if ok, _ := l.Allow(fmt.Sprint("key", k)); ok {
					allowed[k].Add(1)
				}
				l.Allow(fmt.Sprint("own", g, i)) // fills the table meanwhile
			}
		})
	}
	wg.Wait()
	for k := range allowed {
		if n := allowed[k].Load(); n != 1000 {
			t.Errorf("key %d: %d allowed, want 1000", k, n)
		}
	}
}

func (l *Limiter) len() int {
	n := 0
	for i := range l.shards {
		l.shards[i].mu.Lock()
		n += len(l.shards[i].full)
		l.shards[i].mu.Unlock()
	}
	return n
}

// FuzzLimiter: in any window, no more than the burst and what the rate added.
func FuzzLimiter(f *testing.F) {
	f.Add(uint8(3), uint16(100), []byte{0, 0, 0, 0, 50, 0, 200})
	f.Fuzz(func(t *testing.T, events uint8, perMS uint16, steps []byte) {
		if events == 0 || perMS == 0 {
			return
		}
		c := &clock{}
		per := time.Duration(perMS) * time.Millisecond
		l := New(int(events), per, c.now)
		allowed, elapsed := 0, time.Duration(0)
		for _, ms := range steps {
			c.advance(time.Duration(ms) * time.Millisecond)
			elapsed += time.Duration(ms) * time.Millisecond
			ok, wait := l.Allow("k")
			if ok != (wait == 0) || wait < 0 || wait > per {
				t.Fatalf("got %v, %v for %d per %v", ok, wait, events, per)
			}
			if ok {
				allowed++
			}
			// The interval is rounded down by less than a nanosecond per event.
			if most := int(events) + int(elapsed/(per/time.Duration(events))); allowed > most {
				t.Fatalf("%d allowed within %v at %d per %v, want at most %d", allowed, elapsed, events, per, most)
			}
		}
	})
}

func BenchmarkAllow(b *testing.B) {
	l := New(10, time.Minute, nil)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			l.Allow("192.0.2.1")
		}
	})
}

func BenchmarkAllowFlood(b *testing.B) {
	l := New(10, time.Minute, nil)
	keys := make([]string, 1<<18)
	for i := range keys {
		keys[i] = fmt.Sprint(i)
		l.Allow(keys[i])
	}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		l.Allow(keys[i&(len(keys)-1)])
		i++
	}
}
