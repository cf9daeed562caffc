// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"context"
	"errors"
	"time"
)

// errUpstreamOutage: nobody vouches for the account any more, through no fault of
// the person. They are not signed out.
var errUpstreamOutage = errors.New("the identity provider has not been able to confirm the account for too long")

// admit is verify for a request that is to be let through: the account behind the
// token was checked lately enough, or could not be, and the last decision holds.
func (st *State) admit(ctx context.Context, raw, issuer, resource string, now time.Time) (*liveToken, error) {
	tok, err := st.verify(ctx, raw, issuer, resource, now)
	if err != nil || st.vouched(tok.grant.account, now) {
		return tok, err
	}
	st.recheckLive(ctx, tok.grant.account, now)
	// What the check found may have ended the grant, or taken the account out of the
	// table and put another one there.
	now = st.now()
	if tok, err = st.verify(ctx, raw, issuer, resource, now); err != nil {
		return nil, err
	}
	if err := st.holds(tok.grant.account, now); err != nil {
		return nil, err
	}
	return tok, nil
}

// vouched reports whether the last check is young enough. It is on every request's
// path: two atomic loads, and a third that is a store once per check.
func (st *State) vouched(a *liveAccount, now time.Time) bool {
	rules := st.recheck.Load()
	if rules == nil || rules.interval == 0 {
		return true
	}
	// A check in the future wraps around and is looked at more closely.
	if uint64(now.UnixNano()-a.checkedAt.Load()) >= uint64(rules.interval) { //nolint:gosec // on purpose
		return false
	}
	if !a.used.Load() { // reading first keeps the cache line shared between cores
		a.used.Store(true)
	}
	return true
}

// recheckLive has the account checked, and waits for that where waiting makes sense.
func (st *State) recheckLive(ctx context.Context, a *liveAccount, now time.Time) {
	rules := st.recheck.Load()
	up := rules.checkerOf(*a.facts.Load())
	if up == nil {
		return
	}
	a.used.Store(true)
	if checkedAt := a.checkedAt.Load(); checkedAt > now.UnixNano() {
		// The clock was set back. From here on the check grows old as any other.
		a.checkedAt.CompareAndSwap(checkedAt, now.UnixNano())
		return
	}
	if !rules.leftAlone(a.retryAt.Load(), now) {
		st.awaitCheck(ctx, up, a.subject, age(a.checkedAt.Load(), now) < rules.outage)
	}
}

// awaitCheck asks for a check and waits for it with patience. While the upstream is
// known to be down, whoever can go on with a last decision that holds does not wait:
// a probe is on its way, or will be.
func (st *State) awaitCheck(ctx context.Context, up *asked, subject string, holds bool) {
	for range 2 {
		if !up.line.health.mayAsk(st.now()) {
			return
		}
		down := up.line.health.down.Load()
		e, covers := up.line.ask(subject, wantCheck, true)
		if down && holds {
			return
		}
		e.wait(ctx)
		if covers || ctx.Err() != nil {
			return
		}
	}
}

// holds says whether the last decision about an account still counts.
func (st *State) holds(a *liveAccount, now time.Time) error {
	rules := st.recheck.Load()
	up := rules.checkerOf(*a.facts.Load())
	if up == nil || age(a.checkedAt.Load(), now) < rules.outage {
		return nil
	}
	if a.signIn.Load() || a.checkedAt.Load() == 0 {
		return errTokenSignIn
	}
	st.count(EventUpstreamOutage)
	return errUpstreamOutage
}
