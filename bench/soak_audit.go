// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"
)

// audit holds everything that was acknowledged against what the gateway says now.
// Nothing else may be going on. It returns how many grants and clients it looked at.
func (l *ledger) audit(ctx context.Context) int {
	const workers = 8
	work := make(chan func() error)
	var all sync.WaitGroup
	for range workers {
		all.Go(func() {
			for check := range work {
				if err := check(); err != nil {
					l.violation("%v", err)
				}
			}
		})
	}
	l.mu.Lock()
	grants, programs := slices.Clone(l.grants), make(map[*program]bool, len(l.programs))
	for p, deleted := range l.programs {
		programs[p] = deleted
	}
	l.mu.Unlock()
	for _, g := range grants {
		work <- func() error { return l.find(ctx, g) }
	}
	for p, deleted := range programs {
		work <- func() error { return p.isKnown(ctx, !deleted) }
	}
	close(work)
	all.Wait()
	return len(grants) + len(programs)
}

// find looks for a grant.
func (l *ledger) find(ctx context.Context, g *grant) error {
	switch g.fate {
	case held:
		return l.works(ctx, g)
	case over:
		return g.isOver(ctx)
	}
	return nil // nobody was told
}

// works says that the newest tokens of a grant are good, and uses them.
func (l *ledger) works(ctx context.Context, g *grant) error {
	if newest := g.access[len(g.access)-1]; time.Now().Before(newest.until.Add(-clockSlack)) {
		if a := insist(func() answer { return g.owner.call(ctx, newest.token, "") }); a.status != http.StatusOK || !a.tells(g.subject) {
			return fmt.Errorf("lost: the access token of a grant that is held: %w", a.problem())
		}
	}
	asked := time.Now()
	var set tokenSet
	a := insist(func() (a answer) { set, a = g.owner.refresh(ctx, g.family[len(g.family)-1]); return a })
	if a.status != http.StatusOK {
		return fmt.Errorf("lost: the newest refresh token of %d: %w", len(g.family), a.problem())
	}
	l.rotated(g, asked, set)
	if a := insist(func() answer { return g.owner.call(ctx, set.Access, "") }); a.status != http.StatusOK || !a.tells(g.subject) {
		return fmt.Errorf("lost: an access token that was just handed out: %w", a.problem())
	}
	return nil
}

// isOver says that no token of a grant is good for anything.
func (g *grant) isOver(ctx context.Context) error {
	for _, access := range g.access {
		if a := insist(func() answer { return g.owner.call(ctx, access.token, "") }); a.status != http.StatusUnauthorized {
			return fmt.Errorf("resurrected: an access token of a grant that is over: %w", a.problem())
		}
	}
	for _, refresh := range []string{g.family[len(g.family)-1], g.family[0]} {
		a := insist(func() answer { _, a := g.owner.refresh(ctx, refresh); return a })
		if a.status != http.StatusBadRequest && a.status != http.StatusUnauthorized {
			return fmt.Errorf("resurrected: a refresh token of a grant that is over: %w", a.problem())
		}
	}
	return nil
}

// isKnown says that a program is registered, or not any more.
func (p *program) isKnown(ctx context.Context, want bool) error {
	switch a := insist(func() answer { return p.registration(ctx, http.MethodGet) }); {
	case want && a.status != http.StatusOK:
		return fmt.Errorf("lost: a registration: %w", a.problem())
	case !want && a.status != http.StatusUnauthorized:
		return fmt.Errorf("resurrected: a registration that was deleted: %w", a.problem())
	}
	return nil
}

// insist asks again where there was no answer on a connection that was kept. Whatever
// the gateway made of the first time, an audit may ask twice: a refresh within its grace
// is answered the same.
func insist(ask func() answer) answer {
	a := ask()
	if _, stale := errors.AsType[staleError](a.err); stale && a.status == 0 {
		return ask()
	}
	return a
}

// problem says in an error what an answer was.
func (a answer) problem() error {
	switch {
	case a.status == 0:
		return fmt.Errorf("no answer: %w", a.err)
	case a.err != nil:
		return a.err
	}
	return fmt.Errorf("status %d: %.200s", a.status, a.body)
}
