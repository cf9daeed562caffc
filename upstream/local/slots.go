// SPDX-License-Identifier: Apache-2.0

package local

import (
	"context"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/caddy-mcp/caddy-mcp-oauth/upstream"
)

const (
	// maxWaiting is how many sign-ins may wait for a slot, of strangers and of others
	// each.
	maxWaiting = 64
	// maxWait is how long one waits.
	maxWait = 10 * time.Second
)

// slots bounds how many hashes are computed at a time, whoever asks. Half of the
// processors stay free for everything else this process does. One slot more is
// kept for sources that are no strangers: with all others taken for good, who lives
// here still gets in.
type slots struct {
	free, reserved chan struct{}
	// waiting counts strangers, waitingKnown the others.
	waiting, waitingKnown atomic.Int64
}

func newSlots() *slots {
	return &slots{
		free:     make(chan struct{}, max(1, runtime.GOMAXPROCS(0)/2)),
		reserved: make(chan struct{}, 1),
	}
}

// acquire takes a slot, to be given back by calling release. Its error is a
// *upstream.Refusal.
func (s *slots) acquire(ctx context.Context, stranger bool) (release func(), err error) {
	if ctx.Err() != nil {
		return nil, upstream.Refuse(upstream.ReasonUnavailable, "before its turn: %w", context.Cause(ctx))
	}
	waiting, reserved := &s.waiting, chan struct{}(nil) // nil is never free
	if !stranger {
		waiting, reserved = &s.waitingKnown, s.reserved
	}
	fromFree, fromReserved := func() { <-s.free }, func() { <-reserved }
	select {
	case s.free <- struct{}{}:
		return fromFree, nil
	case reserved <- struct{}{}:
		return fromReserved, nil
	default:
	}
	defer waiting.Add(-1)
	if waiting.Add(1) > maxWaiting {
		return nil, upstream.Refuse(upstream.ReasonThrottled, "too many sign-ins at the same time")
	}
	timer := time.NewTimer(maxWait)
	defer timer.Stop()
	select {
	case s.free <- struct{}{}:
		return fromFree, nil
	case reserved <- struct{}{}:
		return fromReserved, nil
	case <-timer.C:
		return nil, upstream.Refuse(upstream.ReasonThrottled, "no turn within %s", maxWait)
	case <-ctx.Done():
		return nil, upstream.Refuse(upstream.ReasonUnavailable, "waiting for a turn: %w", context.Cause(ctx))
	}
}
