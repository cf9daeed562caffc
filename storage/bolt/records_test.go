// SPDX-License-Identifier: Apache-2.0

package bolt

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
	"github.com/caddy-mcp/caddy-mcp-oauth/storage/storagetest"
)

// stored returns the bytes of a record in the file.
func stored(t *testing.T, s *Store, bucket []byte, k key) []byte {
	t.Helper()
	var raw []byte
	if err := s.db.View(func(tx *bbolt.Tx) error {
		raw = bytes.Clone(tx.Bucket(bucket).Get(k[:]))
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return raw
}

// Every verb that rewrites a record keeps what a newer version wrote into it,
// and a record that begins anew under the same id inherits nothing.
func TestFieldsOfANewerVersionAreKept(t *testing.T) {
	t.Parallel()
	s, clock := open(t, tempPath(t))
	fill(t, s, clock.Now(), 1, "")
	const id = "0aa"
	ctx := t.Context()
	session, consent := storagetest.NewSession(issuer, id, clock.Now()), storagetest.NewConsent(issuer, id, "github:1", clock.Now())
	if err := errors.Join(s.SaveAccount(ctx, &storage.Account{Subject: id}), s.CreateSession(ctx, session), s.SaveConsent(ctx, consent)); err != nil {
		t.Fatal(err)
	}
	places := map[string]struct {
		bucket []byte
		k      key
	}{
		"client": {clients.bucket, keyOf(issuer, id)}, "grant": {grants.bucket, keyOf(issuer, id)}, "account": {accounts.bucket, keyOf(id)},
		"session": {sessions.bucket, sessions.key(session)}, "consent": {consents.bucket, consents.key(consent)},
	}
	future := []byte(`"future":{"of":"a newer version"}`)
	for _, place := range places {
		raw := stored(t, s, place.bucket, place.k)
		overwrite(t, s, place.bucket, place.k[:], append(append(raw[:len(raw)-1:len(raw)-1], ','), append(future, '}')...))
	}
	redemption := storagetest.NewRedemption(id)
	_, redeemErr := s.RedeemCode(ctx, issuer, id, redemption)
	_, rotateErr := s.RotateRefresh(ctx, issuer, id, storage.Rotation{Presented: redemption.Refresh, Successor: storage.Hash{1}, TTL: time.Hour})
	if err := errors.Join(
		redeemErr, rotateErr, s.KeepClient(ctx, issuer, id), s.SaveAccount(ctx, &storage.Account{Subject: id, CheckedAt: clock.Now()}),
		s.TouchSession(ctx, issuer, session.ID, 2*time.Hour), s.SaveConsent(ctx, consent),
	); err != nil {
		t.Fatal(err)
	}
	for name, place := range places {
		if raw := stored(t, s, place.bucket, place.k); !bytes.Contains(raw, future) {
			t.Errorf("%s lost the field: %s", name, raw)
		}
	}
	clock.Advance(2 * time.Hour)
	if err := s.CreateGrant(ctx, storagetest.NewGrant(issuer, id, clock.Now())); err != nil {
		t.Fatal(err)
	}
	if raw := stored(t, s, grants.bucket, keyOf(issuer, id)); bytes.Contains(raw, future) {
		t.Errorf("a new grant inherited from an expired one: %s", raw)
	}
	checkFile(t, s)
}

// A record is there up to its end and not at it.
func TestTheLastInstant(t *testing.T) {
	t.Parallel()
	s, clock := open(t, tempPath(t))
	fill(t, s, clock.Now(), 1, "")
	clock.Advance(time.Minute - time.Nanosecond)
	if _, err := s.Grant(t.Context(), issuer, "0aa"); err != nil {
		t.Error(err)
	}
	if n, err := s.Sweep(t.Context()); n != 0 || err != nil {
		t.Errorf("swept %d, %v", n, err)
	}
	clock.Advance(time.Nanosecond)
	if _, err := s.Grant(t.Context(), issuer, "0aa"); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("got error %v", err)
	}
	if n, err := s.Sweep(t.Context()); n != 1 || err != nil {
		t.Errorf("swept %d, %v", n, err)
	}
}

// The file of a lowered limit comes down to it with the first registration.
func TestALoweredLimit(t *testing.T) {
	t.Parallel()
	path := tempPath(t)
	s, clock := open(t, path)
	fill(t, s, clock.Now(), 20, "")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	clock.Advance(time.Hour)
	s = openWith(t, path, Options{Now: clock.Now, SweepInterval: -1, MaxUnusedClients: 3})
	if err := s.CreateClient(t.Context(), storagetest.NewClient(issuer, "new", clock.Now())); err != nil {
		t.Fatal(err)
	}
	checkFile(t, s)
	if err := s.db.View(func(tx *bbolt.Tx) error {
		if n := clientsByAge.size(tx); n != 3 {
			t.Errorf("%d clients, want 3", n)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}

// No secret and no id of a user may show in an error: they end up in logs.
func TestErrorsNameTheStepAndNothingElse(t *testing.T) {
	t.Parallel()
	s, clock := open(t, tempPath(t))
	fill(t, s, clock.Now(), 1, "")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := s.RotateRefresh(ctx, issuer, "0aa", storage.Rotation{})
	if got, want := err.Error(), "rotate refresh token: context canceled"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	_, err = s.Grant(t.Context(), issuer, "0aa")
	if got, want := err.Error(), "read grant: storage: closed"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
