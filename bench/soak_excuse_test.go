// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

// What is excused is not looked into, so it must be no more than what has to be.
func TestExcuses(t *testing.T) {
	t.Parallel()
	broken, now := errors.New("reset"), time.Now()
	for name, tc := range map[string]struct {
		err       error
		reloaded  time.Time // the last reload
		meanwhile func(*soak)
		want      bool
	}{
		"for nothing":                    {err: broken},
		"on a new connection":            {err: broken, reloaded: now},
		"kept, no reload":                {err: staleError{broken, now}},
		"kept since before the reload":   {err: staleError{broken, now}, reloaded: now.Add(time.Second), want: true},
		"kept, opened after the reload":  {err: staleError{broken, now}, reloaded: now.Add(-time.Second)},
		"kept, reloaded meanwhile":       {err: staleError{broken, now}, meanwhile: func(s *soak) { s.reloading.Add(1) }, want: true},
		"reloaded meanwhile, a new one":  {err: broken, meanwhile: func(s *soak) { s.reloading.Add(1) }, want: true},
		"the gateway was away meanwhile": {err: broken, meanwhile: func(s *soak) { s.away.Add(2) }, want: true},
	} {
		s := &soak{ledger: newLedger()}
		if !tc.reloaded.IsZero() {
			s.reloaded.Store(tc.reloaded.UnixNano())
		}
		excused := s.since()
		if tc.meanwhile != nil {
			tc.meanwhile(s)
		}
		if got := excused(tc.err); got != tc.want {
			t.Errorf("%s: excused %t", name, got)
		}
	}
}

// A request on a kept connection that the server closes says so, and since when the
// connection was there. An audit asks again, and others do not.
func TestInsist(t *testing.T) {
	t.Parallel()
	asked := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		if asked++; asked == 2 {
			panic(http.ErrAbortHandler)
		}
	}))
	defer server.Close()
	p := &program{http: &http.Client{Transport: newWire()}, origin: server.URL}
	before := time.Now()
	ask := func() answer { return p.send(context.Background(), http.MethodPost, "/", "{}", http.Header{}) }
	if a := ask(); a.status != http.StatusOK {
		t.Fatal(a.problem())
	}
	if a := insist(ask); a.status != http.StatusOK || asked != 3 {
		t.Errorf("%v after %d requests", a.problem(), asked)
	}
	asked = 1
	stale, ok := errors.AsType[staleError](ask().err)
	if !ok || stale.opened.Before(before) || stale.opened.After(time.Now()) {
		t.Errorf("stale %t, opened %v", ok, stale.opened)
	}
}
