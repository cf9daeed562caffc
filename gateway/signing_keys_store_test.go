// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"bytes"
	"cmp"
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
)

// handClock is moved by hand. What runs beside a request may read it at any time.
type handClock struct{ nanos atomic.Int64 }

func (c *handClock) Now() time.Time  { return time.Unix(0, c.nanos.Load()) }
func (c *handClock) set(t time.Time) { c.nanos.Store(t.UnixNano()) }

// lockedLog may be read while it is written.
type lockedLog struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *lockedLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *lockedLog) String() string { l.mu.Lock(); defer l.mu.Unlock(); return l.buf.String() }

// keyShelf keeps signing keys as a store does, and fails where it is told to. Its
// clock is that of the test if there is one.
type keyShelf struct {
	storage.Store

	keyMu sync.Mutex
	keys  []storage.Key
	// keyReads and keyWrites count the calls that were answered.
	keyReads, keyWrites int
	keysDown            error
	// beforeCreate runs in CreateKey before anything is looked at.
	beforeCreate func()
	keyClock     func() time.Time
}

func (s *keyShelf) down(err error) {
	s.keyMu.Lock()
	defer s.keyMu.Unlock()
	s.keysDown = err
}

func (s *keyShelf) counts() (reads, writes int) {
	s.keyMu.Lock()
	defer s.keyMu.Unlock()
	return s.keyReads, s.keyWrites
}

func (s *keyShelf) expired(k storage.Key) bool {
	return s.keyClock != nil && k.Expired(s.keyClock())
}

func (s *keyShelf) CreateKey(_ context.Context, k *storage.Key) error {
	if s.beforeCreate != nil {
		s.beforeCreate()
	}
	s.keyMu.Lock()
	defer s.keyMu.Unlock()
	if s.keysDown != nil {
		return s.keysDown
	}
	s.keys = slices.DeleteFunc(s.keys, s.expired)
	if slices.ContainsFunc(s.keys, func(have storage.Key) bool { return have.Issuer == k.Issuer && have.ID == k.ID }) {
		return storage.ErrExists
	}
	s.keyWrites++
	s.keys = append(s.keys, *k)
	return nil
}

func (s *keyShelf) Keys(_ context.Context, issuer string) ([]*storage.Key, error) {
	s.keyMu.Lock()
	defer s.keyMu.Unlock()
	if s.keysDown != nil {
		return nil, s.keysDown
	}
	s.keyReads++
	var found []*storage.Key
	for _, k := range s.keys {
		if k.Issuer == issuer && !s.expired(k) {
			found = append(found, &k)
		}
	}
	slices.SortFunc(found, func(a, b *storage.Key) int {
		return cmp.Or(a.CreatedAt.Compare(b.CreatedAt), cmp.Compare(a.ID, b.ID))
	})
	return found, nil
}

func (s *keyShelf) ReplaceKey(_ context.Context, k *storage.Key) error {
	s.keyMu.Lock()
	defer s.keyMu.Unlock()
	if s.keysDown != nil {
		return s.keysDown
	}
	for i, have := range s.keys {
		if have.Issuer == k.Issuer && have.ID == k.ID && !s.expired(have) {
			s.keyWrites++
			s.keys[i] = *k
			return nil
		}
	}
	return storage.ErrNotFound
}

// edit changes the record at i as somebody does who can write to the store.
func (s *keyShelf) edit(change func(keys []storage.Key) []storage.Key) {
	s.keyMu.Lock()
	defer s.keyMu.Unlock()
	s.keys = change(s.keys)
}
