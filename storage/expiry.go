// SPDX-License-Identifier: Apache-2.0

package storage

import "time"

// A record lives up to, not including, its ExpiresAt. Engines ask these methods
// instead of comparing times themselves, so that all agree on the last instant.

// Expired reports whether a client that never completed a sign-in is past its
// end. A zero ExpiresAt means that the client stays.
func (c *Client) Expired(now time.Time) bool {
	return !c.ExpiresAt.IsZero() && !now.Before(c.ExpiresAt)
}

// Unused reports whether the client never completed a sign-in, so that it counts
// against MaxUnusedClients.
func (c *Client) Unused() bool { return !c.ExpiresAt.IsZero() }

// Expired reports whether the request is past its end. One without an end is:
// a forgotten ExpiresAt must not make a record immortal.
func (p *Pending) Expired(now time.Time) bool { return !now.Before(p.ExpiresAt) }

// Expired reports whether the grant is past its end. One without an end is.
func (g *Grant) Expired(now time.Time) bool { return !now.Before(g.ExpiresAt) }

// Expired reports whether the session is past its idle or its absolute end.
func (s *Session) Expired(now time.Time) bool {
	return !now.Before(s.ExpiresAt) || !now.Before(s.IdleAt)
}

// Touch moves the idle end to idle from now, but never past the absolute end.
func (s *Session) Touch(idle time.Duration, now time.Time) {
	s.IdleAt = now.Add(idle)
	if s.IdleAt.After(s.ExpiresAt) {
		s.IdleAt = s.ExpiresAt
	}
}

// Expired reports whether the consent has to be asked for again.
func (c *Consent) Expired(now time.Time) bool { return !now.Before(c.ExpiresAt) }

// Expired reports whether the id may be used again.
func (o *Once) Expired(now time.Time) bool { return !now.Before(o.ExpiresAt) }
