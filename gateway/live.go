// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/caddy-mcp/caddy-mcp-oauth/internal/shardmap"
	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
)

// liveTable is the one place a request looks at: grant id → live grant or
// tombstone. A grant is read from the store the first time it is seen; after
// that the request path takes no lock but the read lock of a cache shard.
//
// Requests hold pointers into the table by way of the token cache, so a change
// of an account or a revocation shows on the next request without a search: the
// grant's state and the account's facts are atomics that the request reads.
type liveTable struct {
	store  storage.Store
	tokens *shardmap.Map[*liveToken]
	fills  singleflight.Group

	mu       sync.Mutex
	grants   map[string]*liveGrant
	accounts map[string]*liveAccount
	gone     *changeLog // revoked or missing grants: the tombstones
	changed  *changeLog // accounts with new facts
	// unsaved are records that the store did not take, by subject, see override.
	unsaved map[string]*storage.Account
	// silences are of people about whom asking proved nothing, by subject.
	silences map[string]silence
}

// Bounds of the table. What is evicted is read again when it is next needed.
const (
	maxLiveTokens  = 200_000
	maxLiveGrants  = 200_000
	maxTombstones  = 65_536
	storeReadLimit = 5 * time.Second
)

type liveGrant struct {
	id, issuer, subject, clientID, resource string
	// forwards: the person agreed to the backend getting their upstream token.
	forwards bool
	account  *liveAccount
	state    atomic.Int32
}

// States of a live grant. Evicted ones are still referred to by cached tokens,
// which must then look the grant up again: a revocation by id could no longer
// reach them.
const (
	grantLive int32 = iota
	grantEvicted
	grantRevoked
)

// errGrantGone: the grant was revoked, expired or never existed.
var errGrantGone = errors.New("grant is gone")

func newLiveTable(store storage.Store, now func() time.Time) *liveTable {
	t := &liveTable{
		store:    store,
		tokens:   shardmap.New[*liveToken](maxLiveTokens),
		grants:   map[string]*liveGrant{},
		accounts: map[string]*liveAccount{},
		gone:     newChangeLog(maxTombstones),
		changed:  newChangeLog(maxTombstones),
		unsaved:  map[string]*storage.Account{},
		silences: map[string]silence{},
	}
	// Clients get a token an hour, and hardly any comes back once it is over.
	t.tokens.DropWhen(func(tok *liveToken) bool { return !now().Before(tok.expiresAt) })
	return t
}

// grant returns the live grant, errGrantGone, or the store's error.
func (t *liveTable) grant(ctx context.Context, issuer, id string) (*liveGrant, error) {
	if g, err := t.known(issuer, id); g != nil || err != nil {
		return g, err
	}
	v, err, _ := t.fills.Do(issuer+" "+id, func() (any, error) {
		// Not the caller's context: others wait for this read, and the first
		// one hanging up must not fail them.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeReadLimit)
		defer cancel()
		return t.fill(ctx, issuer, id)
	})
	if err != nil {
		return nil, err
	}
	return v.(*liveGrant), nil
}

func (t *liveTable) known(issuer, id string) (*liveGrant, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if g := t.grants[id]; g != nil {
		if g.issuer != issuer {
			return nil, errGrantGone
		}
		return g, nil
	}
	if t.gone.has(id) {
		return nil, errGrantGone
	}
	return nil, nil
}

// fill reads a grant and its account. What was read counts only if neither
// changed meanwhile; otherwise it is read again.
func (t *liveTable) fill(ctx context.Context, issuer, id string) (*liveGrant, error) {
	for {
		t.mu.Lock()
		gone, changed := t.gone.mark(), t.changed.mark()
		t.mu.Unlock()

		g, err := t.store.Grant(ctx, issuer, id)
		if errors.Is(err, storage.ErrNotFound) || err == nil && !g.Live() {
			t.revoke(id)
			return nil, errGrantGone
		}
		if err != nil {
			return nil, err
		}
		a, err := t.store.Account(ctx, g.Subject)
		switch {
		case errors.Is(err, storage.ErrNotFound):
			a = &storage.Account{Subject: g.Subject, Identity: g.Identity, CheckedAt: g.CreatedAt}
		case err != nil:
			return nil, err
		}
		if live, ok, err := t.insert(g, a, gone, changed); ok || err != nil {
			return live, err
		}
	}
}

func (t *liveTable) insert(g *storage.Grant, a *storage.Account, gone, changed uint64) (*liveGrant, bool, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.gone.has(g.ID) {
		return nil, false, errGrantGone
	}
	if t.gone.lost(gone) || t.changed.lost(changed) || t.changed.since(g.Subject, changed) {
		return nil, false, nil
	}
	if live := t.grants[g.ID]; live != nil {
		return live, true, nil
	}
	if len(t.grants) >= maxLiveGrants {
		t.evictSome()
	}
	if rec := t.unsaved[g.Subject]; rec != nil && rec.Revision >= a.Revision {
		a = rec
	}
	acct := t.accounts[g.Subject]
	switch {
	case acct == nil:
		acct = &liveAccount{subject: g.Subject}
		acct.set(a)
		acct.observe(t.silenceOf(a))
		t.accounts[g.Subject] = acct
	case a.Revision > acct.revision: // another gateway knows more
		acct.set(a)
	}
	acct.grants++
	live := &liveGrant{
		id: g.ID, issuer: g.Issuer, subject: g.Subject, clientID: g.ClientID,
		resource: g.Resource, forwards: g.ForwardsToken, account: acct,
	}
	t.grants[g.ID] = live
	return live, true, nil
}

// evictSome makes room by dropping about one percent, whichever the map yields
// first: an evicted grant costs one read when it is needed again.
func (t *liveTable) evictSome() {
	n := 0
	for _, g := range t.grants {
		t.drop(g, grantEvicted)
		if n++; n >= maxLiveGrants/100 {
			return
		}
	}
}

// drop removes a grant and, with the last grant, its account. Needs mu.
func (t *liveTable) drop(g *liveGrant, state int32) {
	g.state.Store(state)
	delete(t.grants, g.id)
	if g.account.grants--; g.account.grants == 0 {
		delete(t.accounts, g.subject)
	}
}

// revoke leaves a tombstone and ends the grant for every request after this one.
func (t *liveTable) revoke(id string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.gone.note(id)
	if g := t.grants[id]; g != nil {
		t.drop(g, grantRevoked)
	}
}

// doubt makes the next request read the grant again: what the store has of it is
// not known for sure.
func (t *liveTable) doubt(id string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if g := t.grants[id]; g != nil {
		t.drop(g, grantEvicted)
	}
}

// isGone reports whether a tombstone stands for the grant.
func (t *liveTable) isGone(id string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.gone.has(id)
}
