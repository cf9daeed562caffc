// SPDX-License-Identifier: Apache-2.0

package local

import (
	"crypto/sha256"
	"sync"
	"time"

	"github.com/caddy-mcp/caddy-mcp-oauth/upstream"
)

// Limits of the throttle. Only failures use them up.
const (
	// pairBurst attempts at one account from one source, then one more every
	// pairRefill.
	pairBurst  = 5
	pairRefill = 30 * time.Second
	// sourceBurst attempts from one source at whatever account.
	sourceBurst  = 30
	sourceRefill = 5 * time.Second
	// strangerBurst attempts at one account from all strangers together. What they
	// get in a day, 8,640, does not find a password that is any good.
	strangerBurst  = 100
	strangerRefill = 10 * time.Second
	// overallBurst attempts of all strangers at all accounts.
	overallBurst  = 1000
	overallRefill = 250 * time.Millisecond
	// maxBuckets bounds each table, and maxKnown the sources that are no strangers.
	maxBuckets = 10_000
	maxKnown   = 10_000
	// knownFor is how long a source is remembered after the last sign-in from it.
	knownFor = 30 * 24 * time.Hour
)

// Throttle slows guessing down. It outlives the list of users: give the same one
// to the next Local of the same name, or a reload of the configuration forgives
// every guess. It is safe for concurrent use, bounded, and holds no password.
//
// Who guesses from one address is slowed by that. Against guessing from many, all
// strangers to an account share a budget: a source is a stranger to an account
// until somebody signed in from there. While strangers are at work, the owner of
// the account therefore still gets in from where they always do, and nothing that
// others do locks them out there. From a new address they may have to wait.
type Throttle struct {
	now   func() time.Time
	slots *slots

	mu        sync.Mutex
	pairs     *table
	sources   *table
	strangers *table
	overall   *table
	known     *memory
}

// NewThrottle makes one without a past. now is its clock; nil means time.Now.
func NewThrottle(now func() time.Time) *Throttle {
	if now == nil {
		now = time.Now
	}
	return &Throttle{
		now:       now,
		slots:     newSlots(),
		pairs:     newTable(pairBurst, pairRefill, maxBuckets),
		sources:   newTable(sourceBurst, sourceRefill, maxBuckets),
		strangers: newTable(strangerBurst, strangerRefill, maxBuckets),
		overall:   newTable(overallBurst, overallRefill, 1),
		known:     newMemory(knownFor, maxKnown),
	}
}

// attempt is what begin took, so that it can be given back.
type attempt struct {
	pair, source, account key
	stranger              bool
}

type key [sha256.Size]byte

// everybody is the only key of the overall bucket.
var everybody key

// begin counts an attempt as failed before it is made, so that attempts made at
// the same time cannot outrun the count. An error, a *upstream.Refusal, means that
// it must not be made. Whether the account exists makes no difference.
func (t *Throttle) begin(name, from string) (attempt, error) {
	source := sourceOf(from)
	a := attempt{
		pair:    sha256.Sum256([]byte(source + "\x00" + name)),
		source:  sha256.Sum256([]byte(source)),
		account: sha256.Sum256([]byte(name)),
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.now()
	a.stranger = !t.known.has(a.pair, now)
	// What was taken stays taken: knocking at a closed door is an attempt.
	if !t.sources.take(a.source, now) || !t.pairs.take(a.pair, now) {
		return attempt{}, upstream.Refuse(upstream.ReasonThrottled, "too many attempts from one address")
	}
	if !a.stranger {
		return a, nil
	}
	// The overall budget is looked at first: names that nobody has cost it, or
	// making them up would push the buckets of real ones out of the table.
	if !t.overall.has(everybody, now) || !t.strangers.take(a.account, now) {
		return attempt{}, upstream.Refuse(upstream.ReasonThrottled, "too many attempts from addresses that nobody signed in from")
	}
	t.overall.take(everybody, now)
	return a, nil
}

// undo gives back an attempt that was not made.
func (t *Throttle) undo(a attempt) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.giveBack(a, t.now())
	t.pairs.giveBack(a.pair, t.now())
}

// succeed clears the failures at this account from this source, which is no
// stranger to it any more. Everything else gets back this one attempt only: signing
// in to an own account must not buy guesses at others.
func (t *Throttle) succeed(a attempt) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.now()
	t.giveBack(a, now)
	t.pairs.forget(a.pair)
	t.known.add(a.pair, now)
}

func (t *Throttle) giveBack(a attempt, now time.Time) {
	t.sources.giveBack(a.source, now)
	if a.stranger {
		t.strangers.giveBack(a.account, now)
		t.overall.giveBack(everybody, now)
	}
}
