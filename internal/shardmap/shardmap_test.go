// SPDX-License-Identifier: Apache-2.0

package shardmap

import (
	"crypto/sha256"
	"encoding/binary"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
	"weak"
)

// key is the hash of a number, as keys are hashes of tokens.
func key(i int) Key {
	return sha256.Sum256(binary.BigEndian.AppendUint64(nil, uint64(i)))
}

func TestGetSetDelete(t *testing.T) {
	t.Parallel()
	m := New[string](100)
	if v, ok := m.Get(key(1)); ok || v != "" {
		t.Errorf("empty map: %q, %v", v, ok)
	}
	m.Set(key(1), "a")
	m.Set(key(2), "b")
	m.Set(key(1), "c")
	if v, ok := m.Get(key(1)); !ok || v != "c" {
		t.Errorf("got %q, %v, want the newer value", v, ok)
	}
	if n := m.Len(); n != 2 {
		t.Errorf("Len = %d, want 2", n)
	}
	m.Delete(key(1))
	m.Delete(key(1))
	m.Delete(key(3))
	if v, ok := m.Get(key(1)); ok || v != "" {
		t.Errorf("after Delete: %q, %v", v, ok)
	}
	if v, ok := m.Get(key(2)); !ok || v != "b" {
		t.Errorf("its neighbour: %q, %v", v, ok)
	}
	m.Set(key(3), "") // a zero value is a value
	if _, ok := m.Get(key(3)); !ok {
		t.Error("a zero value is not found")
	}
}

func TestCapacityIsNeverExceeded(t *testing.T) {
	t.Parallel()
	for _, capacity := range []int{-1, 0, 1, 2, 7, 63, 64, 100, 1000, 4096, 10_000} {
		m := New[int](capacity)
		for i := range 3 * max(capacity, 10) {
			m.Set(key(i), i)
			if n := m.Len(); n > max(capacity, 1) {
				t.Fatalf("capacity %d: %d values", capacity, n)
			}
			if v, ok := m.Get(key(i)); !ok || v != i {
				t.Fatalf("capacity %d: the value just set is gone", capacity)
			}
		}
		if n, least := m.Len(), max(capacity, 1)*9/10; n < least {
			t.Errorf("capacity %d: only %d values kept", capacity, n)
		}
	}
}

// One shard, so that the order of eviction can be seen.
func TestEvictsUnusedOldestFirst(t *testing.T) {
	t.Parallel()
	m := New[int](4)
	if len(m.shards) != 1 {
		t.Fatalf("%d shards, the test wants one", len(m.shards))
	}
	for i := range 4 {
		m.Set(key(i), i)
	}
	m.Get(key(0))
	m.Get(key(2))
	m.Set(key(4), 4) // passes over 0, takes 1
	m.Set(key(5), 5) // passes over 2, takes 3
	for i, want := range []bool{true, false, true, false, true, true} {
		if _, ok := m.Get(key(i)); ok != want {
			t.Errorf("value %d: present %v, want %v", i, ok, want)
		}
	}
}

// A flood of valid but never repeated tokens must not push out one in use.
func TestAttackFloodKeepsWhatIsUsed(t *testing.T) {
	t.Parallel()
	m := New[int](1000)
	m.Set(key(-1), -1)
	for i := range 50_000 {
		if _, ok := m.Get(key(-1)); !ok {
			t.Fatalf("the value in use was evicted after %d others", i)
		}
		m.Set(key(i), i)
	}
}

func TestEverythingUsedStillEvicts(t *testing.T) {
	t.Parallel()
	m := New[int](4)
	for i := range 4 {
		m.Set(key(i), i)
		m.Get(key(i))
	}
	m.Set(key(4), 4)
	if n := m.Len(); n != 4 {
		t.Errorf("Len = %d, want 4", n)
	}
	if _, ok := m.Get(key(0)); ok {
		t.Error("with all of them used, the oldest stays")
	}
}

// Revocation deletes an entry: it must not be kept alive by the ring.
// What is stale goes while others come, and nothing else does: what is left is never
// more than what lives and about as much again.
func TestStaleValuesGo(t *testing.T) {
	t.Parallel()
	const living = 500
	m := New[int](100_000)
	oldest := 0 // what lives
	m.DropWhen(func(v int) bool { return v < oldest })
	for i := range 20_000 {
		m.Set(key(i), i)
		oldest = max(0, i-living)
		if n := m.Len(); n > 3*living {
			t.Fatalf("%d values after %d, of which %d live", n, i, i-oldest+1)
		}
		for _, v := range []int{oldest, (oldest + i) / 2, i} {
			if got, ok := m.Get(key(v)); !ok || got != v {
				t.Fatalf("%d of %d..%d is gone", v, oldest, i)
			}
		}
	}
}

// A slot that was freed and is used again is looked at as what it holds now.
func TestTidyTakesNoNewcomer(t *testing.T) {
	t.Parallel()
	m := New[string](2)
	m.DropWhen(func(v string) bool { return v != "good" })
	m.Set(key(1), "good")
	m.Set(key(2), "good")
	m.Delete(key(1))
	m.Delete(key(2))
	m.Set(key(1), "good") // in the place of 2, and its own still has its name
	m.Set(key(3), "good")
	if _, ok := m.Get(key(1)); !ok {
		t.Fatal("it went for what lay in its place before")
	}
	for i := range 10 {
		m.Set(key(2), "good")
		m.Set(key(10+i), "good")
		if _, ok := m.Get(key(10 + i)); !ok {
			t.Fatal("the newcomer is gone")
		}
	}
	if n := m.Len(); n != 2 {
		t.Errorf("%d values, want 2", n)
	}
}

func TestDeleteReleasesTheValue(t *testing.T) {
	t.Parallel()
	m := New[*[64]byte](10)
	value := new([64]byte)
	w := weak.Make(value)
	m.Set(key(1), value)
	value = nil
	m.Delete(key(1))
	runtime.GC()
	if w.Value() != nil {
		t.Error("the deleted value is still referenced")
	}
	runtime.KeepAlive(m)
}

func TestGetDoesNotAllocate(t *testing.T) { // not parallel: it counts allocations
	m := New[[8]string](1000)
	m.Set(key(1), [8]string{"x"})
	k, absent := key(1), key(2)
	if n := testing.AllocsPerRun(1000, func() { m.Get(k); m.Get(absent) }); n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}

// The map against a plain one, with room enough that nothing is evicted.
func TestAgainstPlainMap(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(1, 2))
	m, plain := New[int](100_000), map[Key]int{}
	for step := range 100_000 {
		k := key(rng.IntN(500))
		switch rng.IntN(3) {
		case 0:
			m.Set(k, step)
			plain[k] = step
		case 1:
			m.Delete(k)
			delete(plain, k)
		}
		got, ok := m.Get(k)
		want, present := plain[k]
		if got != want || ok != present {
			t.Fatalf("step %d: got %d, %v, want %d, %v", step, got, ok, want, present)
		}
	}
	if m.Len() != len(plain) {
		t.Errorf("Len = %d, want %d", m.Len(), len(plain))
	}
}

// Under eviction and deletion by 64 goroutines a key only ever answers with a
// value that was set for it.
func TestConcurrent(t *testing.T) {
	t.Parallel()
	const keys = 2000
	m := New[int](500)
	hashes := make([]Key, keys)
	for i := range hashes {
		hashes[i] = key(i)
	}
	var wg sync.WaitGroup
	for g := range 64 {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(g), 0))
			for range 3000 {
				i := rng.IntN(keys)
				switch rng.IntN(8) {
				case 0, 1:
					m.Set(hashes[i], i)
				case 2:
					m.Delete(hashes[i])
				default:
					if v, ok := m.Get(hashes[i]); ok && v != i {
						t.Errorf("key %d has the value of %d", i, v)
						return
					}
				}
			}
		})
	}
	wg.Wait()
	if n := m.Len(); n > 500 {
		t.Errorf("%d values, want at most 500", n)
	}
}

// FuzzMap drives one small shard, where slots are reused most, by a model that
// knows which keys may be there.
func FuzzMap(f *testing.F) {
	f.Add([]byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9})
	f.Add([]byte{1, 1, 65, 129, 1, 193, 1})
	f.Fuzz(func(t *testing.T, ops []byte) {
		m, set := New[byte](5), map[byte]bool{}
		for _, op := range ops {
			id := op & 0x3f
			switch op >> 6 {
			case 0, 1:
				m.Set(key(int(id)), id)
				set[id] = true
				if _, ok := m.Get(key(int(id))); !ok {
					t.Fatalf("%d is gone right after Set", id)
				}
			case 2:
				m.Delete(key(int(id)))
				delete(set, id)
			}
			if v, ok := m.Get(key(int(id))); ok && (v != id || !set[id]) {
				t.Fatalf("%d answers %d, set %v", id, v, set[id])
			}
			if m.Len() > 5 || m.Len() > len(set) {
				t.Fatalf("%d values of %d set", m.Len(), len(set))
			}
		}
	})
}

func benchmarkKeys(m *Map[*int], n int) []Key {
	keys := make([]Key, n)
	for i := range keys {
		keys[i] = key(i)
		m.Set(keys[i], &i)
	}
	return keys
}

func BenchmarkGet(b *testing.B) {
	m := New[*int](1 << 16)
	keys := benchmarkKeys(m, 1<<14)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for i := rand.IntN(len(keys)); pb.Next(); i++ {
			m.Get(keys[i&(len(keys)-1)])
		}
	})
}

func BenchmarkGetOneKey(b *testing.B) {
	m := New[*int](1 << 16)
	keys := benchmarkKeys(m, 1)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			m.Get(keys[0])
		}
	})
}

func BenchmarkGetMiss(b *testing.B) {
	m := New[*int](1 << 16)
	benchmarkKeys(m, 1<<14)
	absent := key(-1)
	b.ReportAllocs()
	for b.Loop() {
		m.Get(absent)
	}
}

func BenchmarkSetEvicting(b *testing.B) {
	m := New[*int](1 << 12)
	keys := benchmarkKeys(m, 1<<14)
	v := new(int)
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		m.Set(keys[i&(len(keys)-1)], v)
		i++
	}
}
