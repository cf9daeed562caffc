// SPDX-License-Identifier: Apache-2.0

package bolt

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.etcd.io/bbolt"

	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
	"github.com/caddy-mcp/caddy-mcp-oauth/storage/storagetest"
)

// exported collects what an export yields until it fails.
func exported(seq iter.Seq2[storage.Entry, error]) (entries []storage.Entry, err error) {
	for entry, err := range seq {
		if err != nil {
			return entries, err
		}
		entries = append(entries, entry)
	}
	return entries, nil
}

func sequence(entries []storage.Entry) iter.Seq2[storage.Entry, error] {
	return func(yield func(storage.Entry, error) bool) {
		for _, entry := range entries {
			if !yield(entry, nil) {
				return
			}
		}
	}
}

func TestKindsAreAllTables(t *testing.T) {
	t.Parallel()
	exportedBuckets := map[string]bool{}
	for _, k := range kinds {
		exportedBuckets[string(k.bucket)] = true
	}
	for _, name := range bucketNames() {
		derived := bytes.Contains(name, []byte(" by ")) || bytes.Contains(name, []byte(" of ")) || bytes.Equal(name, bucketMeta)
		if derived == exportedBuckets[string(name)] {
			t.Errorf("bucket %q: exported %v, derived %v", name, exportedBuckets[string(name)], derived)
		}
	}
}

// All records are of one moment: a client that moves from one grant to the next is
// never seen with both or with none.
func TestExportIsOfOneMoment(t *testing.T) {
	t.Parallel()
	s, clock := open(t, tempPath(t))
	fill(t, s, clock.Now(), 200, "many") // so that it takes more than one batch
	now := clock.Now()
	create := func(n int) error {
		return errors.Join(s.SaveAccount(t.Context(), storagetest.NewAccount("moving", now)),
			s.CreateGrant(t.Context(), storagetest.NewGrant(issuer, fmt.Sprint("moving", n), now)))
	}
	if err := create(0); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	moved := make(chan error)
	go func() {
		for n := 0; ctx.Err() == nil; n++ {
			err := s.committer.do(t.Context(), func(w *writeTx) error {
				return errors.Join(grants.drop(w, keyOf(issuer, fmt.Sprint("moving", n))),
					grants.insert(w, storagetest.NewGrant(issuer, fmt.Sprint("moving", n+1), now)))
			})
			if err != nil {
				moved <- err
				return
			}
		}
		moved <- nil
	}()
	for range 50 {
		entries, err := exported(s.Export(t.Context()))
		if err != nil {
			t.Fatal(err)
		}
		found := 0
		for _, entry := range entries {
			if entry.Kind == storage.KindGrant && bytes.Contains(entry.Data, []byte(`"id":"moving`)) {
				found++
			}
		}
		if found != 1 {
			t.Errorf("%d grants of the one that moves", found)
		}
	}
	stop()
	if err := <-moved; err != nil {
		t.Error(err)
	}
}

// A backup takes its time, and meanwhile many sign in for the first time: the file
// grows to several times its size. Nobody waits for the backup.
func TestFileGrowsDuringAnExport(t *testing.T) {
	t.Parallel()
	if mapSize(tempPath(t)) == 0 && mapSize(os.Args[0]) == 0 {
		t.Skip("not on this system: they do wait")
	}
	path := tempPath(t)
	s, clock := open(t, path)
	s.exportPatience = time.Hour
	fill(t, s, clock.Now(), 400, "many")
	next, stop := iter.Pull2(s.Export(t.Context()))
	defer stop()
	if _, err, ok := next(); err != nil || !ok {
		t.Fatal(err)
	}
	before, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	fill(t, s, clock.Now(), 2000, "new")
	after, err := os.Stat(path)
	if err != nil || after.Size() < 2*before.Size() {
		t.Errorf("the file grew from %d to %d, %v: too little to mean anything", before.Size(), after.Size(), err)
	}
}

// Whoever makes a backup suspends the command. A file that has to be mapped anew
// waits for the export, and everybody who signs in waits with it.
func TestExportGivesUpOnAReaderThatStopped(t *testing.T) {
	t.Parallel()
	synctest.Test(t, testExportGivesUp)
}

func testExportGivesUp(t *testing.T) {
	s, clock := open(t, tempPath(t))
	fill(t, s, clock.Now(), 400, "many")
	next, stop := iter.Pull2(s.Export(t.Context()))
	defer stop()
	if _, err, ok := next(); err != nil || !ok {
		t.Fatal(err)
	}
	time.Sleep(2 * s.exportPatience)
	for {
		_, err, ok := next()
		if !ok {
			t.Fatal("an export that was given up ended as if it were whole")
		}
		if err != nil {
			if !errors.Is(err, errSlowReader) {
				t.Errorf("got error %v, want %v", err, errSlowReader)
			}
			break
		}
	}
	checkFile(t, s)
}

// The server ends while a backup is made.
func TestCloseEndsAnExport(t *testing.T) {
	t.Parallel()
	s, clock := open(t, tempPath(t))
	fill(t, s, clock.Now(), 400, "many")
	next, stop := iter.Pull2(s.Export(t.Context()))
	defer stop()
	if _, err, ok := next(); err != nil || !ok {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for {
		_, err, ok := next()
		if !ok {
			t.Fatal("an export of a store that was closed ended as if it were whole")
		}
		if err != nil {
			if !errors.Is(err, storage.ErrClosed) {
				t.Errorf("got error %v, want %v", err, storage.ErrClosed)
			}
			return
		}
	}
}

// One rotten record must not keep everybody else's from being backed up.
func TestExportPassesWhatItCannotRead(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	clock := storagetest.NewClock()
	s := openWith(t, tempPath(t), Options{Now: clock.Now, SweepInterval: -1, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	fill(t, s, clock.Now(), 3, "good")
	a, b := keyOf(issuer, "rotten"), keyOf(issuer, "foreign")
	if err := s.db.Update(func(tx *bbolt.Tx) error {
		theirs := keyOf(issuer, "good0aa")
		raw := bytes.Clone(tx.Bucket(grants.bucket).Get(theirs[:]))
		return errors.Join(tx.Bucket(grants.bucket).Put(a[:], []byte("\x01s3cret")), tx.Bucket(grants.bucket).Put(b[:], raw),
			tx.Bucket(accounts.bucket).Put([]byte("short"), []byte("s3cret")))
	}); err != nil {
		t.Fatal(err)
	}
	entries, err := exported(s.Export(t.Context()))
	if err != nil || len(entries) != 9 {
		t.Errorf("%d entries, %v, want 9", len(entries), err)
	}
	if got := log.String(); !strings.Contains(got, "level=WARN") || !strings.Contains(got, "records=3") || strings.Contains(got, "s3cret") {
		t.Errorf("log: %s", got)
	}
	other, _ := open(t, tempPath(t))
	if err := other.Import(t.Context(), sequence(entries)); err != nil {
		t.Error(err)
	}
	checkFile(t, other)
}

func TestImportBuildsEveryList(t *testing.T) {
	t.Parallel()
	s, clock := openFormat1(t, format1(t, unchanged))
	fill(t, s, clock.Now(), 300, "many")
	entries, err := exported(s.Export(t.Context()))
	if err != nil {
		t.Fatal(err)
	}
	other, _ := open(t, tempPath(t))
	other.listRun = 70 // so that it takes several
	// Twice the same: the later one takes the place of the first in every list.
	if err := other.Import(t.Context(), sequence(append(entries, entries...))); err != nil {
		t.Fatal(err)
	}
	checkFile(t, other)
	again, err := exported(other.Export(t.Context()))
	if err != nil || len(again) != len(entries) {
		t.Errorf("%d entries came back of %d, %v", len(again), len(entries), err)
	}
	for i := range min(len(entries), len(again)) {
		if again[i].Kind != entries[i].Kind || !bytes.Equal(again[i].Data, entries[i].Data) {
			t.Fatalf("entry %d differs", i)
		}
	}
}

// The import stopped in the middle, and the server is started all the same: with
// half of the used codes and ids the other half could be used again.
func TestHalfAnImportIsRefused(t *testing.T) {
	t.Parallel()
	stopped := errors.New("stopped")
	entries := func(yield func(storage.Entry, error) bool) {
		now := storagetest.NewClock().Now()
		for i := range importBatch + 1 {
			raw, err := storage.Encode(storagetest.NewAccount(fmt.Sprint(i), now))
			if !yield(storage.Entry{Kind: storage.KindAccount, Data: raw}, err) {
				return
			}
		}
		yield(storage.Entry{}, stopped)
	}
	path := tempPath(t)
	s, _ := open(t, path)
	if err := s.Import(t.Context(), entries); !errors.Is(err, stopped) {
		t.Fatalf("got error %v, want %v", err, stopped)
	}
	if err := s.Import(t.Context(), sequence(nil)); !errors.Is(err, storage.ErrNotEmpty) {
		t.Errorf("importing again: %v, want %v", err, storage.ErrNotEmpty)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	wantRefused(t, raw, ErrDamaged)
	if _, _, err := Compact(path); !errors.Is(err, ErrDamaged) {
		t.Errorf("compacting it: %v, want %v", err, ErrDamaged)
	}
}

func init() {
	children["import"] = func(path string) error {
		s, err := Open(path, Options{SweepInterval: -1})
		if err != nil {
			return err
		}
		now := time.Now()
		return errors.Join(s.Import(context.Background(), func(yield func(storage.Entry, error) bool) {
			for i := range 200_000 { // if nobody kills it
				raw, err := storage.Encode(storagetest.NewAccount(fmt.Sprint(i), now))
				if !yield(storage.Entry{Kind: storage.KindAccount, Data: raw}, err) {
					return
				}
			}
		}), s.Close())
	}
}
