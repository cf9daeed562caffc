// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"
)

// listeners are many open event streams.
type listeners struct {
	streams []*listener
	// heard counts the events of all of them.
	heard atomic.Int64
}

// listener is one.
type listener struct {
	conn io.Closer
	// heardAt is when the last event came, in nanoseconds.
	heardAt atomic.Int64
	ended   chan struct{}
	err     error // how, once ended: nil if the answer was complete
}

// openStreams opens n streams, the i-th with the token of that number.
func openStreams(ctx context.Context, open dialer, n int, token func(i int) string) (*listeners, error) {
	l := &listeners{streams: make([]*listener, n)}
	var wg sync.WaitGroup
	var mu sync.Mutex
	var errs []error
	queue := make(chan int)
	for range 64 {
		wg.Go(func() {
			for i := range queue {
				s, err := l.dial(ctx, open, i, token(i))
				mu.Lock()
				l.streams[i], errs = s, append(errs, err)
				mu.Unlock()
			}
		})
	}
	for i := range n {
		queue <- i
	}
	close(queue)
	wg.Wait()
	return l, errors.Join(errs...)
}

func (l *listeners) dial(ctx context.Context, open dialer, i int, token string) (*listener, error) {
	conn, resp, err := open(ctx, i, token)
	if err != nil {
		return nil, err
	}
	s := &listener{conn: conn, ended: make(chan struct{})}
	go func() {
		defer close(s.ended)
		lines := bufio.NewScanner(resp.Body)
		for lines.Scan() {
			if bytes.HasPrefix(lines.Bytes(), []byte("data: ")) {
				s.heardAt.Store(time.Now().UnixNano())
				l.heard.Add(1)
			}
		}
		s.err = lines.Err()
	}()
	return s, nil
}

func (l *listeners) close() {
	for _, s := range l.streams {
		if s != nil {
			_ = s.conn.Close()
			<-s.ended
		}
	}
}

// over counts the streams that ended.
func (l *listeners) over() int {
	n := 0
	for _, s := range l.streams {
		select {
		case <-s.ended:
			n++
		default:
		}
	}
	return n
}

// awaitHeard waits until so many events came.
func (l *listeners) awaitHeard(n int64, limit time.Duration) error {
	for began := time.Now(); l.heard.Load() < n; time.Sleep(time.Millisecond) {
		if time.Since(began) > limit {
			return fmt.Errorf("%d of %d streams heard of a broadcast within %s", l.heard.Load(), n, limit)
		}
	}
	return nil
}

// heardAfter says of every stream that heard something since a time how long after it
// the last event came.
func (l *listeners) heardAfter(began time.Time) []time.Duration {
	var after []time.Duration
	for _, s := range l.streams {
		if d := time.Duration(s.heardAt.Load() - began.UnixNano()); d > 0 {
			after = append(after, d)
		}
	}
	return after
}

// torn counts the streams that ended in the middle, and says how one of them did.
// All must have ended.
func (l *listeners) torn() (n int, how error) {
	for _, s := range l.streams {
		if s.err != nil {
			n, how = n+1, s.err
		}
	}
	return n, how
}

// awaitOver waits until all streams ended.
func (l *listeners) awaitOver(limit time.Duration) error {
	timeout := time.After(limit)
	for _, s := range l.streams {
		select {
		case <-s.ended:
		case <-timeout:
			return fmt.Errorf("%d of %d streams ended within %s", l.over(), len(l.streams), limit)
		}
	}
	return nil
}
