// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"strconv"
	"time"
)

// The rotation of signing keys. Times are counted from 1970, so that gateways that
// know nothing of each other come to the same periods.
const (
	// keyPeriod is how long a key signs.
	keyPeriod = 30 * 24 * time.Hour
	// keyAhead is how long a key is published before it signs: much longer than any
	// cache of /jwks, and than a gateway needs to see what another one has made.
	keyAhead = 24 * time.Hour
	// keyTail is how much longer than its period a key lasts. It goes on signing in it
	// where its successor is late, and is published in it in any case.
	keyTail = 48 * time.Hour
	// keyMargin is the last part of a key's life, in which it signs nothing any more:
	// enough for the last assertion to expire, and for clocks that differ.
	keyMargin = time.Hour
)

// periodOf numbers the period that t is in.
func periodOf(t time.Time) int64 {
	const length = int64(keyPeriod / time.Second)
	n := t.Unix() / length
	if t.Unix()%length < 0 {
		n-- // before 1970, where Go rounds towards zero
	}
	return n
}

func periodStart(n int64) time.Time {
	return time.Unix(n*int64(keyPeriod/time.Second), 0).UTC()
}

// keyPlan is a key that is to be made.
type keyPlan struct {
	period             int64
	signsFrom, expires time.Time
}

// planKey says which key is missing, if one is: that of the period in which we will
// be when a key that is made now may sign. keys is as signerAt wants it.
//
// Where nothing can sign, the new key does so at once, since nobody relies on another
// one. Otherwise it waits until it has been published for keyAhead, but not beyond
// the end of the one that signs: a gateway that was away for long comes back late.
func planKey(keys []*signingKey, now time.Time) (keyPlan, bool) {
	n := periodOf(now.Add(keyAhead))
	plan := keyPlan{period: n, signsFrom: now, expires: periodStart(n + 1).Add(keyTail)}
	for _, k := range keys {
		if k.maySign(now) && !k.expires.Before(plan.expires) {
			return keyPlan{}, false
		}
	}
	if current := signerAt(keys, now); current != nil {
		plan.signsFrom = now.Add(keyAhead)
		if start := periodStart(n); start.After(plan.signsFrom) {
			plan.signsFrom = start
		}
		if end := current.signsUntil(); end.Before(plan.signsFrom) {
			plan.signsFrom = end
		}
	}
	return plan, true
}

// signerAt picks the key that signs: the newest one whose time has come. Where there
// is none it is the next one, as another gateway's clock may be ahead of ours. keys
// are ordered by the beginning of their time; the answer may be nil.
func signerAt(keys []*signingKey, now time.Time) *signingKey {
	var best *signingKey
	for _, k := range keys {
		if k.maySign(now) && (best == nil || !k.signsFrom.After(now)) {
			best = k
		}
	}
	return best
}

func (k *signingKey) signsUntil() time.Time { return k.expires.Add(-keyMargin) }

// maySign is false for a key near its end, and for one whose time is more than a
// period away: it was made by a clock that went wrong, and would outlive its period
// by as much.
func (k *signingKey) maySign(now time.Time) bool {
	return now.Before(k.signsUntil()) && !k.signsFrom.After(now.Add(keyPeriod))
}

// keyID is the id of a key's record. A further attempt at a period is made where the
// earlier ones cannot be opened, after encryption_key was replaced.
func keyID(period int64, attempt int) string {
	id := strconv.FormatInt(period, 10)
	if attempt > 0 {
		id += "." + strconv.Itoa(attempt)
	}
	return id
}
