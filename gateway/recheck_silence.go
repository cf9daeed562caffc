// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"time"

	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
)

// silence is what is remembered of somebody about whom asking proved nothing. It
// outlives the live account: clients that only renew their tokens have none, and
// whoever gives a grant back can have a new one.
type silence struct {
	// checkedAt is that of the record that was asked about. Once there is a newer
	// check the silence is over.
	checkedAt int64
	// failures are the answers in a row that proved nothing.
	failures int
	// retryAt and signIn are as in liveAccount.
	retryAt int64
	signIn  bool
}

// maxSilences bounds how many people this is remembered of.
const maxSilences = 10_000

// provedNothing: the next question about the person waits a little longer each
// time. signIn says that waiting alone will not help.
func (t *liveTable) provedNothing(rec *storage.Account, signIn bool, now time.Time, most time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.silenceOf(rec)
	s.signIn = signIn
	wait := most
	if !signIn {
		wait = backoff(s.failures, most)
		s.failures++
	}
	s.retryAt = now.Add(wait).UnixNano()
	if len(t.silences) >= maxSilences {
		t.forgetSilences(now.UnixNano())
	}
	t.silences[rec.Subject] = s
	if a := t.accounts[rec.Subject]; a != nil {
		a.observe(s)
	}
}

// silence is what is remembered of the person since the check that a record is of.
func (t *liveTable) silence(rec *storage.Account) silence {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.silenceOf(rec)
}

// silenceOf is silence. Needs mu.
func (t *liveTable) silenceOf(rec *storage.Account) silence {
	checkedAt := nanos(rec.CheckedAt)
	if s := t.silences[rec.Subject]; s.checkedAt == checkedAt {
		return s
	}
	return silence{checkedAt: checkedAt}
}

// forgetSilences makes room: what is over goes first, then any. Needs mu.
func (t *liveTable) forgetSilences(now int64) {
	for subject, s := range t.silences {
		if s.retryAt <= now {
			delete(t.silences, subject)
		}
	}
	for subject := range t.silences {
		if len(t.silences) < maxSilences {
			return
		}
		delete(t.silences, subject)
	}
}

// observe makes requests go by a silence.
func (a *liveAccount) observe(s silence) {
	a.signIn.Store(s.signIn)
	a.retryAt.Store(s.retryAt)
}

// askLater puts the next question about a person in use off, for a reason that has
// nothing to do with them.
func (t *liveTable) askLater(subject string, until time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if a := t.accounts[subject]; a != nil {
		a.retryAt.Store(until.UnixNano())
	}
}
