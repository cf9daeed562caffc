// SPDX-License-Identifier: Apache-2.0

// Package limiter bounds how often one source may do something, in memory that
// is bounded too: a million source addresses cost no more than the limiter was
// made for.
package limiter

import (
	"hash/maphash"
	"sync"
	"time"
)

const (
	shardCount   = 16
	keysPerShard = 4096
	// sampled entries are compared when one has to go.
	sampled = 8
)

// Limiter is one token bucket per key, kept as the generic cell rate algorithm
// does: a single number, the time at which the bucket will be full again. It is
// safe for concurrent use. A nil Limiter limits nothing.
//
// It remembers 65,536 keys. When it is full the key nearest to a full bucket
// among a few makes room, so a flood of new sources displaces sources that did
// little rather than those being held back.
type Limiter struct {
	seed   maphash.Seed
	now    func() time.Time
	start  time.Time
	emit   time.Duration // between two events at the sustained rate
	burst  time.Duration // how far ahead of the sustained rate one may be
	shards [shardCount]shard
}

type shard struct {
	mu sync.Mutex
	// full maps a hashed key to when its bucket is full again, since start. Keys
	// are hashed so that their length costs nothing; the seed is random, so
	// nobody can choose a key to share a stranger's bucket.
	full map[uint64]time.Duration
	_    [48]byte // one cache line per lock
}

// New allows each key that many events per period, with bursts of as many. No
// limit (events or per not positive) is nil. now is the clock; nil means
// [time.Now].
func New(events int, per time.Duration, now func() time.Time) *Limiter {
	if events <= 0 || per <= 0 {
		return nil
	}
	if now == nil {
		now = time.Now
	}
	emit := max(per/time.Duration(events), 1)
	l := &Limiter{
		seed:  maphash.MakeSeed(),
		now:   now,
		start: now(),
		emit:  emit,
		burst: emit * time.Duration(events-1),
	}
	for i := range l.shards {
		l.shards[i].full = make(map[uint64]time.Duration)
	}
	return l
}

// Allow takes one event from the bucket of key. If there is none it says how
// long until there is, and takes nothing.
func (l *Limiter) Allow(key string) (ok bool, retryAfter time.Duration) {
	if l == nil {
		return true, 0
	}
	hash := maphash.String(l.seed, key)
	s := &l.shards[hash%shardCount]
	s.mu.Lock()
	defer s.mu.Unlock()
	// Since start keeps the monotonic clock, if there is one. A clock without it
	// may step back; no bucket is then emptier than empty.
	now := l.now().Sub(l.start)
	full, known := s.full[hash]
	full = min(max(full, now), now+l.burst+l.emit)
	if wait := full - now - l.burst; wait > 0 {
		return false, wait
	}
	if !known {
		s.makeRoom()
	}
	s.full[hash] = full + l.emit
	return true, 0
}

// Check is Allow without taking anything: whether an event would be allowed now.
// It is for work that is counted only if it fails.
func (l *Limiter) Check(key string) (ok bool, retryAfter time.Duration) {
	if l == nil {
		return true, 0
	}
	hash := maphash.String(l.seed, key)
	s := &l.shards[hash%shardCount]
	s.mu.Lock()
	defer s.mu.Unlock()
	now := l.now().Sub(l.start)
	full := min(max(s.full[hash], now), now+l.burst+l.emit)
	if wait := full - now - l.burst; wait > 0 {
		return false, wait
	}
	return true, 0
}

// makeRoom lets one key go if the shard is full. A full bucket is the same as
// none, so letting go of one that is nearly full costs next to nothing.
func (s *shard) makeRoom() {
	if len(s.full) < keysPerShard {
		return
	}
	var victim uint64
	seen, earliest := 0, time.Duration(0)
	for hash, full := range s.full {
		if seen == 0 || full < earliest {
			victim, earliest = hash, full
		}
		if seen++; seen == sampled {
			break
		}
	}
	delete(s.full, victim)
}
