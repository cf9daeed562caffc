// SPDX-License-Identifier: Apache-2.0

package bolt

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
)

func TestOpenExplainsWhoHasTheFile(t *testing.T) {
	t.Parallel()
	path := tempPath(t)
	s, _ := open(t, path)
	began := time.Now()
	_, err := Open(path, Options{LockTimeout: 100 * time.Millisecond})
	if !errors.Is(err, ErrInUse) {
		t.Fatalf("got error %v, want %v", err, ErrInUse)
	}
	for _, part := range []string{path, "another process", "caddy reload"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("error %q does not say %q", err, part)
		}
	}
	if took := time.Since(began); took > 30*time.Second {
		t.Errorf("it took %v to say so", took)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	open(t, path)
}

func TestOpenWaitsAboutASecond(t *testing.T) {
	t.Parallel()
	if got := (Options{}).withDefaults().LockTimeout; got != time.Second {
		t.Errorf("got %v", got)
	}
}

func TestOpenWaitsForAProcessThatIsAboutToEnd(t *testing.T) {
	t.Parallel()
	path := tempPath(t)
	s, _ := open(t, path)
	time.AfterFunc(100*time.Millisecond, func() { _ = s.Close() })
	next, err := Open(path, Options{LockTimeout: 20 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	_ = next.Close()
}

func TestOpenReportsAPathThatCannotBe(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, path := range map[string]string{
		"a directory": dir, "below a file": filepath.Join(file, "state.db"), "far below a file": filepath.Join(file, "a", "b", "state.db"),
		"with a NUL": filepath.Join(dir, "a\x00b"),
	} {
		if s, err := Open(path, Options{}); err == nil || s != nil || !strings.Contains(err.Error(), "open state file") {
			t.Errorf("%s: got %v, %v", name, s, err)
		}
	}
	if got, _ := os.ReadFile(file); string(got) != "mine" {
		t.Errorf("the file now holds %q", got)
	}
}

// Two servers start for the first time at the same moment. Both must end up at
// the same file, one after the other.
func TestFirstStartsAtTheSameTime(t *testing.T) {
	t.Parallel()
	path := tempPath(t)
	errs := make(chan error)
	for i := range 8 {
		go func() {
			s, err := Open(path, Options{LockTimeout: 20 * time.Second, SweepInterval: -1})
			if err == nil {
				err = errors.Join(s.SaveAccount(t.Context(), &storage.Account{Subject: string(rune('a' + i))}), s.Close())
			}
			errs <- err
		}()
	}
	for range 8 {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	s, _ := open(t, path)
	for i := range 8 {
		if _, err := s.Account(t.Context(), string(rune('a'+i))); err != nil {
			t.Errorf("what the %d. wrote: %v", i+1, err)
		}
	}
	left, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(left) != 1 {
		t.Errorf("%d files are left, %v, want one", len(left), err)
	}
}

func TestMissingDirectoriesAreMade(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "a", "b", "state.db")
	s, _ := open(t, path)
	checkFile(t, s)
	wantModes(t, filepath.Dir(filepath.Dir(path)), dirMode)
	wantModes(t, filepath.Dir(path), dirMode)
	wantModes(t, path, fileMode)
}

func wantModes(t *testing.T, path string, want fs.FileMode) {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := info.Mode().Perm(); got != want {
		t.Errorf("%s has mode %v, want %v", path, got, want)
	}
}
