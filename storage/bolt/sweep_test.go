// SPDX-License-Identifier: Apache-2.0

package bolt

import (
	"context"
	"errors"
	"fmt"
	"math/rand"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"go.etcd.io/bbolt"

	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
	"github.com/caddy-mcp/caddy-mcp-oauth/storage/storagetest"
)

func TestSweepDeletesWhatExpiredAndNothingElse(t *testing.T) {
	t.Parallel()
	s, clock := open(t, tempPath(t))
	start := clock.Now()
	fill(t, s, start, 20, "old")
	clock.Advance(30 * time.Second)
	fill(t, s, clock.Now(), 20, "new")
	steps := []struct {
		name string
		at   time.Duration
		want int // records of the old ones and the new ones that go
	}{
		{"nothing has expired", 59 * time.Second, 0},
		{"the old codes", time.Minute, 20},
		{"the new codes", 90 * time.Second, 20},
		{"the old requests", 10 * time.Minute, 20},
		{"the new requests and the old clients", 24 * time.Hour, 40},
		{"the new clients", 25 * time.Hour, 20},
		{"nothing is left", 26 * time.Hour, 0},
	}
	for _, step := range steps {
		clock.Advance(start.Add(step.at).Sub(clock.Now()))
		got, err := s.Sweep(t.Context())
		if err != nil || got != step.want {
			t.Errorf("%s: swept %d, %v, want %d", step.name, got, err, step.want)
		}
		checkFile(t, s)
	}
	if n := count(t, s); n != 0 {
		t.Errorf("%d records and index entries are left", n)
	}
}

func TestSweepSparesWhatWasExtendedOrKept(t *testing.T) {
	t.Parallel()
	s, clock := open(t, tempPath(t))
	fill(t, s, clock.Now(), 1, "")
	const id = "0aa"
	if err := s.KeepClient(t.Context(), issuer, id); err != nil {
		t.Fatal(err)
	}
	if _, err := s.RedeemCode(t.Context(), issuer, id, storagetest.NewRedemption(id)); err != nil {
		t.Fatal(err)
	}
	clock.Advance(48 * time.Hour)
	if n, err := s.Sweep(t.Context()); n != 1 || err != nil { // the pending request
		t.Errorf("swept %d, %v, want 1", n, err)
	}
	if _, err := s.Grant(t.Context(), issuer, id); err != nil {
		t.Errorf("the redeemed grant: %v", err)
	}
	if _, err := s.Client(t.Context(), issuer, id); err != nil {
		t.Errorf("the kept client: %v", err)
	}
	clock.Advance(100 * 24 * time.Hour)
	if n, err := s.Sweep(t.Context()); n != 1 || err != nil {
		t.Errorf("swept %d, %v, want the grant", n, err)
	}
	checkFile(t, s)
}

func TestSweepOfSessionsConsentsAndUsedIDs(t *testing.T) {
	t.Parallel()
	s, clock := open(t, tempPath(t))
	ctx, start := t.Context(), clock.Now()
	idle, short := storagetest.NewSession(issuer, "idle", start), storagetest.NewSession(issuer, "short", start)
	short.IdleAt, short.ExpiresAt = start.Add(100*time.Hour), start.Add(2*time.Hour) // ends at its absolute end
	touched := storagetest.NewSession(issuer, "touched", start)
	err := errors.Join(
		s.CreateSession(ctx, idle), s.CreateSession(ctx, short), s.CreateSession(ctx, touched),
		s.TouchSession(ctx, issuer, touched.ID, 3*time.Hour),
		s.RememberOnce(ctx, issuer, storage.Hash{1}, 10*time.Minute),
		s.SaveConsent(ctx, storagetest.NewConsent(issuer, "one", "github:1", start)),
	)
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		name string
		at   time.Duration
		want int
	}{
		{"nothing has expired", 10*time.Minute - 1, 0},
		{"the used id", 10 * time.Minute, 1},
		{"the idle session", time.Hour, 1},
		{"the session with a short life", 2 * time.Hour, 1},
		{"the touched one is spared", 3*time.Hour - 1, 0},
		{"the touched one", 3 * time.Hour, 1},
		{"the consent is spared", 30*24*time.Hour - 1, 0},
		{"the consent", 30 * 24 * time.Hour, 1},
	} {
		clock.Advance(start.Add(step.at).Sub(clock.Now()))
		if got, err := s.Sweep(ctx); err != nil || got != step.want {
			t.Errorf("%s: swept %d, %v, want %d", step.name, got, err, step.want)
		}
		checkFile(t, s)
	}
	if n := count(t, s); n != 0 {
		t.Errorf("%d records and entries are left", n)
	}
}

// A flood left many records. Cleaning up after it must not hold up a sign-in:
// no transaction of the sweeper is large, and others get their turn between.
func TestSweepIsDoneInSmallSteps(t *testing.T) {
	t.Parallel()
	s, clock := open(t, tempPath(t))
	n := 3*sweepStep + 7
	fill(t, s, clock.Now(), n, "")
	clock.Advance(48 * time.Hour)
	before := transactions(t, s)
	got, err := s.Sweep(t.Context())
	if err != nil || got != 3*n {
		t.Fatalf("swept %d, %v, want %d", got, err, 3*n)
	}
	if got := transactions(t, s) - before; got != 12 {
		t.Errorf("%d transactions for three tables of %d records, want 4 each", got, n)
	}
	checkFile(t, s)
}

// The file does not grow with the number of sign-ins ever made.
func TestFileReusesSweptSpace(t *testing.T) {
	t.Parallel()
	path := tempPath(t)
	s, clock := open(t, path)
	size := func() int64 {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		return info.Size()
	}
	var after []int64
	for round := range 6 {
		fill(t, s, clock.Now(), 200, fmt.Sprint("round", round))
		clock.Advance(48 * time.Hour)
		if _, err := s.Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
		after = append(after, size())
	}
	if after[5] > after[1]*3/2 { // six times as much without
		t.Errorf("the file grows: %v", after)
	}
}

// A version downgrade finds a record it cannot read. It is not ours to delete,
// it must not keep the rest from being swept, and the log should know.
func TestSweepPassesWhatItCannotRead(t *testing.T) {
	t.Parallel()
	s, clock := open(t, tempPath(t))
	fill(t, s, clock.Now(), 10, "")
	k := keyOf(issuer, "3aa")
	overwrite(t, s, grants.bucket, k[:], []byte("\x07of the future"))
	clock.Advance(48 * time.Hour)
	got, err := s.Sweep(t.Context())
	if !errors.Is(err, storage.ErrFormat) || got != 29 {
		t.Errorf("swept %d, %v, want 29 and %v", got, err, storage.ErrFormat)
	}
	if _, err := s.Grant(t.Context(), issuer, "3aa"); !errors.Is(err, storage.ErrFormat) {
		t.Errorf("got error %v, want %v: unreadable is not the same as not found", err, storage.ErrFormat)
	}
	// Who revokes it means it.
	if err := s.RevokeGrant(t.Context(), issuer, "3aa"); err != nil {
		t.Errorf("revoke: %v", err)
	}
	if n, err := s.Sweep(t.Context()); n != 0 || err != nil {
		t.Errorf("swept %d, %v", n, err)
	}
	if n := count(t, s); n != 0 {
		t.Errorf("%d records and index entries are left", n)
	}
}

// The index says a record is due and the record says otherwise. The record
// counts: a sign-in must not be lost to a wrong index.
func TestSweepBelievesTheRecord(t *testing.T) {
	t.Parallel()
	s, clock := open(t, tempPath(t))
	fill(t, s, clock.Now(), 1, "")
	k := keyOf(issuer, "0aa")
	overwrite(t, s, grants.indexes[0].bucket, entryOf(clock.Now().Add(-time.Hour), k), nil)
	if n, err := s.Sweep(t.Context()); n != 0 || err != nil {
		t.Errorf("swept %d, %v", n, err)
	}
	if _, err := s.Grant(t.Context(), issuer, "0aa"); err != nil {
		t.Error(err)
	}
}

// overwrite puts a value behind the store's back.
func overwrite(t *testing.T, s *Store, bucket, k, value []byte) {
	t.Helper()
	if err := s.db.Update(func(tx *bbolt.Tx) error { return tx.Bucket(bucket).Put(k, value) }); err != nil {
		t.Fatal(err)
	}
}

func TestBackgroundSweep(t *testing.T) {
	t.Parallel()
	path := tempPath(t)
	synctest.Test(t, func(t *testing.T) {
		s := openWith(t, path, Options{SweepInterval: 10 * time.Second})
		fill(t, s, time.Now(), 5, "")
		for _, step := range []struct {
			after time.Duration
			want  int
		}{{55 * time.Second, 5 * (3 + 2 + 4)}, {10 * time.Second, 5 * (3 + 2)}, {10 * time.Minute, 5 * 3}, {24 * time.Hour, 0}} {
			time.Sleep(step.after)
			synctest.Wait()
			if got := count(t, s); got != step.want {
				t.Errorf("after %v: %d records and index entries, want %d", step.after, got, step.want)
			}
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
}

// A server that is restarted more often than the interval cleans up all the same.
func TestSweepAtStart(t *testing.T) {
	t.Parallel()
	path := tempPath(t)
	s, clock := open(t, path)
	fill(t, s, clock.Now(), 5, "")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	clock.Advance(48 * time.Hour)
	synctest.Test(t, func(t *testing.T) {
		s := openWith(t, path, Options{Now: clock.Now, SweepInterval: time.Hour})
		synctest.Wait()
		if n := count(t, s); n != 0 {
			t.Errorf("%d records and index entries are left", n)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
}

func TestSweepStopsWhenAskedTo(t *testing.T) {
	t.Parallel()
	s, clock := open(t, tempPath(t))
	fill(t, s, clock.Now(), 1, "")
	clock.Advance(48 * time.Hour)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Sweep(t.Context()); !errors.Is(err, storage.ErrClosed) {
		t.Errorf("after Close: got error %v, want %v", err, storage.ErrClosed)
	}
}

// Whatever the verbs do in whatever order, indexes and records stay in step.
func TestIndexesFollowRecords(t *testing.T) {
	t.Parallel()
	clock := storagetest.NewClock()
	s := openWith(t, tempPath(t), Options{Now: clock.Now, SweepInterval: -1, MaxUnusedClients: 4})
	rnd := rand.New(rand.NewSource(1)) //nolint:gosec // a reproducible walk
	ctx := t.Context()
	verbs := append(walkSignIns(ctx, s, clock, rnd), walkBrowsers(ctx, s, clock, rnd)...)
	seen := map[error]int{}
	for step := range 2500 {
		err := verbs[rnd.Intn(len(verbs))](fmt.Sprint(rnd.Intn(10)))
		if err != nil && !outcome(err) {
			t.Fatalf("step %d: %v", step, err)
		}
		seen[err]++
		if step%25 == 0 {
			checkFile(t, s)
		}
	}
	checkFile(t, s)
	for _, want := range []error{nil, storage.ErrNotFound, storage.ErrExists, storage.ErrReplay, storage.ErrReuse, storage.ErrFull} {
		if seen[want] == 0 {
			t.Errorf("the walk never met %v", want)
		}
	}
}

// walkSignIns are the steps of clients and grants, of the sweeper and the clock.
func walkSignIns(ctx context.Context, s *Store, clock *storagetest.Clock, rnd *rand.Rand) []func(id string) error {
	return []func(id string) error{
		func(id string) error { return s.CreateClient(ctx, storagetest.NewClient(issuer, id, clock.Now())) },
		func(id string) error { return s.KeepClient(ctx, issuer, id) },
		func(id string) error { return s.CreatePending(ctx, storagetest.NewPending(issuer, id, clock.Now())) },
		func(id string) error {
			_, err := s.TakePending(ctx, issuer, storagetest.NewPending(issuer, id, clock.Now()).ID)
			return err
		},
		func(id string) error { return s.CreateGrant(ctx, storagetest.NewGrant(issuer, id, clock.Now())) },
		func(id string) error {
			_, err := s.RedeemCode(ctx, issuer, id, storagetest.NewRedemption(id))
			return err
		},
		func(id string) error {
			presented := storagetest.NewRedemption(id).Refresh
			_, err := s.RotateRefresh(ctx, issuer, id, storage.Rotation{Presented: presented, Successor: storage.Hash{byte(rnd.Intn(3))}, TTL: time.Hour})
			return err
		},
		func(id string) error { return s.RevokeGrant(ctx, issuer, id) },
		func(id string) error {
			if rnd.Intn(4) > 0 { // or there would never be much to delete
				return nil
			}
			_, err := s.DeleteClient(ctx, issuer, id)
			return err
		},
		func(id string) error { // of one of the clients above
			g := storagetest.NewGrant(issuer, fmt.Sprint(rnd.Intn(10)), clock.Now())
			g.ClientID = id
			return s.CreateGrant(ctx, g)
		},
		func(string) error { _, err := s.Sweep(ctx); return err },
		func(string) error { clock.Advance(time.Duration(rnd.Intn(20)-5) * time.Second); return nil },
		func(string) error {
			if rnd.Intn(8) == 0 {
				clock.Advance(time.Duration(rnd.Intn(20)) * time.Hour)
			}
			return nil
		},
	}
}

// walkBrowsers are the steps of used ids, sessions and consents.
func walkBrowsers(ctx context.Context, s *Store, clock *storagetest.Clock, rnd *rand.Rand) []func(id string) error {
	return []func(id string) error{
		func(id string) error { return s.RememberOnce(ctx, issuer, storage.Hash{id[0]}, time.Minute) },
		func(id string) error { return s.CreateSession(ctx, storagetest.NewSession(issuer, id, clock.Now())) },
		func(id string) error {
			session := storagetest.NewSession(issuer, id, clock.Now()).ID
			return s.TouchSession(ctx, issuer, session, time.Duration(rnd.Intn(12))*time.Hour)
		},
		func(id string) error {
			return s.DeleteSession(ctx, issuer, storagetest.NewSession(issuer, id, clock.Now()).ID)
		},
		func(id string) error {
			return s.SaveConsent(ctx, storagetest.NewConsent(issuer, id, fmt.Sprint(rnd.Intn(3)), clock.Now()))
		},
		func(string) error {
			if rnd.Intn(4) > 0 {
				return nil
			}
			return s.DeleteConsents(ctx, issuer, fmt.Sprint(rnd.Intn(3)))
		},
	}
}
