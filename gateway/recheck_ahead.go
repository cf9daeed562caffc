// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"context"
	"time"
)

// Bounds of how often lookAhead looks: forty times per interval.
const (
	shortestLook = 100 * time.Millisecond
	longestLook  = 15 * time.Second
)

func lookEvery(rules *recheckRules) time.Duration {
	if rules.interval == 0 {
		return longestLook
	}
	return min(max(rules.interval/40, shortestLook), longestLook)
}

// lookAhead has accounts that are in use checked before a request would have to wait
// for it. Idle accounts are left alone. It is one goroutine for all accounts, until
// the state is closed.
func (st *State) lookAhead(ctx context.Context) {
	timer := time.NewTimer(lookEvery(st.recheck.Load()))
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		rules := st.recheck.Load()
		if rules.interval > 0 {
			st.adoptStreams(ctx)
			st.lookAt(rules, st.now())
		}
		timer.Reset(lookEvery(rules))
	}
}

// lookAt goes once through the open streams and the accounts in use.
func (st *State) lookAt(rules *recheckRules, now time.Time) {
	st.streams.each(func(s *stream) {
		a := s.grant.account
		a.used.Store(true)
		if age(a.checkedAt.Load(), now) >= rules.outage && rules.checkerOf(*a.facts.Load()) != nil {
			s.end(errStreamUnvouched)
		}
	})
	type question struct {
		line    *line
		subject string
	}
	var questions []question
	probed := map[*line]bool{}
	st.live.eachAccount(func(a *liveAccount) {
		if !a.used.Load() || rules.leftAlone(a.retryAt.Load(), now) {
			return
		}
		checked := age(a.checkedAt.Load(), now)
		if checked < rules.interval*3/4 || checked < st.checks.aheadAt(rules.interval, a.subject) {
			return
		}
		up := rules.checkerOf(*a.facts.Load())
		if up == nil || !up.line.health.mayAsk(now) || probed[up.line] {
			return
		}
		// While the upstream is down one question is enough to learn whether it is back.
		probed[up.line] = up.line.health.down.Load()
		questions = append(questions, question{up.line, a.subject})
	})
	for _, q := range questions {
		q.line.ask(q.subject, wantCheck, false)
	}
}
