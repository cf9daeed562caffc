// SPDX-License-Identifier: Apache-2.0

package bolt

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"github.com/caddy-mcp/caddy-mcp-oauth/storage/storagetest"
)

// roomy makes a closed state file from which most records were deleted, and
// returns it with a copy of what is in it.
func roomy(t *testing.T) (path string, content []string) {
	t.Helper()
	path = tempPath(t)
	s, clock := open(t, path)
	for batch := range 8 {
		fill(t, s, clock.Now(), 100, fmt.Sprint(batch))
	}
	fill(t, s, clock.Now().Add(time.Hour), 10, "kept")
	clock.Advance(time.Hour)
	if _, err := s.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return path, contentOf(t, path)
}

// contentOf is every entry of every bucket of a file.
func contentOf(t *testing.T, path string) (all []string) {
	t.Helper()
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{Timeout: 10 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	err = db.View(func(tx *bbolt.Tx) error {
		for err := range tx.Check() {
			t.Errorf("inconsistent page: %v", err)
		}
		return tx.ForEach(func(name []byte, b *bbolt.Bucket) error {
			return b.ForEach(func(k, v []byte) error {
				all = append(all, fmt.Sprintf("%q %x %q", name, k, v))
				return nil
			})
		})
	})
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	return all
}

func wantContent(t *testing.T, path string, want []string) {
	t.Helper()
	got := contentOf(t, path)
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("%d entries differ from the %d before", len(got), len(want))
	}
}

// wantAlone fails if anything but the state file is in its directory.
func wantAlone(t *testing.T, path string) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		if entry.Name() != filepath.Base(path) {
			t.Errorf("%s was left", entry.Name())
		}
	}
}

func TestCompactGivesSpaceBackAndKeepsEveryEntry(t *testing.T) {
	t.Parallel()
	path, content := roomy(t)
	was, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	before, after, err := Compact(path)
	if err != nil {
		t.Fatal(err)
	}
	is, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if before != was.Size() || after != is.Size() || after > before/2 {
		t.Errorf("compacted from %d (%d) to %d (%d)", before, was.Size(), after, is.Size())
	}
	if is.Mode().Perm() != fileMode {
		t.Errorf("mode %v", is.Mode())
	}
	wantContent(t, path, content)
	wantAlone(t, path)
	s, _ := open(t, path)
	checkFile(t, s)
	if _, err := s.Client(t.Context(), issuer, "kept0aa"); err != nil {
		t.Error(err)
	}
	fill(t, s, storagetest.NewClock().Now(), 10, "new")
	checkFile(t, s)
}

func TestCompactLeavesAFileThatWouldNotGetSmaller(t *testing.T) {
	t.Parallel()
	path, content := roomy(t)
	if _, _, err := Compact(path); err != nil {
		t.Fatal(err)
	}
	was, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	before, after, err := Compact(path)
	if err != nil || before != after || before != was.Size() {
		t.Errorf("compacted from %d to %d, %v, want none of %d", before, after, err, was.Size())
	}
	if is, err := os.Stat(path); err != nil || !os.SameFile(is, was) {
		t.Errorf("the file was replaced (%v)", err)
	}
	wantContent(t, path, content)
	wantAlone(t, path)
}

// An operator compacts the file of a server that runs. Its users' sign-ins would go
// into a file that has no name any more.
func TestCompactRefusesAFileInUse(t *testing.T) {
	t.Parallel()
	path, content := roomy(t)
	s, _ := open(t, path)
	if _, _, err := Compact(path); !errors.Is(err, ErrInUse) {
		t.Errorf("got error %v, want %v", err, ErrInUse)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	wantContent(t, path, content)
	wantAlone(t, path)
}

// A server is started while the file is compacted. It waits for the lock of a file
// that then loses its name, and must not go on with that one.
func TestOpenDuringCompactionGetsTheNewFile(t *testing.T) {
	t.Parallel()
	path, _ := roomy(t)
	var (
		started sync.WaitGroup
		s       *Store
	)
	clock := storagetest.NewClock()
	c := compaction{at: func(step string) {
		switch step {
		case "made":
			started.Go(func() {
				var err error
				if s, err = Open(path, Options{Now: clock.Now, SweepInterval: -1, LockTimeout: 20 * time.Second}); err != nil {
					t.Error(err)
				}
			})
		case "complete":
			time.Sleep(200 * time.Millisecond) // by now it has opened the old file and waits
		}
	}}
	if _, _, err := c.run(path); err != nil {
		t.Fatal(err)
	}
	started.Wait()
	if s == nil {
		t.Fatal("it was not opened")
	}
	fill(t, s, clock.Now(), 1, "late")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s, _ = open(t, path)
	if _, err := s.Client(t.Context(), issuer, "late0aa"); err != nil {
		t.Errorf("what was acknowledged went into the old file: %v", err)
	}
}

func TestCompactRefusesWhatIsNoStateFile(t *testing.T) {
	t.Parallel()
	good := used(t)
	damaged := bytes.Clone(good)
	for i := 4 * os.Getpagesize(); i < len(damaged); i++ {
		damaged[i] = 0xff
	}
	foreign := tempPath(t)
	db, err := bbolt.Open(foreign, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	err = db.Update(func(tx *bbolt.Tx) error { _, err := tx.CreateBucket([]byte("theirs")); return err })
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	theirs, err := os.ReadFile(foreign)
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		raw  []byte
		want error
	}{
		"text": {[]byte(strings.Repeat("no bbolt file ", 10_000)), ErrDamaged}, "damaged": {damaged, ErrDamaged},
		"cut off": {good[:8*os.Getpagesize()], ErrDamaged}, "of another program": {theirs, ErrForeign},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := tempPath(t)
			if err := os.WriteFile(path, test.raw, 0o600); err != nil {
				t.Fatal(err)
			}
			if _, _, err := Compact(path); !errors.Is(err, test.want) {
				t.Errorf("got error %v, want %v", err, test.want)
			}
			after, err := os.ReadFile(path)
			if err != nil || !bytes.Equal(after, test.raw) {
				t.Errorf("the file was changed (%v)", err)
			}
			wantAlone(t, path)
		})
	}
}

func TestCompactOfNothingMakesNothing(t *testing.T) {
	t.Parallel()
	path := tempPath(t)
	if _, _, err := Compact(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got error %v, want %v", err, fs.ErrNotExist)
	}
	wantAlone(t, path)
}

// The path is a link to a volume: the file there is replaced, not the link.
func TestCompactFollowsALink(t *testing.T) {
	t.Parallel()
	path, content := roomy(t)
	link := filepath.Join(t.TempDir(), "link.db")
	if err := os.Symlink(path, link); err != nil {
		t.Skip(err)
	}
	if _, _, err := Compact(link); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Lstat(link); err != nil || info.Mode()&fs.ModeSymlink == 0 {
		t.Errorf("the link is gone (%v)", err)
	}
	wantContent(t, path, content)
	wantContent(t, link, content)
}

func TestCompactOfAnOlderFormat(t *testing.T) {
	t.Parallel()
	path := format1(t, unchanged)
	content := contentOf(t, path)
	if _, _, err := Compact(path); err != nil {
		t.Fatal(err)
	}
	wantContent(t, path, content)
	s, _ := openFormat1(t, path)
	checkFile(t, s)
}

func TestCopiesAreCompared(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*bbolt.Tx) error{
		"an entry less": func(tx *bbolt.Tx) error { k := keyOf("", "a"); return tx.Bucket(grants.bucket).Delete(k[:]) },
		"an entry more": func(tx *bbolt.Tx) error { return tx.Bucket(grants.bucket).Put([]byte("\xff\xff"), nil) },
		"another value": func(tx *bbolt.Tx) error { return tx.Bucket(bucketMeta).Put(keyFormat, nil) },
		"bucket gone":   func(tx *bbolt.Tx) error { return tx.DeleteBucket(accounts.bucket) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, clock := open(t, tempPath(t))
			b, _ := open(t, tempPath(t))
			for _, s := range []*Store{a, b} {
				if err := s.CreateGrant(t.Context(), storagetest.NewGrant("", "a", clock.Now())); err != nil {
					t.Fatal(err)
				}
			}
			if err := sameContent(a.db, b.db); err != nil {
				t.Fatal(err)
			}
			if err := b.db.Update(change); err != nil {
				t.Fatal(err)
			}
			if sameContent(a.db, b.db) == nil {
				t.Error("the difference was not seen")
			}
		})
	}
}
