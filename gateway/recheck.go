// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"time"

	"github.com/caddy-mcp/caddy-mcp-oauth/identity"
	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
	"github.com/caddy-mcp/caddy-mcp-oauth/upstream"
)

// Recheck says how the people who have signed in are looked at again. The zero
// value checks nobody.
type Recheck struct {
	// Interval is how old a check may be before a request waits for another one.
	// Zero turns checks off: what was known at the sign-in holds.
	Interval time.Duration
	// Outage is how long the last decision holds while the provider gives no
	// answer that proves anything. Less than Interval counts as Interval.
	Outage time.Duration
	// Upstreams are those of the configuration. They renew tokens also where
	// Interval is zero.
	Upstreams []upstream.Upstream
	// Forwards says that some resource of the configuration, at any issuer, forwards
	// upstream tokens: then they are kept even where no check needs them.
	Forwards bool
	// Allowed is what the allow rules of the same configuration say of a resource and
	// a person. Facts and rules have to fit: an upstream looks up only what the rules
	// ask for, and under other rules its answer would look like a denial. Nil means
	// the judge (see SetJudge), which during a reload may be of another configuration.
	Allowed func(resource string, id identity.Identity) bool
}

// SetRecheck replaces the rules, when a configuration was loaded. Checks that are
// under way, and what is known about the health of an upstream, stay.
func (st *State) SetRecheck(r Recheck) {
	rules := &recheckRules{
		interval: max(r.Interval, 0), outage: max(r.Outage, r.Interval), forwards: r.Forwards, allowed: r.Allowed,
		upstreams: make(map[string]*asked, len(r.Upstreams)),
	}
	now := st.now()
	for _, up := range r.Upstreams {
		a := &asked{Upstream: up, line: st.checks.lineOf(up.Name())}
		a.checker, _ = up.(upstream.Checker)
		a.refresher, _ = up.(upstream.Refresher)
		// What was wrong may have been the configuration.
		a.line.health.askSoon(now)
		rules.upstreams[up.Name()] = a
	}
	st.recheck.Store(rules)
	if rules.interval > 0 {
		st.checks.watch(st.lookAhead)
	}
}

// recheckRules are a Recheck, ready for use. Immutable.
type recheckRules struct {
	interval, outage time.Duration
	forwards         bool
	allowed          func(resource string, id identity.Identity) bool
	upstreams        map[string]*asked
}

// asked is an upstream that is asked about people. Its line outlives configurations.
type asked struct {
	upstream.Upstream
	checker   upstream.Checker   // nil if it cannot be asked
	refresher upstream.Refresher // nil if its tokens cannot be renewed
	line      *line
}

// upstreamOf returns the upstream of a person, or nil if the configuration no longer
// has it.
func (r *recheckRules) upstreamOf(id identity.Identity) *asked {
	if r == nil {
		return nil
	}
	if up := r.upstreams[id.Upstream]; up != nil && up.Kind() == id.Kind {
		return up
	}
	return nil
}

// checkerOf returns the upstream if people of it are checked. Of others the last
// facts hold: an upstream that cannot be asked said all it ever will, and one that
// was removed from the configuration matches no allow rule any more.
func (r *recheckRules) checkerOf(id identity.Identity) *asked {
	if r == nil || r.interval == 0 {
		return nil
	}
	if up := r.upstreamOf(id); up != nil && up.checker != nil {
		return up
	}
	return nil
}

// keeps reports whether the token of a person is kept: dropped is the default.
func (r *recheckRules) keeps(id identity.Identity) bool {
	if r == nil {
		return false
	}
	up := r.checkerOf(id)
	return r.forwards || up != nil && up.checker.NeedsToken()
}

// longestSilence is the longest time an account is left alone after an answer that
// proved nothing.
func (r *recheckRules) longestSilence() time.Duration {
	if r.interval == 0 {
		return 5 * longestPause
	}
	return r.interval
}

// leftAlone reports whether an account is not to be asked about before retryAt. What
// an earlier configuration put off further counts no more.
func (r *recheckRules) leftAlone(retryAt int64, now time.Time) bool {
	return putOff(retryAt, now, max(r.longestSilence(), firstPause))
}

// age is how long ago a check was. One in the future, by a clock that was set back
// or that of another machine, counts as now.
func age(checkedAt int64, now time.Time) time.Duration {
	return time.Duration(max(0, now.UnixNano()-checkedAt))
}

// clockSkew is how far the clocks of two gateways may be apart. A check from further
// in the future is one of a clock gone wrong: it holds, but is made again.
const clockSkew = time.Minute

// aheadJitter spreads the checks of accounts, and those of several gateways, over
// the time between 75 and 85 percent of the interval. The first gateway to ask spares
// the others the question.
func (c *checks) aheadAt(interval time.Duration, subject string) time.Duration {
	return interval*3/4 + time.Duration(c.hash(subject)%1024)*(interval/10)/1024
}

// due reports whether a record is to be checked, ahead of time or late.
func (st *State) due(rules *recheckRules, a *storage.Account, now time.Time) bool {
	return a.CheckedAt.After(now.Add(clockSkew)) ||
		age(nanos(a.CheckedAt), now) >= st.checks.aheadAt(rules.interval, a.Subject)
}
