// SPDX-License-Identifier: Apache-2.0

//go:build linux || darwin

package bolt

import (
	"context"
	"errors"
	"math/rand"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

var compactSteps = []string{"made", "copied", "complete", "replaced"}

func init() {
	for _, last := range compactSteps {
		children["compact killed when "+last] = func(path string) error {
			c := compaction{at: func(step string) {
				if step == last {
					_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
					select {}
				}
			}}
			_, _, err := c.run(path)
			return errors.Join(errors.New("it was not killed"), err)
		}
	}
	children["compact"] = func(path string) error {
		_, _, err := Compact(path)
		return err
	}
	children["compact on a full disk"] = func(path string) error {
		if err := limitFile(16 << 10); err != nil {
			return err
		}
		if _, _, err := Compact(path); err == nil || !strings.Contains(err.Error(), "file too large") {
			return errors.Join(errors.New("a file was compacted on a full disk"), err)
		}
		return nil
	}
}

// The machine loses power in the middle. Before and after the one step that counts
// the file is whole, and the next run cleans up.
func TestCompactKilledBetweenSteps(t *testing.T) {
	t.Parallel()
	for _, last := range compactSteps {
		t.Run(last, func(t *testing.T) {
			t.Parallel()
			path, content := roomy(t)
			was, err := os.Stat(path)
			if err != nil {
				t.Fatal(err)
			}
			wantKilled(t, "compact killed when "+last, path, 0)
			is, err := os.Stat(path)
			if err != nil || os.SameFile(was, is) != (last != "replaced") {
				t.Errorf("the file was replaced, or not (%v)", err)
			}
			wantContent(t, path, content)
			if _, _, err := Compact(path); err != nil {
				t.Error(err)
			}
			wantContent(t, path, content)
			wantAlone(t, path)
		})
	}
}

func TestCompactKilledAnyTime(t *testing.T) {
	t.Parallel()
	path, content := roomy(t)
	original, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	kills := 20
	if testing.Short() {
		kills = 3
	}
	for range kills {
		if err := os.WriteFile(path, original, 0o600); err != nil {
			t.Fatal(err)
		}
		wantKilled(t, "compact", path, time.Duration(rand.Int63n(int64(60*time.Millisecond)))) //nolint:gosec // when to kill
		wantContent(t, path, content)
	}
	if _, _, err := Compact(path); err != nil {
		t.Error(err)
	}
	wantContent(t, path, content)
	wantAlone(t, path)
}

// wantKilled runs a child that is killed, by itself or after a while, or that ends
// without an error before.
func wantKilled(t *testing.T, name, path string, after time.Duration) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	cmd := child(ctx, t, name, path)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if after > 0 {
		time.AfterFunc(after, func() { _ = cmd.Process.Kill() })
	}
	err := cmd.Wait()
	status, _ := cmd.ProcessState.Sys().(syscall.WaitStatus)
	if killed := status.Signaled() && status.Signal() == syscall.SIGKILL; !killed && (err != nil || after == 0) {
		t.Fatalf("child %s: %v", name, err)
	}
}

// An import that is killed leaves an empty file or one that is refused.
func TestImportKilledAnyTime(t *testing.T) {
	t.Parallel()
	refused := 0
	for range 6 {
		path := tempPath(t)
		wantKilled(t, "import", path, 20*time.Millisecond+time.Duration(rand.Int63n(int64(700*time.Millisecond)))) //nolint:gosec // when to kill
		s, err := Open(path, Options{SweepInterval: -1, LockTimeout: 10 * time.Second})
		if errors.Is(err, ErrDamaged) {
			refused++
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if n := count(t, s); n != 0 {
			t.Errorf("%d records of half an import are served", n)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	t.Logf("%d of 6 were refused", refused)
}

// There is no room for the copy. The file is as it was and usable at once.
func TestCompactOnAFullDisk(t *testing.T) {
	t.Parallel()
	path, content := roomy(t)
	runChild(t, "compact on a full disk", path)
	wantContent(t, path, content)
	wantAlone(t, path)
	if _, _, err := Compact(path); err != nil {
		t.Error(err)
	}
	wantContent(t, path, content)
}

// root compacts the file of the user the server runs as, who must be able to open
// it afterwards.
func TestCompactKeepsTheOwner(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("only root can give a file away")
	}
	path, content := roomy(t)
	if err := os.Chown(path, 65534, 65534); err != nil {
		t.Skip(err)
	}
	before, after, err := Compact(path)
	if err != nil || after >= before {
		t.Fatalf("compacted from %d to %d, %v", before, after, err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if owner, ok := info.Sys().(*syscall.Stat_t); !ok || owner.Uid != 65534 || owner.Gid != 65534 || info.Mode().Perm() != fileMode {
		t.Errorf("owner %+v, mode %v", owner, info.Mode())
	}
	wantContent(t, path, content)
}
