// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-mcp/caddy-mcp-oauth/identity"
	"github.com/caddy-mcp/caddy-mcp-oauth/policy"
	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
	"github.com/caddy-mcp/caddy-mcp-oauth/token"
)

// scriptedStore answers reads of grants and accounts as told, and can be held
// inside of one. Every other verb panics.
type scriptedStore struct {
	mu       sync.Mutex
	grants   map[string]*storage.Grant
	accounts map[string]identity.Identity
	reads    int
	keyShelf
	// after runs when a grant was read and before the caller has it.
	after func()
	// afterAccount is the same for accounts.
	afterAccount func()
}

const testIssuer = "https://mcp.example.com"

func newScriptedStore() *scriptedStore {
	return &scriptedStore{grants: map[string]*storage.Grant{}, accounts: map[string]identity.Identity{}}
}

func person(id string, groups ...string) identity.Identity {
	return identity.Identity{Upstream: "github", Kind: identity.KindGitHub, ID: id, Login: "user" + id, Groups: groups}
}

// add stores a redeemed grant and its account.
func (s *scriptedStore) add(grantID string, p identity.Identity) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.grants[grantID] = &storage.Grant{
		Issuer: testIssuer, ID: grantID, Subject: p.Subject(), ClientID: "c", Resource: testIssuer + "/mcp",
		Identity: p, Code: storage.Code{RedeemedAt: time.Unix(1, 0)},
	}
	s.accounts[p.Subject()] = p
}

func (s *scriptedStore) RevokeGrant(_ context.Context, _, id string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.grants, id)
	return nil
}

func (s *scriptedStore) SaveAccount(_ context.Context, a *storage.Account) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.accounts[a.Subject] = a.Identity
	return nil
}

func (s *scriptedStore) GrantsOf(_ context.Context, subject string) ([]*storage.Grant, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []*storage.Grant
	for _, g := range s.grants {
		if g.Subject == subject {
			clone := *g
			list = append(list, &clone)
		}
	}
	return list, nil
}

func (s *scriptedStore) Grant(_ context.Context, issuer, id string) (*storage.Grant, error) {
	s.mu.Lock()
	s.reads++
	g := s.grants[id]
	hook := s.after
	s.mu.Unlock()
	if hook != nil {
		hook()
	}
	if g == nil || g.Issuer != issuer {
		return nil, storage.ErrNotFound
	}
	clone := *g
	return &clone, nil
}

func (s *scriptedStore) Account(_ context.Context, subject string) (*storage.Account, error) {
	s.mu.Lock()
	p, ok := s.accounts[subject]
	hook := s.afterAccount
	s.mu.Unlock()
	if hook != nil {
		hook()
	}
	if !ok {
		return nil, storage.ErrNotFound
	}
	return &storage.Account{Subject: subject, Identity: p}, nil
}

func (s *scriptedStore) Close() error { return nil }

func newTestState(store storage.Store) *State {
	return NewState(Options{Store: store, Ring: token.NewRing(token.Key{1})})
}

func testPolicy(t testing.TB, rules ...string) *policy.Policy {
	t.Helper()
	parsed := make([]policy.Rule, 0, len(rules))
	for _, s := range rules {
		r, err := policy.ParseRule(s)
		if err != nil {
			t.Fatal(err)
		}
		parsed = append(parsed, r)
	}
	p, err := policy.New(parsed, []policy.Ref{{Name: "github", Kind: identity.KindGitHub}})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// The attack: the grant is revoked between the read of the store and the entry in
// the table. What was read says "live", and must not be believed.
func TestFillRacingWithRevocation(t *testing.T) {
	t.Parallel()
	store := newScriptedStore()
	store.add("g", person("1"))
	st := newTestState(store)
	store.after = func() {
		store.after = nil
		if err := st.revokeGrant(t.Context(), testIssuer, "g"); err != nil {
			t.Error(err)
		}
	}
	if g, err := st.live.grant(t.Context(), testIssuer, "g"); !errors.Is(err, errGrantGone) {
		t.Errorf("got %v, %v", g, err)
	}
	if len(st.live.grants) != 0 || len(st.live.accounts) != 0 {
		t.Error("an entry stayed behind")
	}
}

// The same, with so many other revocations meanwhile that the tombstone is gone
// again: the fill must notice that it lost track, and read again.
func TestFillRacingWithMoreRevocationsThanAreRemembered(t *testing.T) {
	t.Parallel()
	store := newScriptedStore()
	store.add("g", person("1"))
	st := newTestState(store)
	st.live.gone = newChangeLog(8)
	store.after = func() {
		store.after = nil
		if err := st.revokeGrant(t.Context(), testIssuer, "g"); err != nil {
			t.Error(err)
		}
		for i := range 8 {
			st.forgetGrant(fmt.Sprint("other", i))
		}
	}
	if _, err := st.live.grant(t.Context(), testIssuer, "g"); !errors.Is(err, errGrantGone) || store.reads != 2 {
		t.Errorf("%v after %d reads", err, store.reads)
	}
}

// Facts that change while the old ones are on their way must win.
func TestFillRacingWithAccountUpdate(t *testing.T) {
	t.Parallel()
	for _, accountUpdates := range []int{1, 20} { // within and beyond what is remembered
		store := newScriptedStore()
		store.add("g", person("1", "acme"))
		st := newTestState(store)
		st.live.changed = newChangeLog(8)
		store.afterAccount = func() {
			store.afterAccount = nil
			if err := st.saveAccount(t.Context(), nil, person("1"), nil); err != nil {
				t.Error(err)
			}
			for i := range accountUpdates - 1 {
				st.live.show(&storage.Account{Subject: fmt.Sprint("github:other", i)})
			}
		}
		g, err := st.live.grant(t.Context(), testIssuer, "g")
		if err != nil {
			t.Fatal(err)
		}
		if facts := g.account.facts.Load(); len(facts.Groups) != 0 || store.reads != 2 {
			t.Errorf("%d updates: groups %v after %d reads", accountUpdates, facts.Groups, store.reads)
		}
	}
}

// A second grant of the same person joins the facts that are there, which are the
// newest known, and not those it read.
func TestSecondGrantSharesTheAccount(t *testing.T) {
	t.Parallel()
	store := newScriptedStore()
	store.add("g1", person("1", "acme"))
	store.add("g2", person("1", "acme"))
	st := newTestState(store)
	g1, err1 := st.live.grant(t.Context(), testIssuer, "g1")
	fresh := person("1", "new")
	st.live.showSaved(&storage.Account{Subject: fresh.Subject(), Identity: fresh, Revision: 2})
	g2, err2 := st.live.grant(t.Context(), testIssuer, "g2")
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	if g1.account != g2.account || g2.account.facts.Load().Groups[0] != "new" {
		t.Error("two accounts for one person")
	}
	st.live.revoke("g1")
	if st.live.accounts[fresh.Subject()] == nil {
		t.Error("the account went with the first grant")
	}
	st.live.revoke("g2")
	if len(st.live.accounts) != 0 {
		t.Error("the account stayed without a grant")
	}
}

// The attack: a grant falls out of the table because there are too many, then it
// is revoked. The token cache still points at the old entry.
func TestEvictionThenRevocation(t *testing.T) {
	t.Parallel()
	store := newScriptedStore()
	p := person("1")
	store.add("g", p)
	st := newTestState(store)
	raw := sealFor(t, st, "g", p)
	tok, err := st.verify(t.Context(), raw, testIssuer, testIssuer+"/mcp", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	evictAll(st)
	if again, err := st.verify(t.Context(), raw, testIssuer, testIssuer+"/mcp", time.Now()); err != nil || again.grant == tok.grant {
		t.Fatalf("evicted grant was not read again: %v", err)
	}
	evictAll(st)
	if err := st.revokeGrant(t.Context(), testIssuer, "g"); err != nil {
		t.Fatal(err)
	}
	if _, err := st.verify(t.Context(), raw, testIssuer, testIssuer+"/mcp", time.Now()); !errors.Is(err, errTokenRevoked) {
		t.Errorf("evicted and revoked: %v", err)
	}
	if store.reads != 2 {
		t.Errorf("%d reads", store.reads)
	}
}

// Two places look for a revocation; each must find it alone.
func TestVerifyRefusesARevokedGrant(t *testing.T) {
	t.Parallel()
	store := newScriptedStore()
	p := person("1")
	store.add("g", p)
	st := newTestState(store)
	raw := sealFor(t, st, "g", p)
	if _, err := st.verify(t.Context(), raw, testIssuer, testIssuer+"/mcp", time.Now()); err != nil {
		t.Fatal(err)
	}
	st.forgetGrant("g")
	if _, err := st.verify(t.Context(), raw, testIssuer, testIssuer+"/mcp", time.Now()); !errors.Is(err, errTokenRevoked) {
		t.Errorf("revoked: %v", err)
	}
}

// evictAll does to every grant what a full table does to some.
func evictAll(st *State) {
	st.live.mu.Lock()
	defer st.live.mu.Unlock()
	st.live.evictSome()
}

func sealFor(t testing.TB, st *State, grantID string, p identity.Identity) string {
	t.Helper()
	raw, err := st.ring.Load().SealAccess(token.Access{
		Issuer: testIssuer, GrantID: grantID, Subject: p.Subject(), ClientID: "c", Resource: testIssuer + "/mcp",
		Scopes: []string{"mcp"}, ExpiresAt: time.Now().Add(time.Hour),
	})
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// Full tables shrink by a little and stay consistent.
func TestTableIsBounded(t *testing.T) {
	t.Parallel()
	st := newTestState(newScriptedStore())
	g := &storage.Grant{Issuer: testIssuer, Resource: "r"}
	for i := range maxLiveGrants + 10 {
		g.ID, g.Subject = fmt.Sprint("g", i), fmt.Sprint("s", i%1000)
		if _, ok, err := st.live.insert(g, &storage.Account{}, 0, 0); !ok || err != nil {
			t.Fatalf("insert %d: %v %v", i, ok, err)
		}
	}
	if n := len(st.live.grants); n > maxLiveGrants || n < maxLiveGrants*98/100 {
		t.Errorf("%d grants", n)
	}
	total := 0
	for _, a := range st.live.accounts {
		total += a.grants
	}
	if total != len(st.live.grants) {
		t.Errorf("accounts count %d grants of %d", total, len(st.live.grants))
	}
}

// A grant is not found under another issuer, known or not.
func TestGrantBelongsToItsIssuer(t *testing.T) {
	t.Parallel()
	store := newScriptedStore()
	store.add("g", person("1"))
	st := newTestState(store)
	if _, err := st.live.grant(t.Context(), testIssuer, "g"); err != nil {
		t.Fatal(err)
	}
	if _, err := st.live.grant(t.Context(), "https://evil.example", "g"); !errors.Is(err, errGrantGone) {
		t.Errorf("known grant, other issuer: %v", err)
	}
	if _, err := st.live.grant(t.Context(), testIssuer, "g"); err != nil {
		t.Errorf("the question of another issuer hurt the grant: %v", err)
	}
}

// hungStore answers when its context ends, as a store behind a dead network does.
type hungStore struct{ storage.Store }

func (hungStore) Grant(ctx context.Context, _, _ string) (*storage.Grant, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

// A store that hangs costs a request five seconds, not for ever.
func TestStoreReadIsBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		st, start := newTestState(hungStore{}), time.Now()
		_, err := st.live.grant(t.Context(), testIssuer, "g")
		if took := time.Since(start); err == nil || errors.Is(err, errGrantGone) || took != storeReadLimit {
			t.Errorf("%v after %v", err, took)
		}
	})
}

// A failing store leaves no tombstone: the next request may succeed.
func TestStoreErrorIsNotRemembered(t *testing.T) {
	t.Parallel()
	st := newTestState(hungStore{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := st.live.fill(ctx, testIssuer, "g"); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	if st.live.isGone("g") {
		t.Error("an unreachable store left a tombstone")
	}
}
