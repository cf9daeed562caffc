// SPDX-License-Identifier: Apache-2.0

// Package shardmap is a bounded concurrent cache for the hot path: a lookup
// takes one read lock shared with few others and allocates nothing.
package shardmap

import (
	"sync"
	"sync/atomic"
)

const (
	maxShards = 64
	// minShardCapacity keeps small maps from being cut so fine that chance alone
	// would evict.
	minShardCapacity = 32
)

// Key is a SHA-256: its bytes are evenly distributed, and nobody can choose them
// so that they gather in one shard.
type Key = [32]byte

// Map holds at most a fixed number of values. It is safe for concurrent use.
// When a shard is full, a value goes that was not looked up since the last time
// one had to go, the oldest first. See DropWhen for values that are over before.
type Map[V any] struct {
	shards []shard[V]
	mask   byte
	stale  func(V) bool
}

type shard[V any] struct {
	mu    sync.RWMutex
	index map[Key]int // into slots
	// slots form the ring that hand sweeps for a victim.
	slots []slot[V]
	free  []int
	hand  int
	// tidied is the slot that tidy looks at next.
	tidied int
	limit  int
	_      [32]byte // no cache line for two locks
}

type slot[V any] struct {
	key   Key
	value V
	// used is set by Get, under the read lock, hence atomic.
	used atomic.Bool
}

// New returns an empty map for at most capacity values. A capacity below 1
// counts as 1. Memory is taken as it fills.
func New[V any](capacity int) *Map[V] {
	capacity = max(capacity, 1)
	n := 1
	for n < maxShards && capacity/(2*n) >= minShardCapacity {
		n *= 2
	}
	m := &Map[V]{shards: make([]shard[V], n), mask: byte(n - 1)}
	for i := range m.shards {
		m.shards[i].index = make(map[Key]int)
		m.shards[i].limit = capacity / n
	}
	return m
}

// DropWhen has values go that are stale, though there is room. Nothing looks for them
// by itself: whenever a value comes, two others are looked at, so that more can go
// than come. To be called before the map is used.
func (m *Map[V]) DropWhen(stale func(V) bool) { m.stale = stale }

func (m *Map[V]) shard(key *Key) *shard[V] { return &m.shards[key[0]&m.mask] }

// Get returns the value of key.
func (m *Map[V]) Get(key Key) (value V, ok bool) {
	s := m.shard(&key)
	s.mu.RLock()
	if i, found := s.index[key]; found {
		entry := &s.slots[i]
		// Reading first keeps the cache line shared between cores.
		if !entry.used.Load() {
			entry.used.Store(true)
		}
		value, ok = entry.value, true
	}
	s.mu.RUnlock()
	return value, ok
}

// Set stores value under key and lets another value go if there is no room.
func (m *Map[V]) Set(key Key, value V) {
	s := m.shard(&key)
	s.mu.Lock()
	defer s.mu.Unlock()
	i, found := s.index[key]
	if !found {
		if m.stale != nil {
			s.tidy(m.stale)
		}
		i = s.place()
		s.index[key] = i
		s.slots[i].key = key
		s.slots[i].used.Store(false)
	}
	s.slots[i].value = value
}

// Delete removes key. It is no error if it is not there.
func (m *Map[V]) Delete(key Key) {
	s := m.shard(&key)
	s.mu.Lock()
	defer s.mu.Unlock()
	if i, found := s.index[key]; found {
		s.remove(i)
	}
}

// remove frees a slot that is in use.
func (s *shard[V]) remove(i int) {
	delete(s.index, s.slots[i].key)
	s.slots[i].value = *new(V) // for the garbage collector
	s.free = append(s.free, i)
}

// tidy looks at the next two slots and frees those whose values are stale.
func (s *shard[V]) tidy(stale func(V) bool) {
	for range min(2, len(s.slots)) {
		s.tidied = (s.tidied + 1) % len(s.slots)
		entry := &s.slots[s.tidied]
		// A free slot still has the key it had last.
		if i, found := s.index[entry.key]; found && i == s.tidied && stale(entry.value) {
			s.remove(i)
		}
	}
}

// Len returns the number of values, of which some may be gone by the time it
// returns.
func (m *Map[V]) Len() int {
	n := 0
	for i := range m.shards {
		s := &m.shards[i]
		s.mu.RLock()
		n += len(s.index)
		s.mu.RUnlock()
	}
	return n
}

// place finds a slot for a new key: a freed one, a new one, or that of a victim.
func (s *shard[V]) place() int {
	if last := len(s.free) - 1; last >= 0 {
		i := s.free[last]
		s.free = s.free[:last]
		return i
	}
	if len(s.slots) < s.limit {
		s.grow()
		return len(s.slots) - 1
	}
	for {
		i := s.hand
		s.hand = (s.hand + 1) % len(s.slots)
		// A second look at the same slot finds the mark gone: at most two turns.
		if s.slots[i].used.Swap(false) {
			continue
		}
		delete(s.index, s.slots[i].key)
		return i
	}
}

// grow adds a slot. A slot holds an atomic, which must not be copied while
// anybody could use it; under the write lock nobody can.
func (s *shard[V]) grow() {
	if len(s.slots) < cap(s.slots) {
		s.slots = s.slots[:len(s.slots)+1]
		return
	}
	larger := make([]slot[V], len(s.slots)+1, min(max(2*len(s.slots), 8), max(s.limit, 1)))
	for i := range s.slots {
		larger[i].key, larger[i].value = s.slots[i].key, s.slots[i].value
		larger[i].used.Store(s.slots[i].used.Load())
	}
	s.slots = larger
}
