// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"time"
)

// stream listens for a while.
func (s *soak) stream(ctx context.Context, linger time.Duration) {
	g, u := s.ledger.pickUsable()
	if g == nil {
		return
	}
	excused := s.since()
	ctx, hangUp := context.WithCancel(ctx)
	defer hangUp()
	resp, err := g.owner.listen(ctx, u.access.token, "")
	if err != nil || resp.StatusCode != http.StatusOK {
		s.ledger.judge(u, readAnswer(resp, err), excused(err))
		return
	}
	s.ledger.count("streams opened")
	ended := make(chan error, 1)
	go func() {
		_, err := io.Copy(io.Discard, resp.Body)
		ended <- errors.Join(err, resp.Body.Close())
	}()
	select {
	case err := <-ended:
		s.ledger.streamEnded(g, err, excused(err))
	case <-g.gone:
		s.awaitEnd(ended, excused)
	case <-s.stop:
	case <-time.After(linger):
	}
}

// awaitEnd gives a stream a second to end after the end of its grant was acknowledged.
func (s *soak) awaitEnd(ended <-chan error, excused func(error) bool) {
	select {
	case err := <-ended:
		if err != nil && !excused(err) {
			s.ledger.violation("a stream was torn when its grant was revoked: %v", err)
		}
		s.ledger.count("streams ended with their grant")
	case <-time.After(time.Second):
		s.ledger.violation("a stream was open a second after its grant was revoked")
	}
}

// streamEnded judges the end of a stream that nobody saw coming. The end of a grant
// shows on its streams before it is acknowledged.
func (l *ledger) streamEnded(g *grant, err error, excused bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case excused:
		l.counts["streams ended by kill -9"]++
	case g.fate == held:
		l.note("a stream ended by itself: %v", err)
	case err != nil:
		l.note("a stream was torn when its grant was revoked: %v", err)
	default:
		l.counts["streams ended with their grant"]++
	}
}

// hangUp goes away in the middle of a call, and wants the backend to know soon.
func (s *soak) hangUp(ctx context.Context) {
	g, u := s.ledger.pickUsable()
	if g == nil {
		return
	}
	excused := s.since()
	id := fmt.Sprintf("soak-%d", rand.Int64())
	ctx, leave := context.WithCancel(ctx)
	defer leave()
	answered := make(chan answer, 1)
	go func() { answered <- g.owner.call(ctx, u.access.token, "?hold=1&id="+id) }()
	arrived := make(chan error, 1)
	go func() { _, err := askVisit(s.rig.backendAddr, id, "begun"); arrived <- err }()
	select {
	case a := <-answered: // revoked, or gone with the gateway
		s.ledger.judge(u, a, excused(a.err))
		return
	case err := <-arrived:
		if err != nil {
			s.ledger.violation("a call did not reach the backend: %v", err)
			return
		}
	}
	left := time.Now()
	leave()
	ended, err := askVisit(s.rig.backendAddr, id, "ended")
	if took := ended.Sub(left); err != nil || took > time.Second {
		s.ledger.violation("the backend noticed %v later that a client had hung up, %v", took, err)
	}
	<-answered
	s.ledger.count("calls hung up on")
}

// readSlowly opens a stream of which there is no end and reads a little of it.
func (s *soak) readSlowly(ctx context.Context) {
	g, u := s.ledger.pickUsable()
	if g == nil {
		return
	}
	excused := s.since()
	ctx, leave := context.WithCancel(ctx)
	defer leave()
	resp, err := g.owner.listen(ctx, u.access.token, "?pour=1")
	if err != nil || resp.StatusCode != http.StatusOK {
		s.ledger.judge(u, readAnswer(resp, err), excused(err))
		return
	}
	defer resp.Body.Close()
	for range 20 {
		if _, err := io.CopyN(io.Discard, resp.Body, 16<<10); err != nil {
			s.ledger.streamEnded(g, unlessEOF(err), excused(err))
			return
		}
		select {
		case <-s.stop:
			return
		case <-time.After(250 * time.Millisecond):
		}
	}
	s.ledger.count("streams read slowly")
}

func unlessEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}
