// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"time"

	"github.com/caddy-mcp/caddy-mcp-oauth/identity"
	"github.com/caddy-mcp/caddy-mcp-oauth/upstream"
)

// Recheck says how the people who have signed in are looked at again. The zero
// value checks nobody.
type Recheck struct {
	// Interval is how old a check may be before a request waits for another one.
	// Zero turns checks off: what was known at the sign-in holds.
	Interval time.Duration
	// Outage is how long the last decision holds if the provider cannot be asked.
	// Less than Interval counts as Interval.
	Outage time.Duration
	// Upstreams are those of the configuration. They renew tokens also where
	// Interval is zero.
	Upstreams []upstream.Upstream
	// Forwards says that some resource of the configuration, at any issuer, forwards
	// upstream tokens: then they are kept even where no check needs them.
	Forwards bool
}

// SetRecheck replaces the rules, when a configuration was loaded. What is known of
// the health of an upstream, and who is due, stays.
func (st *State) SetRecheck(r Recheck) {
	st.recheck.Store(newRecheckRules(r))
}

// recheckRules are a Recheck, ready for use. Immutable.
type recheckRules struct {
	interval, outage time.Duration
	forwards         bool
	upstreams        map[string]upstream.Upstream
}

func newRecheckRules(r Recheck) *recheckRules {
	rules := &recheckRules{
		interval: max(r.Interval, 0), outage: max(r.Outage, r.Interval), forwards: r.Forwards,
		upstreams: make(map[string]upstream.Upstream, len(r.Upstreams)),
	}
	for _, up := range r.Upstreams {
		rules.upstreams[up.Name()] = up
	}
	return rules
}

// upstreamOf returns the upstream of a person, or nil if the configuration no longer
// has it.
func (r *recheckRules) upstreamOf(id identity.Identity) upstream.Upstream {
	if r == nil {
		return nil
	}
	if up := r.upstreams[id.Upstream]; up != nil && up.Kind() == id.Kind {
		return up
	}
	return nil
}
