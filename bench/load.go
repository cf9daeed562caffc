// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// call is one request that is sent again and again, and what must come back.
type call struct {
	addr string
	// path is where it goes, /mcp if empty.
	path string
	// tokens are used one after the other. None: no Authorization.
	tokens []string
	query  string
	// status is what is expected; with 200 the id must be echoed, and the user where
	// user is set.
	status int
	user   func(token int) string
}

// result is what a load did.
type result struct {
	requests  int
	took      time.Duration
	latencies []time.Duration
}

// load is a call over connections that stay open.
type load struct {
	call call
	// pace is how long a connection waits between calls, 0 for not at all.
	pace   time.Duration
	conns  []*loadConn
	serial atomic.Int64
}

// loadConn is one connection. It speaks HTTP by hand: a client that costs little
// leaves the machine to what is measured.
type loadConn struct {
	net.Conn
	in  *bufio.Reader
	out bytes.Buffer
}

// open dials conns connections.
func (c call) open(conns int) (*load, error) {
	l := &load{call: c}
	for range conns {
		conn, err := net.Dial("tcp", c.addr)
		if err != nil {
			return nil, errors.Join(err, l.close())
		}
		l.conns = append(l.conns, &loadConn{Conn: conn, in: bufio.NewReader(conn)})
	}
	return l, nil
}

func (l *load) close() error {
	var errs []error
	for _, conn := range l.conns {
		errs = append(errs, conn.Close())
	}
	return errors.Join(errs...)
}

// run sends calls over connections of its own.
func (c call) run(conns int, d time.Duration) (result, error) {
	l, err := c.open(conns)
	if err != nil {
		return result{}, err
	}
	res, err := l.run(d)
	return res, errors.Join(err, l.close())
}

// run sends calls over every connection, each waiting for its answer before it
// sends the next, for a time. Every answer is checked.
func (l *load) run(d time.Duration) (result, error) {
	var (
		wg    sync.WaitGroup
		mu    sync.Mutex
		all   result
		errs  []error
		began = time.Now()
	)
	for _, conn := range l.conns {
		wg.Go(func() {
			latencies, err := l.loop(conn, began.Add(d))
			mu.Lock()
			defer mu.Unlock()
			all.latencies = append(all.latencies, latencies...)
			errs = append(errs, err)
		})
	}
	wg.Wait()
	all.requests, all.took = len(all.latencies), time.Since(began)
	return all, errors.Join(errs...)
}

func (l *load) loop(conn *loadConn, end time.Time) ([]time.Duration, error) {
	var latencies []time.Duration
	for time.Now().Before(end) {
		n := l.serial.Add(1)
		token := int(n) % max(len(l.call.tokens), 1)
		l.call.write(&conn.out, n, token)
		began := time.Now()
		if _, err := conn.Write(conn.out.Bytes()); err != nil {
			return latencies, err
		}
		if err := l.call.check(conn.in, n, token); err != nil {
			return latencies, err
		}
		took := time.Since(began)
		latencies = append(latencies, took)
		if l.pace > took {
			time.Sleep(l.pace - took)
		}
	}
	return latencies, nil
}

func (c call) write(out *bytes.Buffer, n int64, token int) {
	body := fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":"tools/call","params":{"name":"echo","arguments":{"text":"hello"}}}`, n)
	out.Reset()
	fmt.Fprintf(out, "POST %s%s HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nAccept: application/json, text/event-stream\r\n"+
		"Mcp-Protocol-Version: 2025-11-25\r\nUser-Agent: bench\r\nContent-Length: %d\r\n", cmp.Or(c.path, "/mcp"), c.query, c.addr, len(body))
	if len(c.tokens) > 0 {
		fmt.Fprintf(out, "Authorization: Bearer %s\r\n", c.tokens[token])
	}
	out.WriteString("\r\n")
	out.WriteString(body)
}

func (c call) check(in *bufio.Reader, n int64, token int) error {
	resp, err := http.ReadResponse(in, nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	switch {
	case err != nil:
		return err
	case resp.StatusCode != c.status:
		return fmt.Errorf("status %d, want %d: %s", resp.StatusCode, c.status, body)
	case c.status != http.StatusOK:
		return nil
	case !bytes.Contains(body, []byte(`"id":`+strconv.FormatInt(n, 10)+`,`)):
		return fmt.Errorf("the answer is not to request %d: %s", n, body)
	case c.user != nil && !bytes.Contains(body, []byte(`"`+c.user(token)+`"`)):
		return fmt.Errorf("the backend was not told %s: %s", c.user(token), body)
	}
	return nil
}
