// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"net/http"
	"net/http/httptrace"
)

// wire sends requests and tells those apart that failed on a connection that was there
// before them.
type wire struct{ *http.Transport }

// staleError is the failure of a request on a kept connection: the other side may have
// closed it at that moment, as it may at any time.
type staleError struct{ error }

func (e staleError) Unwrap() error { return e.error }

// RoundTrip implements http.RoundTripper.
func (w wire) RoundTrip(r *http.Request) (*http.Response, error) {
	kept := false
	trace := &httptrace.ClientTrace{GotConn: func(info httptrace.GotConnInfo) { kept = info.Reused || info.WasIdle }}
	resp, err := w.Transport.RoundTrip(r.WithContext(httptrace.WithClientTrace(r.Context(), trace)))
	if err != nil && kept {
		err = staleError{err}
	}
	return resp, err
}

// since marks the beginning of a request. excused says later of a request without an
// answer whether it need not have had one: the gateway was away meanwhile, or closed
// kept connections in a reload, which takes no notice of what is on its way to it.
func (s *soak) since() (excused func(err error) bool) {
	away, reloading := s.away.Load(), s.reloading.Load()
	return func(err error) bool {
		if during(away, s.away.Load()) {
			return true
		}
		if _, stale := errors.AsType[staleError](err); stale && during(reloading, s.reloading.Load()) {
			s.ledger.count("requests on a connection that a reload closed")
			return true
		}
		return false
	}
}

// during says of a count that is odd while something is the case whether it was at any
// time between two looks at it.
func during(before, now int64) bool { return before != now || now%2 == 1 }
