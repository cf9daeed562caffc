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

// End is when the session ends if it is not used any more: the earlier one of
// its idle and its absolute end.
func (s *Session) End() time.Time {
	if s.IdleAt.Before(s.ExpiresAt) {
		return s.IdleAt
	}
	return s.ExpiresAt
}

// Expired reports whether the session is past its idle or its absolute end. One
// that lacks either is.
func (s *Session) Expired(now time.Time) bool { return !now.Before(s.End()) }

// TouchSlack is how much too early the idle end of a session may be, see
// TouchSession: a minute, or a tenth of idle where that is less.
func TouchSlack(idle time.Duration) time.Duration { return max(0, min(time.Minute, idle/10)) }

// Touch is TouchSession as a step on one record, for engines that can run Go
// inside their transaction. On true the caller stores s; on false s is unchanged,
// as its end would hardly move.
func (s *Session) Touch(idle time.Duration, now time.Time) bool {
	end := now.Add(idle)
	if end.After(s.ExpiresAt) {
		end = s.ExpiresAt
	}
	moved := end.Sub(s.IdleAt).Abs()
	if moved == 0 || moved < TouchSlack(idle) {
		return false
	}
	s.IdleAt = end
	return true
}

// Expired reports whether the consent has to be asked for again.
func (c *Consent) Expired(now time.Time) bool { return !now.Before(c.ExpiresAt) }

// Expired reports whether nothing the key signed is valid any more.
func (k *Key) Expired(now time.Time) bool { return !now.Before(k.ExpiresAt) }

// Expired reports whether the id may be used again.
func (o *Once) Expired(now time.Time) bool { return !now.Before(o.ExpiresAt) }
