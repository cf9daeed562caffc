// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptrace"
	"time"
)

// wire sends requests and tells those apart that failed on a connection that was there
// before them.
type wire struct{ *http.Transport }

func newWire() wire {
	dial := func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(ctx, network, addr)
		return agedConn{conn, time.Now()}, err
	}
	return wire{&http.Transport{MaxIdleConnsPerHost: 256, DialContext: dial}}
}

// agedConn knows when it was opened.
type agedConn struct {
	net.Conn
	opened time.Time
}

// staleError is the failure of a request on a kept connection: the other side may have
// closed it at that moment, as it may at any time.
type staleError struct {
	error
	opened time.Time
}

func (e staleError) Unwrap() error { return e.error }

// RoundTrip implements http.RoundTripper.
func (w wire) RoundTrip(r *http.Request) (*http.Response, error) {
	kept, opened := false, time.Time{}
	trace := &httptrace.ClientTrace{GotConn: func(info httptrace.GotConnInfo) {
		kept = info.Reused || info.WasIdle
		if conn, ok := info.Conn.(agedConn); ok {
			opened = conn.opened
		}
	}}
	resp, err := w.Transport.RoundTrip(r.WithContext(httptrace.WithClientTrace(r.Context(), trace)))
	if err != nil && kept {
		err = staleError{err, opened}
	}
	return resp, err
}

// since marks the beginning of a request. excused says later of a request without an
// answer whether it need not have had one: the gateway was away meanwhile, or closed
// kept connections after a reload, which takes no notice of what is on its way to them,
// or its listener, which resets what waits there.
// The servers that were replaced close each as soon as it is idle, which can be long
// after the reload, and only those they had.
func (s *soak) since() (excused func(err error) bool) {
	away, reloading := s.away.Load(), s.reloading.Load()
	return func(err error) bool {
		if during(away, s.away.Load()) {
			return true
		}
		stale, kept := errors.AsType[staleError](err)
		switch reloaded := during(reloading, s.reloading.Load()); {
		case kept && (reloaded || stale.opened.UnixNano() < s.reloaded.Load()):
			s.ledger.count("requests on a connection that a reload closed")
		case !kept && reloaded:
			s.ledger.count("requests on a connection that a replaced server had not accepted")
		default:
			return false
		}
		return true
	}
}

// during says of a count that is odd while something is the case whether it was at any
// time between two looks at it.
func during(before, now int64) bool { return before != now || now%2 == 1 }
