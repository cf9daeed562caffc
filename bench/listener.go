// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
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
	conn net.Conn
	// heardAt is when the last event came, in nanoseconds.
	heardAt atomic.Int64
	ended   chan struct{}
	err     error // how, once ended: nil if the answer was complete
}

// openStreams opens n streams at an address, the i-th with the token of that number.
func openStreams(ctx context.Context, addr string, n int, token func(i int) string) (*listeners, error) {
	l := &listeners{streams: make([]*listener, n)}
	var wg sync.WaitGroup
	var mu sync.Mutex
	var errs []error
	queue := make(chan int)
	for range 64 {
		wg.Go(func() {
			for i := range queue {
				s, err := l.dial(ctx, addr, token(i))
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

func (l *listeners) dial(ctx context.Context, addr, token string) (*listener, error) {
	conn, resp, err := dialStream(ctx, addr, token, "")
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

// dialStream opens a stream and returns once its header is there.
func dialStream(ctx context.Context, addr, token, query string) (net.Conn, *http.Response, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, nil, err
	}
	_, err = fmt.Fprintf(conn, "GET /mcp%s HTTP/1.1\r\nHost: %s\r\nAccept: text/event-stream\r\nAuthorization: Bearer %s\r\n\r\n", query, addr, token)
	if err != nil {
		return nil, nil, errors.Join(err, conn.Close())
	}
	resp, err := http.ReadResponse(bufio.NewReaderSize(conn, 512), nil)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("open a stream: %s", resp.Status)
	}
	if err != nil {
		return nil, nil, errors.Join(err, conn.Close())
	}
	return conn, resp, nil
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
