// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"math/rand/v2"
	"net/http"
	"strings"
	"time"
)

// load starts everybody. They go on until stop is closed.
func (s *soak) load(length time.Duration) {
	ctx := context.Background()
	linger := min(40*time.Second, length/8)
	for range 75 {
		s.all.Go(func() { s.forever(0, func() { s.stream(ctx, rand.N(linger)) }) })
	}
	for range 12 {
		s.all.Go(func() { s.forever(80*time.Millisecond, func() { s.call(ctx) }) })
	}
	for range 2 {
		s.all.Go(func() { s.forever(time.Second, func() { s.signIn(ctx) }) })
		s.all.Go(func() { s.forever(500*time.Millisecond, func() { s.refresh(ctx, s.ledger.pick(true)) }) })
		s.all.Go(func() { s.forever(400*time.Millisecond, func() { s.probe(ctx) }) })
	}
	s.all.Go(func() { s.forever(time.Second, func() { s.end(ctx) }) })
	s.all.Go(func() { s.forever(500*time.Millisecond, func() { s.hangUp(ctx) }) })
	s.all.Go(func() { s.forever(time.Second, func() { s.large(ctx) }) })
	s.all.Go(func() { s.forever(time.Second, func() { s.readSlowly(ctx) }) })
	s.all.Go(func() { s.forever(min(25*time.Second, max(5*time.Second, length/40)), s.reload) })
}

// forever does something again and again, with pauses that differ.
func (s *soak) forever(pause time.Duration, do func()) {
	for {
		wait := time.Millisecond
		if pause > 0 {
			wait = pause/2 + rand.N(pause)
		}
		select {
		case <-s.stop:
			return
		case <-time.After(wait):
			do()
		}
	}
}

// call uses the resource, with a fresh token where the old one is at its end.
func (s *soak) call(ctx context.Context) {
	g := s.ledger.pick(false)
	if g == nil {
		return
	}
	u := s.ledger.use(g)
	if time.Until(u.access.until) < clockSlack && rand.IntN(10) > 0 {
		if s.ledger.reserve(g) {
			s.refresh(ctx, g)
		}
		return
	}
	excused := s.since()
	a := g.owner.call(ctx, u.access.token, "")
	s.ledger.judge(u, a, excused(a.err))
}

// large sends a megabyte and gets one back.
func (s *soak) large(ctx context.Context) {
	g, u := s.ledger.pickUsable()
	if g == nil {
		return
	}
	excused := s.since()
	a := g.owner.send(ctx, http.MethodPost, "/mcp?size=1048576", strings.Repeat(" ", mb), mcpHeader(u.access.token))
	if a.status != http.StatusOK {
		s.ledger.judge(u, a, excused(a.err))
		return
	}
	if len(a.body) != mb || len(bytes.TrimLeft(a.body, " ")) > 0 {
		s.ledger.violation("a large answer is not what the backend sent: %d bytes", len(a.body))
	}
	s.ledger.count("large calls")
}

// probe tries a token of a grant that is over.
func (s *soak) probe(ctx context.Context) {
	g := s.ledger.pickOver()
	if g == nil {
		return
	}
	excused := s.since()
	if rand.IntN(2) == 0 {
		u := s.ledger.use(g)
		a := g.owner.call(ctx, g.access[rand.IntN(len(g.access))].token, "")
		s.ledger.judge(u, a, excused(a.err))
		return
	}
	_, a := g.owner.refresh(ctx, g.family[rand.IntN(len(g.family))])
	switch {
	case a.status == http.StatusBadRequest, a.status == http.StatusUnauthorized, a.status == 0 && excused(a.err):
		s.ledger.count("refreshes refused")
	default:
		s.ledger.violation("resurrected: a refresh token of a grant that is over: %v", a.problem())
	}
}
