// SPDX-License-Identifier: Apache-2.0

package bolt

import (
	"bytes"
	"errors"
	"fmt"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
	"github.com/caddy-mcp/caddy-mcp-oauth/storage/storagetest"
)

func TestLateBy(t *testing.T) {
	t.Parallel()
	times := []time.Time{
		{},
		time.Unix(-1<<40, 0), time.Unix(-1, 999_999_999), time.Unix(0, 0), time.Unix(0, 1), time.Unix(86_399, 999_999_999),
		time.Unix(86_400, 0), time.Date(2026, 3, 1, 12, 0, 0, 5, time.FixedZone("", 3600)), time.Unix(1<<40, 7),
	}
	for i := range 100 {
		k := keyOf(fmt.Sprint(i))
		for _, at := range times {
			late := lateBy(at, k)
			if by := late.Sub(at); by < 0 || by >= period {
				t.Errorf("%v is late by %v", at, by)
			}
			if again := lateBy(late, k); !again.Equal(late) {
				t.Errorf("the place of %v is %v, and that of it is %v", at, late, again)
			}
			if next := lateBy(late.Add(1), k); !next.Equal(late.Add(period)) {
				t.Errorf("the place after %v is %v", late, next)
			}
		}
	}
}

// If all grants were due at the same time of day, the sweeper would have a day's work
// to do then.
func TestLateBySpreadsOverTheDay(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	var hours [24]int
	for i := range 2400 {
		hours[lateBy(at, keyOf(fmt.Sprint(i))).Sub(at)/time.Hour]++
	}
	for hour, n := range hours {
		if n < 50 || n > 200 {
			t.Errorf("%d of 2400 in hour %d", n, hour)
		}
	}
}

// family is a grant that is in use.
type family struct {
	t       *testing.T
	s       *Store
	clock   *storagetest.Clock
	id      string
	current storage.Hash
	serial  byte
}

func newFamily(t *testing.T, s *Store, clock *storagetest.Clock, id string) *family {
	t.Helper()
	f := &family{t: t, s: s, clock: clock, id: id}
	r := storagetest.NewRedemption(id)
	f.current = r.Refresh
	if err := s.CreateGrant(t.Context(), storagetest.NewGrant(issuer, id, clock.Now())); err != nil {
		t.Fatal(err)
	}
	if _, err := s.RedeemCode(t.Context(), issuer, id, r); err != nil {
		t.Fatal(err)
	}
	return f
}

const familyTTL = 90 * 24 * time.Hour

func (f *family) rotate() {
	f.t.Helper()
	f.serial++
	next := storage.Hash{f.serial}
	_, err := f.s.RotateRefresh(f.t.Context(), issuer, f.id, storage.Rotation{
		Presented: f.current, Successor: next, Nonce: []byte("n"), TTL: familyTTL, Grace: time.Minute,
	})
	if err != nil {
		f.t.Fatal(err)
	}
	f.current = next
}

// places are the entries of the grant in the index by its end.
func (f *family) places() (found [][]byte) {
	f.t.Helper()
	k := keyOf(issuer, f.id)
	err := f.s.db.View(func(tx *bbolt.Tx) error {
		return tx.Bucket(grants.indexes[0].bucket).ForEach(func(entry, _ []byte) error {
			if bytes.HasSuffix(entry, k[:]) {
				found = append(found, bytes.Clone(entry))
			}
			return nil
		})
	})
	if err != nil {
		f.t.Fatal(err)
	}
	return found
}

// move lists the grant elsewhere, behind the store's back.
func (f *family) move(to ...[]byte) {
	f.t.Helper()
	from := f.places()
	err := f.s.db.Update(func(tx *bbolt.Tx) error {
		b := tx.Bucket(grants.indexes[0].bucket)
		for _, entry := range from {
			if err := b.Delete(entry); err != nil {
				return err
			}
		}
		for _, entry := range to {
			if err := b.Put(entry, nil); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		f.t.Fatal(err)
	}
}

// early is where a version that knows nothing of lateBy lists the grant.
func (f *family) early() []byte {
	f.t.Helper()
	g, err := f.s.Grant(f.t.Context(), issuer, f.id)
	if err != nil {
		f.t.Fatal(err)
	}
	return entryOf(g.ExpiresAt, keyOf(issuer, f.id))
}

// A client refreshes every hour for two days.
func TestGrantInUseKeepsItsPlaceForADay(t *testing.T) {
	t.Parallel()
	s, clock := open(t, tempPath(t))
	f := newFamily(t, s, clock, "grant")
	seen := map[string]bool{}
	for range 48 {
		clock.Advance(time.Hour)
		f.rotate()
		places := f.places()
		if len(places) != 1 || bytes.Compare(places[0], f.early()) < 0 {
			t.Fatalf("listed as %x, ends at %x", places, f.early())
		}
		seen[string(places[0])] = true
	}
	if len(seen) > 3 {
		t.Errorf("%d places in two days", len(seen))
	}
	checkFile(t, s)
}

// A page that was not written is the same page still: bbolt never writes over one.
func TestRotationWritesNoLists(t *testing.T) {
	t.Parallel()
	s, clock := open(t, tempPath(t))
	fill(t, s, clock.Now(), 100, "other")
	f := newFamily(t, s, clock, "grant")
	f.rotate()
	roots := func() map[string]uint64 {
		found := map[string]uint64{}
		err := s.db.View(func(tx *bbolt.Tx) error {
			for _, name := range grants.buckets() {
				found[string(name)] = uint64(tx.Bucket(name).Root())
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return found
	}
	before := roots()
	f.rotate()
	for name, root := range roots() {
		if wrote := root != before[name]; wrote != (name == string(grants.bucket)) {
			t.Errorf("%s: written is %v", name, wrote)
		}
	}
}

func TestGrantInUseIsSweptWithinADay(t *testing.T) {
	t.Parallel()
	s, clock := open(t, tempPath(t))
	f := newFamily(t, s, clock, "grant")
	f.rotate()
	clock.Advance(familyTTL - 1)
	if _, err := s.Grant(t.Context(), issuer, f.id); err != nil {
		t.Errorf("before the end: %v", err)
	}
	clock.Advance(1)
	if _, err := s.Grant(t.Context(), issuer, f.id); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("at the end: %v, want %v", err, storage.ErrNotFound)
	}
	clock.Advance(period)
	if n, err := s.Sweep(t.Context()); n != 1 || err != nil {
		t.Errorf("swept %d, %v", n, err)
	}
	if n := count(t, s); n != 0 {
		t.Errorf("%d records and index entries are left", n)
	}
}

// A file from before grants were listed late: whatever happens to a grant next, it
// ends up in its place, or nothing is left of it.
func TestGrantListedEarly(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		then func(*family) error
		gone bool
	}{
		"rotated":        {func(f *family) error { f.rotate(); return nil }, false},
		"rotated later":  {func(f *family) error { f.clock.Advance(48 * time.Hour); f.rotate(); return nil }, false},
		"revoked":        {func(f *family) error { return f.s.RevokeGrant(t.Context(), issuer, f.id) }, true},
		"client deleted": {func(f *family) error { _, err := f.s.DeleteClient(t.Context(), issuer, "client"); return err }, true},
		"swept": {func(f *family) error {
			f.clock.Advance(familyTTL)
			n, err := f.s.Sweep(t.Context())
			if n != 1 {
				t.Errorf("swept %d", n)
			}
			return err
		}, true},
	} {
		t.Run(name, func(t *testing.T) {
			s, clock := open(t, tempPath(t))
			f := newFamily(t, s, clock, "grant")
			f.rotate()
			f.move(f.early())
			checkFile(t, s)
			if err := tt.then(f); err != nil {
				t.Fatal(err)
			}
			checkFile(t, s)
			if n := count(t, s); tt.gone && n != 0 {
				t.Errorf("%d records and index entries are left", n)
			}
			if !tt.gone && bytes.Equal(f.places()[0], f.early()) {
				t.Error("it is still listed early")
			}
		})
	}
}

// An earlier version went on with the file for a while. It listed the grant anew and
// did not find the entry that it had. The sweeper looks at that entry once.
func TestSweepCorrectsWhatAnEarlierVersionLeft(t *testing.T) {
	t.Parallel()
	for name, listed := range map[string]func(f *family) [][]byte{
		"beside the early place":   func(f *family) [][]byte { return [][]byte{f.early()} },
		"beside its own":           func(f *family) [][]byte { return f.places() },
		"and it is listed nowhere": func(*family) [][]byte { return nil },
	} {
		t.Run(name, func(t *testing.T) {
			s, clock := open(t, tempPath(t))
			f := newFamily(t, s, clock, "grant")
			f.rotate()
			stale := entryOf(clock.Now(), keyOf(issuer, f.id))
			f.move(append(listed(f), stale)...)
			for _, want := range []int{1, 0} {
				before := transactions(t, s)
				if n, err := s.Sweep(t.Context()); n != 0 || err != nil {
					t.Errorf("swept %d, %v", n, err)
				}
				if got := transactions(t, s) - before; got != want {
					t.Errorf("%d transactions, want %d", got, want)
				}
				checkFile(t, s)
			}
			f.rotate()
		})
	}
}

// Of a grant that a list has lost, the next change finds out.
func TestChangeRestoresALostListing(t *testing.T) {
	t.Parallel()
	s, clock := open(t, tempPath(t))
	f := newFamily(t, s, clock, "grant")
	g, err := s.Grant(t.Context(), issuer, f.id)
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range grants.listings(g, keyOf(issuer, f.id)) {
		if err := s.db.Update(func(tx *bbolt.Tx) error { return tx.Bucket(l.bucket).Delete(l.entry) }); err != nil {
			t.Fatal(err)
		}
	}
	f.rotate()
	checkFile(t, s)
}
