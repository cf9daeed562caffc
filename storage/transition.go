// SPDX-License-Identifier: Apache-2.0

package storage

import (
	"slices"
	"time"
)

// MaxRetired bounds the retired secrets a grant keeps, whatever the grace: a
// client that refreshes in a tight loop must not grow its record without end.
const MaxRetired = 32

// Redeem is RedeemCode as a step on one record, for engines that can run Go
// inside their transaction. On nil the caller stores g; on an error, ErrNotFound
// or ErrReplay, g is unchanged.
func Redeem(g *Grant, r Redemption, now time.Time) error {
	switch {
	case g.Expired(now), !r.Code.Equal(g.Code.Hash):
		return ErrNotFound
	case g.Live():
		// Also after the code's own end: whoever redeems late holds a copy.
		return ErrReplay
	case !now.Before(g.Code.ExpiresAt):
		return ErrNotFound
	}
	g.Code.RedeemedAt = now
	g.Refresh = Refresh{Current: r.Refresh}
	g.ExpiresAt = now.Add(r.TTL)
	return nil
}

// Rotate is RotateRefresh as a step on one record, see Rotation. On nil with
// Repeat false the caller stores g; with Repeat true g is unchanged. On ErrReuse
// the caller deletes the grant in the same transaction. ErrNotFound is for a
// grant that ended or never had a refresh secret. Rotated.Grant is left nil.
func Rotate(g *Grant, r Rotation, now time.Time) (Rotated, error) {
	if g.Expired(now) || !g.Live() || g.Refresh.Current == (Hash{}) {
		return Rotated{}, ErrNotFound
	}
	if r.Presented.Equal(g.Refresh.Current) {
		advance(g, r, now)
		return Rotated{Nonce: slices.Clone(r.Nonce)}, nil
	}
	retired := g.Refresh.Retired
	for i := len(retired) - 1; i >= 0; i-- {
		if !r.Presented.Equal(retired[i].Hash) {
			continue
		}
		if !answerable(retired[i], i == len(retired)-1, r, now) {
			return Rotated{}, ErrReuse
		}
		return Rotated{Nonce: slices.Clone(retired[i].Nonce), Repeat: true}, nil
	}
	return Rotated{}, ErrReuse
}

// advance makes the successor current and forgets the retired secrets nobody
// will be answered for.
func advance(g *Grant, r Rotation, now time.Time) {
	var kept []Retired
	for _, old := range g.Refresh.Retired {
		if age(old, now) <= r.Grace {
			kept = append(kept, old)
		}
	}
	kept = append(kept, Retired{Hash: r.Presented, Nonce: slices.Clone(r.Nonce), RetiredAt: now})
	if extra := len(kept) - MaxRetired; extra > 0 {
		kept = slices.Clone(kept[extra:])
	}
	g.Refresh = Refresh{Current: r.Successor, Retired: kept}
	g.ExpiresAt = now.Add(r.TTL)
}

func answerable(old Retired, newest bool, r Rotation, now time.Time) bool {
	since := age(old, now)
	// The successor of the newest one is Current: had it been used, it would be
	// retired itself.
	return since <= r.Grace || newest && since <= r.UnusedGrace
}

// age is the time since a retirement, none for one in the future.
func age(old Retired, now time.Time) time.Duration {
	return max(0, now.Sub(old.RetiredAt))
}
