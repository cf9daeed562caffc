// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"
)

// refresh exchanges the newest refresh token of a grant, which is reserved: as most
// programs do, or two processes of one at once, or by one that hangs up in the middle
// and tries again.
func (s *soak) refresh(ctx context.Context, g *grant) {
	if g == nil {
		return
	}
	defer s.ledger.release(g)
	token, asked := g.family[len(g.family)-1], time.Now()
	switch rand.IntN(8) {
	case 0:
		var both sync.WaitGroup
		var sets [2]tokenSet
		var ok [2]bool
		for i := range sets {
			both.Go(func() { sets[i], ok[i] = s.refreshOnce(ctx, g, token) })
		}
		both.Wait()
		if ok[0] && ok[1] {
			s.ledger.rotated(g, asked, sets[:]...)
		}
		return
	case 1:
		short, cancel := context.WithTimeout(ctx, rand.N(3*time.Millisecond))
		set, a := g.owner.refresh(short, token)
		cancel()
		if a.status == http.StatusOK {
			s.ledger.rotated(g, asked, set)
			return
		}
		if a.status != 0 {
			s.ledger.violation("refresh: %v", a.problem())
		}
		s.ledger.count("refreshes hung up on")
	}
	if set, ok := s.refreshOnce(ctx, g, token); ok {
		s.ledger.rotated(g, asked, set)
	}
}

// refreshOnce repeats a refresh until it is answered: that is safe, and what clients do.
func (s *soak) refreshOnce(ctx context.Context, g *grant, token string) (tokenSet, bool) {
	for {
		excused := s.since()
		set, a := g.owner.refresh(ctx, token)
		switch {
		case a.status == http.StatusOK:
			return set, true
		case a.status == 0 && excused(a.err):
			time.Sleep(100 * time.Millisecond)
		default:
			s.ledger.violation("lost: the newest refresh token: %v", a.problem())
			return tokenSet{}, false
		}
	}
}
