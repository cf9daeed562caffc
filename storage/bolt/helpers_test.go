// SPDX-License-Identifier: Apache-2.0

package bolt

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
	"github.com/caddy-mcp/caddy-mcp-oauth/storage/storagetest"
)

const (
	issuer   = "https://a.example.com"
	childVar = "MCP_OAUTH_BOLT_CHILD"
)

// children are what the test binary does when it is started again as a process
// that tests may kill, starve or strip of rights. The argument is a path.
var children = map[string]func(path string) error{}

func TestMain(m *testing.M) {
	if name := os.Getenv(childVar); name != "" {
		if err := children[name](os.Args[1]); err != nil {
			_, _ = os.Stdout.WriteString(err.Error() + "\n")
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// child prepares one of children to run.
func child(ctx context.Context, t *testing.T, name, path string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(ctx, self, path)
	cmd.Env = append(os.Environ(), childVar+"="+name)
	cmd.Stderr = os.Stderr
	return cmd
}

// runChild runs one to its end and returns what it said.
func runChild(t *testing.T, name, path string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	out, err := child(ctx, t, name, path).Output()
	if err != nil {
		t.Fatalf("child %s: %v\n%s", name, err, out)
	}
	return string(out)
}

func tempPath(t testing.TB) string {
	t.Helper()
	return filepath.Join(t.TempDir(), "state.db")
}

// open opens a store without a background sweeper on a clock of its own.
func open(t testing.TB, path string) (*Store, *storagetest.Clock) {
	t.Helper()
	clock := storagetest.NewClock()
	return openWith(t, path, Options{Now: clock.Now, SweepInterval: -1}), clock
}

func openWith(t testing.TB, path string, o Options) *Store {
	t.Helper()
	s, err := Open(path, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil && !errors.Is(err, storage.ErrClosed) {
			t.Errorf("close: %v", err)
		}
	})
	return s
}

// fill creates n records of every kind that ends.
func fill(t testing.TB, s *Store, now time.Time, n int, prefix string) {
	t.Helper()
	var fns []func() error
	for i := range n {
		id := prefix + string(rune('0'+i%10)) + string(rune('a'+i/10%26)) + string(rune('a'+i/260))
		fns = append(fns,
			func() error { return s.CreateClient(t.Context(), storagetest.NewClient(issuer, id, now)) },
			func() error { return s.CreatePending(t.Context(), storagetest.NewPending(issuer, id, now)) },
			func() error { return s.CreateGrant(t.Context(), storagetest.NewGrant(issuer, id, now)) },
		)
	}
	errs := make(chan error, len(fns))
	for _, fn := range fns {
		go func() { errs <- fn() }()
	}
	for range fns {
		if err := <-errs; err != nil {
			t.Fatal(err)
		}
	}
}

// checkFile fails unless the file is intact: bbolt's own check, and every index
// lists exactly the records it should.
func checkFile(t testing.TB, s *Store) {
	t.Helper()
	err := s.db.View(func(tx *bbolt.Tx) error {
		for err := range tx.Check() {
			t.Errorf("inconsistent page: %v", err)
		}
		checkTable(t, tx, clients)
		checkTable(t, tx, pendings)
		checkTable(t, tx, grants)
		checkTable(t, tx, accounts)
		checkTable(t, tx, sessions)
		checkTable(t, tx, consents)
		checkTable(t, tx, usedIDs)
		checkTable(t, tx, signingKeys)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func checkTable[R storage.Record](t testing.TB, tx *bbolt.Tx, tab table[R]) {
	t.Helper()
	want := make([]map[string]bool, len(tab.indexes)+len(tab.groups))
	for i := range want {
		want[i] = map[string]bool{}
	}
	_ = tx.Bucket(tab.bucket).ForEach(func(k, _ []byte) error {
		rec, _, err := tab.load(tx, key(k))
		if err != nil {
			t.Errorf("%s: %v", tab.bucket, err)
			return nil
		}
		for i, l := range tab.listings(rec, key(k)) {
			switch {
			case l.early != nil && !l.listed(tx): // by an earlier version
				want[i][string(l.early)] = true
			case l.entry != nil:
				want[i][string(l.entry)] = true
			}
		}
		return nil
	})
	for i, x := range tab.indexes {
		n := checkEntries(t, tx, x.bucket, want[i])
		if x.counted && x.size(tx) != n {
			t.Errorf("%s: counted %d of %d entries", x.bucket, x.size(tx), n)
		}
	}
	for i, g := range tab.groups {
		checkEntries(t, tx, g.bucket, want[len(tab.indexes)+i])
	}
}

// checkEntries fails unless a list has the entries it should, and returns how
// many it has.
func checkEntries(t testing.TB, tx *bbolt.Tx, bucket []byte, want map[string]bool) int {
	t.Helper()
	n := 0
	_ = tx.Bucket(bucket).ForEach(func(entry, _ []byte) error {
		n++
		if !want[string(entry)] {
			t.Errorf("%s: entry %x is of no record", bucket, entry)
		}
		return nil
	})
	if n != len(want) {
		t.Errorf("%s: %d entries for %d records", bucket, n, len(want))
	}
	return n
}

// count is the number of records and index entries of all tables.
func count(t testing.TB, s *Store) int {
	t.Helper()
	n := 0
	err := s.db.View(func(tx *bbolt.Tx) error {
		for _, name := range bucketNames() {
			if !bytes.Equal(name, bucketMeta) {
				n += tx.Bucket(name).Stats().KeyN
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// transactions is the number of commits the file has seen.
func transactions(t testing.TB, s *Store) int {
	t.Helper()
	var id int
	if err := s.db.View(func(tx *bbolt.Tx) error { id = tx.ID(); return nil }); err != nil {
		t.Fatal(err)
	}
	return id
}
