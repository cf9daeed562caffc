// SPDX-License-Identifier: Apache-2.0

package redis

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// watch wakes those who wait for a change. While there are any, one goroutine holds one
// connection in a blocking read of the stream, however many they are: it needs no
// subscription, and misses nothing that comes while it is not reading.
type watch struct {
	mu      sync.Mutex
	waiting int
	running bool
	// changed is closed at the next change.
	changed chan struct{}
}

const (
	// watchStep is the longest single read. The goroutine lives as long after the last one
	// who waits, for a connection cannot be called back.
	watchStep = 5 * time.Second
	// watchPause is between reads that fail.
	watchPause = 250 * time.Millisecond
)

// Wait implements storage.Feed. While the server cannot be reached it lasts until limit.
func (s *Store) Wait(ctx context.Context, after uint64, limit time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	defer context.AfterFunc(s.stopped, cancel)()

	// Joined first: a change that comes after the look at the head wakes.
	changed := s.watch.join()
	defer s.watch.leave()
	at, err := s.headID(ctx)
	if err == nil && at != entryID(after) {
		return
	}
	if err == nil {
		s.startWatching(at)
	}
	select {
	case <-changed:
	case <-ctx.Done():
	}
}

// headID is the id of the latest entry of the feed, "" where there is no feed.
func (s *Store) headID(ctx context.Context) (string, error) {
	return run(ctx, s, "read head of feed", func(ctx context.Context) (string, error) {
		at, err := s.client.HGet(ctx, s.meta, "head").Result()
		if errors.Is(err, redis.Nil) {
			return "", nil
		}
		return at, err
	})
}

func (w *watch) join() <-chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.waiting++
	if w.changed == nil {
		w.changed = make(chan struct{})
	}
	return w.changed
}

func (w *watch) leave() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.waiting--
}

// wake lets everybody go who waits.
func (w *watch) wake() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.changed != nil {
		close(w.changed)
		w.changed = nil
	}
}

// goesOn reports whether anybody waits, and notes the end if nobody does.
func (w *watch) goesOn() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.running = w.waiting > 0
	return w.running
}

// startWatching makes sure that somebody reads. at is where the head was.
func (s *Store) startWatching(at string) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	s.watch.mu.Lock()
	defer s.watch.mu.Unlock()
	if s.closed || s.watch.running {
		return
	}
	s.watch.running = true
	s.background.Go(func() {
		for s.watch.goesOn() && s.stopped.Err() == nil {
			at = s.watchOnce(at)
		}
	})
}

// watchOnce waits for an entry after one, and returns the last there is when it wakes
// those who wait. It looks before it wakes: who joins after that sees as much itself.
func (s *Store) watchOnce(at string) string {
	found, err := s.client.XRead(s.stopped, &redis.XReadArgs{Streams: []string{s.named("feed"), at}, Count: 1, Block: watchStep}).Result()
	next := at
	switch {
	case err == nil && len(found) == 1 && len(found[0].Messages) == 1:
		next = found[0].Messages[0].ID
	case err != nil && !errors.Is(err, redis.Nil):
		sleep(s.stopped, watchPause)
	}
	// Also where nothing came: the server may have been away, and have lost what was seen.
	if head, err := s.headID(s.stopped); err == nil && head != "" {
		next = head
	}
	if next != at {
		s.watch.wake()
	}
	return next
}

func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
