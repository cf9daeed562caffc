// SPDX-License-Identifier: Apache-2.0

package bolt

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
	"github.com/caddy-mcp/caddy-mcp-oauth/storage/storagetest"
)

// grantOf creates a grant of a client.
func grantOf(t *testing.T, s *Store, now time.Time, client, id string) {
	t.Helper()
	g := storagetest.NewGrant(issuer, id, now)
	g.ClientID = client
	if err := s.CreateGrant(t.Context(), g); err != nil {
		t.Fatal(err)
	}
}

// listed puts a grant on the list of a client behind the store's back.
func listed(t *testing.T, s *Store, client, grant string) {
	t.Helper()
	owner, k := keyOf(issuer, client), keyOf(issuer, grant)
	overwrite(t, s, grantsOfClient.bucket, append(owner[:], k[:]...), nil)
}

func wantNamed(t *testing.T, s *Store, client string, want ...string) {
	t.Helper()
	named, err := s.DeleteClient(t.Context(), issuer, client)
	slices.Sort(named)
	if err != nil || !slices.Equal(named, want) {
		t.Errorf("deleting %s named %q, %v, want %q", client, named, err, want)
	}
}

// The list says one thing and the record another. The record counts: nobody's
// grant goes because a list is wrong, and the wrong entry does not stay.
func TestDeletingAClientBelievesTheRecord(t *testing.T) {
	t.Parallel()
	s, clock := open(t, tempPath(t))
	grantOf(t, s, clock.Now(), "ours", "of ours")
	grantOf(t, s, clock.Now(), "theirs", "of theirs")
	listed(t, s, "ours", "of theirs")
	listed(t, s, "ours", "of nobody")
	wantNamed(t, s, "ours", "of ours")
	if _, err := s.Grant(t.Context(), issuer, "of theirs"); err != nil {
		t.Errorf("another client's grant: %v", err)
	}
	checkFile(t, s)
	wantNamed(t, s, "theirs", "of theirs")
	listed(t, s, "nobody", "of nobody")
	wantNamed(t, s, "nobody")
	if n := count(t, s); n != 0 {
		t.Errorf("%d records and entries are left", n)
	}
}

func TestDeletingAClientPassesEntriesOfAnotherForm(t *testing.T) {
	t.Parallel()
	s, clock := open(t, tempPath(t))
	grantOf(t, s, clock.Now(), "client", "grant")
	owner := keyOf(issuer, "client")
	overwrite(t, s, grantsOfClient.bucket, owner[:], nil)
	overwrite(t, s, grantsOfClient.bucket, append(owner[:], "short"...), nil)
	wantNamed(t, s, "client", "grant")
}

// Who deletes a client means it, whatever state its records are in. What cannot
// be read leaves nothing behind: not on the list, not in the count of unused
// clients, where it would take a place for ever.
func TestDeletingAClientTakesWhatCannotBeRead(t *testing.T) {
	t.Parallel()
	clock := storagetest.NewClock()
	s := openWith(t, tempPath(t), Options{Now: clock.Now, SweepInterval: -1, MaxUnusedClients: 2})
	create := func(id string) error {
		return s.CreateClient(t.Context(), storagetest.NewClient(issuer, id, clock.Now()))
	}
	if err := errors.Join(create("a"), create("b")); err != nil {
		t.Fatal(err)
	}
	grantOf(t, s, clock.Now(), "a", "good")
	grantOf(t, s, clock.Now(), "a", "rotten")
	grantOf(t, s, clock.Now(), "b", "other")
	client, grant := keyOf(issuer, "a"), keyOf(issuer, "rotten")
	overwrite(t, s, clients.bucket, client[:], []byte("\x07"))
	overwrite(t, s, grants.bucket, grant[:], []byte("\x07"))
	if err := create("c"); !errors.Is(err, storage.ErrFull) {
		t.Fatalf("got %v, want %v", err, storage.ErrFull)
	}
	wantNamed(t, s, "a", "good")
	checkFile(t, s)
	if _, err := s.Grant(t.Context(), issuer, "rotten"); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("the rotten grant: %v", err)
	}
	if _, err := s.Grant(t.Context(), issuer, "other"); err != nil {
		t.Errorf("another client's grant: %v", err)
	}
	if err := create("c"); err != nil {
		t.Errorf("there is no room: %v", err)
	}
	if err := create("d"); !errors.Is(err, storage.ErrFull) {
		t.Errorf("got %v, want %v", err, storage.ErrFull)
	}
	checkFile(t, s)
}

func TestDeletingWhatCannotBeReadLeavesNothing(t *testing.T) {
	t.Parallel()
	s, clock := open(t, tempPath(t))
	ctx, now := t.Context(), clock.Now()
	session := storagetest.NewSession(issuer, "cookie", now)
	consent := storagetest.NewConsent(issuer, "decision", "github:1", now)
	other := storagetest.NewConsent(issuer, "decision", "github:2", now)
	other.ID[0]++
	if err := errors.Join(s.CreateSession(ctx, session), s.SaveConsent(ctx, consent), s.SaveConsent(ctx, other)); err != nil {
		t.Fatal(err)
	}
	grantOf(t, s, now, "client", "grant")
	k, sk, ck := keyOf(issuer, "grant"), sessions.key(session), consents.key(consent)
	overwrite(t, s, grants.bucket, k[:], []byte("{}"))
	overwrite(t, s, sessions.bucket, sk[:], nil)
	overwrite(t, s, consents.bucket, ck[:], []byte("\x01{"))
	if _, err := s.Session(ctx, issuer, session.ID); !errors.Is(err, storage.ErrFormat) {
		t.Errorf("session: %v", err)
	}
	if _, err := s.Consent(ctx, issuer, consent.ID); !errors.Is(err, storage.ErrFormat) {
		t.Errorf("consent: %v", err)
	}
	if err := s.TouchSession(ctx, issuer, session.ID, time.Hour); err == nil || outcome(err) {
		t.Errorf("touch: %v", err)
	}
	if err := errors.Join(s.RevokeGrant(ctx, issuer, "grant"), s.DeleteSession(ctx, issuer, session.ID), s.DeleteConsents(ctx, issuer, "github:1")); err != nil {
		t.Error(err)
	}
	checkFile(t, s)
	if n := count(t, s); n != 3 { // the other consent, with its two entries
		t.Errorf("%d records and entries are left, want 3", n)
	}
}

// A used id that cannot be read might be the very one. It is not free.
func TestAnUnreadableUsedIDIsNotFree(t *testing.T) {
	t.Parallel()
	s, _ := open(t, tempPath(t))
	id := storage.Hash{1}
	if err := s.RememberOnce(t.Context(), issuer, id, time.Minute); err != nil {
		t.Fatal(err)
	}
	k := keyOf(issuer, string(id[:]))
	overwrite(t, s, usedIDs.bucket, k[:], []byte("\x07"))
	if err := s.RememberOnce(t.Context(), issuer, id, time.Minute); err == nil || outcome(err) {
		t.Errorf("got %v, want a failure", err)
	}
}

// A client is deleted in one step, out of the many whose grants lie around its.
func TestDeletingAClientIsOneStep(t *testing.T) {
	t.Parallel()
	s, clock := open(t, tempPath(t))
	fill(t, s, clock.Now(), 300, "")
	for i := range 3 {
		grantOf(t, s, clock.Now(), "ours", fmt.Sprint("ours", i))
	}
	if err := s.db.View(func(tx *bbolt.Tx) error {
		if got := len(grantsOfClient.members(tx, keyOf(issuer, "ours"), 0)); got != 3 {
			t.Errorf("%d members, want 3", got)
		}
		if got := len(grantsOfClient.members(tx, keyOf(issuer, "nobody"), 0)); got != 0 {
			t.Errorf("%d members of nobody", got)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	before := transactions(t, s)
	wantNamed(t, s, "ours", "ours0", "ours1", "ours2")
	if n := transactions(t, s) - before; n != 1 {
		t.Errorf("%d transactions, want 1", n)
	}
	checkFile(t, s)
}
