// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"context"
	"errors"
)

// adoptStreams finds open streams whose grant left memory, and gives them the one of
// now: what is learnt of the person from here on would pass the old one by. It is for
// the one goroutine that looks ahead. A store that fails is asked again at the next
// look.
func (st *State) adoptStreams(ctx context.Context) {
	var orphans []*stream
	st.streams.each(func(s *stream) {
		if s.grant.state.Load() == grantEvicted {
			orphans = append(orphans, s)
		}
	})
	for _, s := range orphans {
		g, err := st.live.grant(ctx, s.grant.issuer, s.grant.id)
		switch {
		case errors.Is(err, errGrantGone):
			s.end(errStreamRevoked)
		case err != nil:
			return
		default:
			st.adopt(s, g)
		}
	}
}

// adopt judges the stream as well: facts may have come that it was not shown.
func (st *State) adopt(s *stream, g *liveGrant) {
	s.shard.mu.Lock()
	s.grant = g
	s.shard.mu.Unlock()
	if g.state.Load() == grantRevoked {
		s.end(errStreamRevoked)
	}
	if j := st.judge.Load(); j != nil && !j.allowed(g.resource, *g.account.facts.Load()) {
		s.end(errStreamDenied)
	}
}
