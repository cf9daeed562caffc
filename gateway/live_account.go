// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"slices"
	"sync/atomic"
	"time"

	"github.com/caddy-mcp/caddy-mcp-oauth/identity"
	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
)

// liveAccount is one person in use, shared by all of their live grants. What a
// request looks at is atomic; a request that has seen a checkedAt sees the facts of
// that check, because they are stored before it.
type liveAccount struct {
	subject string
	facts   atomic.Pointer[identity.Identity]
	// checkedAt is Account.CheckedAt in nanoseconds, zero for never.
	checkedAt atomic.Int64
	// used: there was a request, or an open stream, since the last check.
	used atomic.Bool
	// retryAt is when the provider may be asked about this person again after an
	// answer that proved nothing, in nanoseconds.
	retryAt atomic.Int64
	// signIn: the provider answers about this person only after another sign-in.
	signIn atomic.Bool
	// forward is the opened upstream token, nil until a resource needs it.
	forward atomic.Pointer[forwardable]

	// Guarded by liveTable.mu: the live grants that point here, and the revision that
	// is shown.
	grants   int
	revision uint64
}

// nanos is a time as live accounts keep it. The zero time, which has no nanoseconds,
// is long ago.
func nanos(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}

// set shows a record and reports whether its facts are others. Those that are not
// keep their address, and with it what was derived from them. Needs liveTable.mu.
func (a *liveAccount) set(rec *storage.Account) (changed bool) {
	if old := a.facts.Load(); old == nil || !sameFacts(*old, rec.Identity) {
		a.facts.Store(&rec.Identity)
		changed = true
	}
	checkedAt := nanos(rec.CheckedAt)
	if checkedAt != a.checkedAt.Load() {
		a.used.Store(false)
	}
	a.revision = max(a.revision, rec.Revision)
	a.forward.Store(nil)
	a.signIn.Store(false)
	a.retryAt.Store(0)
	a.checkedAt.Store(checkedAt)
	return changed
}

// sameFacts compares what the provider says of a person.
func sameFacts(a, b identity.Identity) bool {
	return a.Upstream == b.Upstream && a.Kind == b.Kind && a.ID == b.ID && a.Login == b.Login && a.Name == b.Name &&
		a.Email == b.Email && a.EmailVerified == b.EmailVerified && slices.Equal(a.Groups, b.Groups)
}

// show makes a record visible to all live grants of its subject, unless something
// newer is visible already. It reports whether they have other facts now.
func (t *liveTable) show(rec *storage.Account) (changed bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	acct := t.accounts[rec.Subject]
	if acct != nil && rec.Revision <= acct.revision {
		return false
	}
	return t.replace(acct, rec)
}

// showSaved is show for a record that replaced whatever there was. Its revision is
// the least it can have.
func (t *liveTable) showSaved(rec *storage.Account) (changed bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.replace(t.accounts[rec.Subject], rec)
}

// replace shows a record of the store. Needs mu.
func (t *liveTable) replace(acct *liveAccount, rec *storage.Account) (changed bool) {
	if old := t.unsaved[rec.Subject]; old != nil && old.Revision < rec.Revision {
		delete(t.unsaved, rec.Subject)
	}
	t.changed.note(rec.Subject)
	return acct != nil && acct.set(rec)
}

// maxUnsaved bounds the records that a failing store did not take.
const maxUnsaved = 10_000

// override shows what is known and could not be stored, until the store has
// something newer: whoever is known to be out stays out, also where the grant is
// read again.
func (t *liveTable) override(rec *storage.Account) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for subject := range t.unsaved {
		if len(t.unsaved) < maxUnsaved {
			break
		}
		delete(t.unsaved, subject)
	}
	t.unsaved[rec.Subject] = rec
	t.changed.note(rec.Subject)
	if acct := t.accounts[rec.Subject]; acct != nil {
		acct.set(rec)
	}
}

// account returns the live account of a subject, or nil.
func (t *liveTable) account(subject string) *liveAccount {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.accounts[subject]
}

// eachAccount calls f under the lock.
func (t *liveTable) eachAccount(f func(*liveAccount)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, a := range t.accounts {
		f(a)
	}
}
