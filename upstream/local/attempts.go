// SPDX-License-Identifier: Apache-2.0

package local

import (
	"crypto/sha256"
	"net/netip"
	"sync"
	"time"
)

// Limits of the throttle. Only failures use them up.
const (
	// accountBurst attempts at one account from one source, then one more every
	// accountRefill.
	accountBurst  = 5
	accountRefill = 30 * time.Second
	// sourceBurst attempts from one source at whatever account.
	sourceBurst  = 30
	sourceRefill = 5 * time.Second
	// maxBuckets bounds each of the two tables.
	maxBuckets = 10_000
)

// attempts is the throttle: one bucket per account and source, whether or not
// the account exists, and one per source.
type attempts struct {
	mu       sync.Mutex
	accounts *table
	sources  *table
}

// attempt is what begin took, so that it can be given back.
type attempt struct{ account, source key }

type key [sha256.Size]byte

func newAttempts() *attempts {
	return &attempts{
		accounts: newTable(accountBurst, accountRefill, maxBuckets),
		sources:  newTable(sourceBurst, sourceRefill, maxBuckets),
	}
}

// begin counts an attempt as failed before it is made, so that attempts made at
// the same time cannot outrun the count. Not ok means that it must not be made.
func (a *attempts) begin(name, from string, now time.Time) (attempt, bool) {
	source := sourceOf(from)
	t := attempt{
		account: sha256.Sum256([]byte(source + "\x00" + name)),
		source:  sha256.Sum256([]byte(source)),
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.sources.take(t.source, now) {
		return attempt{}, false
	}
	if !a.accounts.take(t.account, now) {
		// The source stays charged: knocking at a closed door is an attempt.
		return attempt{}, false
	}
	return t, true
}

// undo gives back an attempt that was not made.
func (a *attempts) undo(t attempt, now time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.sources.giveBack(t.source, now)
	a.accounts.giveBack(t.account, now)
}

// succeed clears the account's failures from this source. The source gets back
// this one attempt only: signing in to an own account must not buy guesses at
// others.
func (a *attempts) succeed(t attempt, now time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.sources.giveBack(t.source, now)
	a.accounts.forget(t.account)
}

// sourceOf is what counts as one source: an IPv4 address, or the /64 of an IPv6
// address, because that much is one customer's to choose from. Zones and ports
// do not matter. Anything else counts as it is.
func sourceOf(from string) string {
	addr, err := netip.ParseAddr(from)
	if err != nil {
		withPort, err := netip.ParseAddrPort(from)
		if err != nil {
			return from
		}
		addr = withPort.Addr()
	}
	addr = addr.Unmap().WithZone("")
	if addr.Is4() {
		return addr.String()
	}
	network, err := addr.Prefix(64)
	if err != nil {
		return from
	}
	return network.String()
}
