// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"math/rand/v2"
	"net/http"
	"time"
)

// signIn brings another grant: a client that is new or that others use, a person, and
// a browser that is new or knows them.
func (s *soak) signIn(ctx context.Context) {
	p := s.shared[rand.IntN(len(s.shared))]
	if rand.IntN(3) > 0 {
		if p = s.register(ctx); p == nil {
			return
		}
	}
	who := rand.IntN(len(s.people))
	h := s.people[who]
	if rand.IntN(2) == 0 {
		h = newHuman(h.login, s.web)
		h.dwells = rand.IntN(5) == 0
	}
	excused := s.since()
	code, a := h.signIn(ctx, p)
	if code == "" {
		s.unanswered("sign-in", a, excused)
		return
	}
	if rand.IntN(10) == 0 {
		time.Sleep(rand.N(5 * time.Second)) // a slow client
	}
	excused = s.since()
	asked := time.Now()
	set, a := p.redeem(ctx, code)
	if a.status != http.StatusOK {
		s.unanswered("a code that was handed out", a, excused)
		return
	}
	g := s.ledger.handOut(p, s.subject(who), asked, set)
	a = p.call(ctx, set.Access, "")
	s.ledger.judge(s.ledger.use(g), a, excused(a.err))
	if rand.IntN(10) == 0 {
		s.finish(g, "code presented twice", func() answer { _, a := p.redeem(ctx, code); return a }, http.StatusBadRequest)
		return
	}
	s.ledger.release(g)
	if old := s.ledger.activate(g, soakGrants); old != nil {
		s.leave(ctx, old)
	}
}

// unanswered notes a step of a sign-in that did not succeed.
func (s *soak) unanswered(what string, a answer, excused func(error) bool) {
	if a.status == 0 && excused(a.err) {
		s.ledger.lost()
		s.ledger.count("sign-ins lost while the gateway was away")
		return
	}
	s.ledger.violation("%s: %v", what, a.problem())
}

// register makes a client, or returns nil.
func (s *soak) register(ctx context.Context) *program {
	p, excused := s.program(), s.since()
	switch a := p.register(ctx); {
	case a.status == http.StatusCreated:
		s.ledger.registered(p)
		s.ledger.count("clients registered")
		return p
	case a.status == 0 && excused(a.err):
	default:
		s.ledger.violation("register: %v", a.problem())
	}
	return nil
}

// leave takes a grant out of use: every other time it is given back, and else kept, to
// be found again at the end.
func (s *soak) leave(ctx context.Context, g *grant) {
	if rand.IntN(2) == 0 {
		s.ledger.count("grants kept unused")
		s.ledger.release(g)
		return
	}
	s.revoke(ctx, g)
}

// end ends a grant in one of the ways there are.
func (s *soak) end(ctx context.Context) {
	g := s.ledger.pick(true)
	if g == nil {
		return
	}
	how := rand.IntN(10)
	ancient := s.ledger.ancient(g)
	switch {
	case how == 0 && !s.isShared(g.owner):
		s.unregister(ctx, g)
	case how <= 3 && ancient != "":
		s.finish(g, "old refresh token presented", func() answer { _, a := g.owner.refresh(ctx, ancient); return a }, http.StatusBadRequest)
	default:
		s.revoke(ctx, g)
	}
}

func (s *soak) isShared(p *program) bool {
	for _, shared := range s.shared {
		if shared == p {
			return true
		}
	}
	return false
}

// revoke gives back one of the two tokens (RFC 7009).
func (s *soak) revoke(ctx context.Context, g *grant) {
	token := g.family[len(g.family)-1]
	if rand.IntN(3) == 0 {
		token = g.access[len(g.access)-1].token
		if time.Until(g.access[len(g.access)-1].until) < clockSlack {
			token = g.family[len(g.family)-1]
		}
	}
	s.finish(g, "revoked", func() answer { return g.owner.revoke(ctx, token) }, http.StatusOK)
}

// unregister deletes the client of a grant.
func (s *soak) unregister(ctx context.Context, g *grant) {
	s.ledger.ask(g)
	a := s.persist("delete a client", func() answer { return g.owner.registration(ctx, http.MethodDelete) }, http.StatusNoContent, http.StatusUnauthorized)
	if a.status != 0 {
		s.ledger.deleted(g.owner)
	}
}

// finish does what ends a grant, which is reserved, until that is acknowledged.
func (s *soak) finish(g *grant, how string, do func() answer, want int) {
	s.ledger.ask(g)
	if a := s.persist(how, do, want); a.status == want {
		s.ledger.ended(g, how)
	}
}

// persist repeats what may be repeated until it is answered.
func (s *soak) persist(what string, do func() answer, want ...int) answer {
	for {
		excused := s.since()
		a := do()
		for _, status := range want {
			if a.status == status {
				return a
			}
		}
		if a.status != 0 || !excused(a.err) {
			s.ledger.violation("%s: %v", what, a.problem())
			return answer{}
		}
		time.Sleep(100 * time.Millisecond)
	}
}
