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
	// maxWaiting is how many sign-ins may wait for a slot.
	maxWaiting = 64
	// maxWait is how long one waits.
	maxWait = 10 * time.Second
)

// slots bounds how many hashes are computed at a time, whoever asks. Half of
// the processors stay free for everything else this process does.
type slots struct {
	free    chan struct{}
	waiting atomic.Int64
}

func newSlots() *slots {
	return &slots{free: make(chan struct{}, max(1, runtime.GOMAXPROCS(0)/2))}
}

// acquire takes a slot, to be given back with release. Its error is a
// *upstream.Refusal.
func (s *slots) acquire(ctx context.Context) error {
	select {
	case s.free <- struct{}{}:
		return nil
	default:
	}
	defer s.waiting.Add(-1)
	if s.waiting.Add(1) > maxWaiting {
		return upstream.Refuse(upstream.ReasonThrottled, "too many sign-ins at the same time")
	}
	timer := time.NewTimer(maxWait)
	defer timer.Stop()
	select {
	case s.free <- struct{}{}:
		return nil
	case <-timer.C:
		return upstream.Refuse(upstream.ReasonThrottled, "no turn within %s", maxWait)
	case <-ctx.Done():
		return upstream.Refuse(upstream.ReasonUnavailable, "waiting for a turn: %w", context.Cause(ctx))
	}
}

func (s *slots) release() { <-s.free }
