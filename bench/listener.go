// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
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
	conn  net.Conn
	ended chan struct{}
	err   error // why, once ended
}

// open opens n streams at an address, the i-th with the token of that number.
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
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	_, err = fmt.Fprintf(conn, "GET /mcp HTTP/1.1\r\nHost: %s\r\nAccept: text/event-stream\r\nAuthorization: Bearer %s\r\n\r\n", addr, token)
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	in := bufio.NewReaderSize(conn, 512)
	resp, err := http.ReadResponse(in, nil)
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	if resp.StatusCode != http.StatusOK {
		return nil, errors.Join(fmt.Errorf("open a stream: %s", resp.Status), conn.Close())
	}
	s := &listener{conn: conn, ended: make(chan struct{})}
	go func() {
		defer close(s.ended)
		lines := bufio.NewScanner(resp.Body)
		for lines.Scan() {
			if strings.HasPrefix(lines.Text(), "data: ") {
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

// awaitHeard waits until so many events came, and returns how long that took.
func (l *listeners) awaitHeard(n int64, limit time.Duration) (time.Duration, error) {
	began := time.Now()
	for l.heard.Load() < n {
		if time.Since(began) > limit {
			return 0, fmt.Errorf("%d of %d streams heard of a broadcast within %s", l.heard.Load(), n, limit)
		}
		time.Sleep(time.Millisecond)
	}
	return time.Since(began), nil
}
