// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"sync"
	"sync/atomic"
	"time"
)

// Bounds of how an upstream that fails is treated.
const (
	// failuresToDown is how many answers in a row that prove nothing mean that it is
	// the upstream and not the one account.
	failuresToDown = 3
	firstPause     = 5 * time.Second
	longestPause   = 2 * time.Minute
	// longestWish bounds how long an upstream can have us wait by its own word.
	longestWish = time.Hour
)

// backoff is the pause after n pauses before it: five seconds, doubled each time.
func backoff(n int, most time.Duration) time.Duration {
	return min(firstPause<<min(n, 16), most)
}

// putOff reports whether a time to ask again is still to come. One further away than
// the longest pause is of a clock that has been set back since.
func putOff(retryAt int64, now time.Time, most time.Duration) bool {
	left := retryAt - now.UnixNano()
	return left > 0 && left <= int64(most)
}

// health is what is known about an upstream as a whole. While it is down, requests
// go on with the last decisions at once, and one probe at a time finds out whether
// it is back.
type health struct {
	// down and retryAt, in nanoseconds, are all that requests look at.
	down    atomic.Bool
	retryAt atomic.Int64

	mu       sync.Mutex
	failures int
	paused   int // times in a row
	probing  bool
	// suspected: down because an answer takes long, not because of what it was.
	suspected bool
	// wished is the upstream's own word about when to ask again.
	wished time.Time
}

// mayAsk is false while asking is pointless, without a lock.
func (h *health) mayAsk(now time.Time) bool {
	return !h.down.Load() || !h.pauses(now)
}

// pauses reports whether nobody is to ask for now.
func (h *health) pauses(now time.Time) bool { return putOff(h.retryAt.Load(), now, longestWish) }

// begin takes the right to ask. Who got it must end it with one of answered, failed
// or abandoned, and say there whether it was a probe.
func (h *health) begin(now time.Time) (ok, probe bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.down.Load() {
		return true, false
	}
	if h.probing || h.pauses(now) {
		return false, false
	}
	h.probing = true
	return true, true
}

// answered: the upstream said something that it stands for. It reports whether it
// was down before.
func (h *health) answered() (recovered bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.failures, h.paused, h.probing, h.suspected, h.wished = 0, 0, false, false, time.Time{}
	return h.down.Swap(false)
}

// abandoned: the question was not asked to the end.
func (h *health) abandoned(probe bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.probing = h.probing && !probe
}

// failed: the answer proved nothing. all says that it would be the same for
// everybody. It reports whether the upstream is known to be down only since now.
func (h *health) failed(now time.Time, probe bool, retryAfter time.Duration, all bool) (down bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.probing = h.probing && !probe
	h.failures++
	h.heedClock(now)
	if retryAfter > 0 {
		h.wished = later(h.wished, now.Add(min(retryAfter, longestWish)))
	}
	was := h.down.Load()
	if was && !probe && h.pauses(now) {
		h.pauseUntil(h.wished) // one that was under way when it went down
		return false
	}
	if !was && !all && retryAfter == 0 && h.failures < failuresToDown {
		return false
	}
	h.pauseUntil(later(h.wished, now.Add(backoff(h.paused, longestPause))))
	h.paused++
	h.down.Store(true)
	known := was && !h.suspected
	h.suspected = false
	return !known
}

// suspect: an answer takes long. Others do not wait as well.
func (h *health) suspect(now time.Time) (down bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.down.Load() {
		return false
	}
	h.heedClock(now)
	h.pauseUntil(now.Add(firstPause))
	h.down.Store(true)
	h.suspected = true
	return true
}

// askSoon ends a pause that the upstream did not ask for.
func (h *health) askSoon(now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.paused = 0
	h.heedClock(now)
	h.retryAt.Store(now.UnixNano())
	h.pauseUntil(h.wished)
}

// heedClock forgets times of a clock that has been set back. Needs mu.
func (h *health) heedClock(now time.Time) {
	if h.wished.After(now.Add(longestWish)) {
		h.wished = time.Time{}
	}
	if !h.pauses(now) {
		h.retryAt.Store(now.UnixNano())
	}
}

// pauseUntil never shortens a pause. Needs mu.
func (h *health) pauseUntil(t time.Time) {
	h.retryAt.Store(max(h.retryAt.Load(), nanos(t)))
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
