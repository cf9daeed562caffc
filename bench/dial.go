// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
)

// protocol is how clients of streams connect.
type protocol struct {
	name string
	// caddy is what the option `protocols` needs for it.
	caddy string
	// perConn are the streams of one connection.
	perConn int
	// dialer returns what opens streams at an address.
	dialer func(addr string) dialer
}

// dialer opens the i-th stream and returns once its header is there.
type dialer func(ctx context.Context, i int, token string) (io.Closer, *http.Response, error)

var (
	http1 = protocol{"HTTP/1.1", "h1", 1, http1Streams}
	http2 = protocol{"HTTP/2", "h1 h2c", http2PerConn, http2Streams}
)

const http2PerConn = 100

func http1Streams(addr string) dialer {
	return func(ctx context.Context, _ int, token string) (io.Closer, *http.Response, error) {
		return dialStream(ctx, addr, token, "")
	}
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

// http2Streams puts a hundred streams on each connection, in the clear.
func http2Streams(addr string) dialer {
	var mu sync.Mutex
	transports := map[int]*http.Transport{}
	connection := func(i int) *http.Transport {
		mu.Lock()
		defer mu.Unlock()
		t := transports[i/http2PerConn]
		if t == nil {
			t = &http.Transport{Protocols: new(http.Protocols)}
			t.Protocols.SetUnencryptedHTTP2(true)
			transports[i/http2PerConn] = t
		}
		return t
	}
	return func(ctx context.Context, i int, token string) (io.Closer, *http.Response, error) {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+"/mcp", http.NoBody)
		if err != nil {
			return nil, nil, err
		}
		req.Header.Set("Accept", "text/event-stream")
		req.Header.Set("Authorization", "Bearer "+token)
		resp, err := connection(i).RoundTrip(req)
		if err != nil {
			return nil, nil, err
		}
		if resp.StatusCode != http.StatusOK {
			return nil, nil, errors.Join(fmt.Errorf("open a stream: %s", resp.Status), resp.Body.Close())
		}
		return resp.Body, resp, nil
	}
}
