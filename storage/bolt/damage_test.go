// SPDX-License-Identifier: Apache-2.0

package bolt

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
	"github.com/caddy-mcp/caddy-mcp-oauth/storage/storagetest"
)

// used returns the bytes of a state file that was in use.
func used(t testing.TB) []byte {
	t.Helper()
	path := tempPath(t)
	s, clock := open(t, path)
	fill(t, s, clock.Now(), 60, "")
	clock.Advance(2 * time.Minute)
	if _, err := s.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// wantRefused fails unless Open refuses the file for the reason and leaves every
// byte of it. Tried twice: the first must not have left it locked.
func wantRefused(t *testing.T, raw []byte, want error) {
	t.Helper()
	path := tempPath(t)
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		s, err := Open(path, Options{LockTimeout: 100 * time.Millisecond, SweepInterval: -1})
		if s != nil {
			_ = s.Close()
		}
		if !errors.Is(err, want) || !strings.Contains(err.Error(), path) {
			t.Errorf("got error %v, want %v", err, want)
		}
	}
	after, err := os.ReadFile(path)
	if err != nil || string(after) != string(raw) {
		t.Errorf("the file was touched (%v)", err)
	}
}

func TestOpenRefusesADamagedFile(t *testing.T) {
	t.Parallel()
	good := used(t)
	zero := func(from, to int) []byte {
		raw := append([]byte(nil), good...)
		clear(raw[from:to])
		return raw
	}
	page := os.Getpagesize()
	for name, raw := range map[string][]byte{
		"text":                      []byte("these are not the bytes you are looking for"),
		"a long text":               []byte(strings.Repeat("not a database. ", 4096)),
		"zeros":                     make([]byte, 1<<16),
		"cut off in the first page": good[:100],
		"cut off after a page":      good[:page],
		"cut off after the roots":   good[:2*page],
		"both roots overwritten":    zero(0, 2*page),
		"all but the roots zeroed":  zero(2*page, len(good)),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			wantRefused(t, raw, ErrDamaged)
		})
	}
}

// bbolt writes its two root pages in turn so that a torn write of one leaves the
// other. That is a repair nothing is lost by, and must keep working.
func TestOpenSurvivesATornRoot(t *testing.T) {
	t.Parallel()
	good := used(t)
	for root := range 2 {
		raw := append([]byte(nil), good...)
		clear(raw[root*os.Getpagesize() : (root+1)*os.Getpagesize()])
		path := tempPath(t)
		if err := os.WriteFile(path, raw, 0o600); err != nil {
			t.Fatal(err)
		}
		s, clock := open(t, path)
		if _, err := s.Client(t.Context(), issuer, "0aa"); err != nil {
			t.Error(err)
		}
		fill(t, s, clock.Now(), 1, "new") // which writes both roots
		fill(t, s, clock.Now(), 1, "newer")
		checkFile(t, s)
	}
}

func TestOpenRefusesAFileOfOthers(t *testing.T) {
	t.Parallel()
	for name, write := range map[string]func(tx *bbolt.Tx) error{
		"another program": func(tx *bbolt.Tx) error { _, err := tx.CreateBucket([]byte("theirs")); return err },
		"another program with a bucket of our name": func(tx *bbolt.Tx) error {
			_, err := tx.CreateBucket(bucketMeta)
			return err
		},
		"a newer version": func(tx *bbolt.Tx) error {
			b, err := tx.CreateBucket(bucketMeta)
			return errors.Join(err, b.Put(keyFormat, binary.BigEndian.AppendUint64(nil, format+1)))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := tempPath(t)
			db, err := bbolt.Open(path, 0o600, nil)
			if err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(db.Update(write), db.Close()); err != nil {
				t.Fatal(err)
			}
			raw, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			wantRefused(t, raw, ErrForeign)
		})
	}
}

func TestOpenRefusesAFileWithoutABucket(t *testing.T) {
	t.Parallel()
	path := tempPath(t)
	s, _ := open(t, path)
	err := s.db.Update(func(tx *bbolt.Tx) error { return tx.DeleteBucket(grants.bucket) })
	if err := errors.Join(err, s.Close()); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	wantRefused(t, raw, ErrDamaged)
}

func TestOpenTakesAnEmptyFile(t *testing.T) {
	t.Parallel()
	path := tempPath(t)
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s, _ := open(t, path)
	checkFile(t, s)
}

func TestOpenDoesNotWriteWithoutNeed(t *testing.T) {
	t.Parallel()
	path := tempPath(t)
	raw := used(t)
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	s, _ := open(t, path)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if after, err := os.ReadFile(path); err != nil || string(after) != string(raw) {
		t.Errorf("the file was written to (%v)", err)
	}
}

// Bits of a record rot. The answer is an error or, where the damage makes another
// record of it, an error too; the other records are not concerned, and nothing
// of it is deleted.
func TestARottenRecordIsReported(t *testing.T) {
	t.Parallel()
	good := used(t)
	for name, rot := range map[string]func(record []byte){
		"version": func(r []byte) { r[0] = 0x80 },
		"syntax":  func(r []byte) { r[1] = 0 },
		"type":    func(r []byte) { copy(r[bytes.Index(r, []byte(`"3aa"`)):], "{\"\":1") },
		"id":      func(r []byte) { copy(r[bytes.Index(r, []byte(`"3aa"`)):], `"9zz"`) },
		"issuer":  func(r []byte) { copy(r[bytes.Index(r, []byte("//a.")):], "//b.") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := tempPath(t)
			raw := bytes.Clone(good)
			client, err := storage.Encode(storagetest.NewClient(issuer, "3aa", storagetest.NewClock().Now()))
			if err != nil {
				t.Fatal(err)
			}
			for at := bytes.Index(raw, client); at >= 0; at = bytes.Index(raw, client) {
				rot(raw[at : at+len(client)])
			}
			if err := os.WriteFile(path, raw, 0o600); err != nil {
				t.Fatal(err)
			}
			s, clock := open(t, path)
			if c, err := s.Client(t.Context(), issuer, "3aa"); err == nil || outcome(err) {
				t.Errorf("got %v, %v, want a failure", c, err)
			}
			if err := s.KeepClient(t.Context(), issuer, "3aa"); err == nil || outcome(err) {
				t.Errorf("keep: got %v, want a failure", err)
			}
			if _, err := s.Client(t.Context(), issuer, "4aa"); err != nil {
				t.Errorf("another client: %v", err)
			}
			clock.Advance(48 * time.Hour)
			if n, err := s.Sweep(t.Context()); err == nil || n != 2*60-1 {
				t.Errorf("swept %d, %v, want the %d others and an error", n, err, 2*60-1)
			}
		})
	}
}

// Somebody truncates the file of a running server. Reading what is not there
// faults, which must not end the process.
func TestAFileCutShortUnderneath(t *testing.T) {
	t.Parallel()
	path := tempPath(t)
	if err := os.WriteFile(path, used(t), 0o600); err != nil {
		t.Fatal(err)
	}
	clock := storagetest.NewClock()
	s, err := Open(path, Options{Now: clock.Now, SweepInterval: -1})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, int64(2*os.Getpagesize())); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Client(t.Context(), issuer, "0aa"); !errors.Is(err, ErrDamaged) {
		t.Errorf("read: got error %v, want %v", err, ErrDamaged)
	}
	for range 3 {
		if err := s.CreateGrant(t.Context(), storagetest.NewGrant(issuer, "new", clock.Now())); err == nil || outcome(err) {
			t.Errorf("write: got error %v", err)
		}
	}
	closed := make(chan error, 1)
	go func() { closed <- s.Close() }()
	select {
	case err := <-closed:
		t.Log("close:", err)
	case <-time.After(20 * time.Second):
		t.Error("Close hangs")
	}
}

// A record under another one's key is an intruder or a bug. It is neither served
// nor taken for absent.
func TestARecordUnderAForeignKeyIsRefused(t *testing.T) {
	t.Parallel()
	s, clock := open(t, tempPath(t))
	raw, err := storage.Encode(storagetest.NewGrant("https://b.example.com", "theirs", clock.Now()))
	if err != nil {
		t.Fatal(err)
	}
	k := keyOf(issuer, "ours")
	overwrite(t, s, grants.bucket, k[:], raw)
	if g, err := s.Grant(t.Context(), issuer, "ours"); !errors.Is(err, ErrDamaged) || g != nil {
		t.Errorf("got %v, %v, want %v", g, err, ErrDamaged)
	}
	if _, err := s.RedeemCode(t.Context(), issuer, "ours", storagetest.NewRedemption("theirs")); !errors.Is(err, ErrDamaged) {
		t.Errorf("got %v, want %v", err, ErrDamaged)
	}
}

// bbolt panics in the middle of a commit, and what it held it holds for ever.
// Writing is over then, but nobody may wait for it: neither the caller, nor those
// after it, nor Close. Who reads is not concerned.
func TestAPanicInACommitHangsNobody(t *testing.T) {
	t.Parallel()
	for name, locked := range map[string]bool{"lock released": false, "lock held": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, err := Open(tempPath(t), Options{SweepInterval: -1})
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			if err := s.SaveAccount(ctx, &storage.Account{Subject: "a"}); err != nil {
				t.Fatal(err)
			}
			err = s.committer.do(ctx, func(w *writeTx) error {
				w.tx.OnCommit(func() {
					if locked {
						_, _ = s.db.Begin(true)
					}
					panic("page 7 already freed")
				})
				return put("key")(w)
			})
			if !errors.Is(err, ErrDamaged) {
				t.Errorf("the caller got %v", err)
			}
			if err := s.SaveAccount(ctx, &storage.Account{Subject: "b"}); !errors.Is(err, ErrDamaged) {
				t.Errorf("the next caller got %v", err)
			}
			if _, err := s.Account(ctx, "a"); err != nil {
				t.Errorf("a reader got %v", err)
			}
			closed := make(chan error, 1)
			go func() { closed <- s.Close() }()
			select {
			case err := <-closed:
				if !errors.Is(err, ErrDamaged) {
					t.Errorf("Close answered %v", err)
				}
			case <-ctx.Done():
				t.Error("Close hangs")
			}
			if err := s.SaveAccount(ctx, &storage.Account{Subject: "c"}); !errors.Is(err, storage.ErrClosed) {
				t.Errorf("after Close: %v", err)
			}
		})
	}
}
