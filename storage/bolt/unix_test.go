// SPDX-License-Identifier: Apache-2.0

//go:build unix

package bolt

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// The umask, the user and the limits of a process are its own: these tests work
// in processes they can spoil.
func init() {
	for _, mask := range []int{0, 0o022, 0o077, 0o777} {
		children[fmt.Sprintf("umask %#o", mask)] = func(path string) error {
			syscall.Umask(mask)
			s, err := Open(path, Options{})
			if err != nil {
				return err
			}
			return s.Close()
		}
	}
	children["unprivileged"] = func(path string) error {
		if os.Geteuid() == 0 { // whom no mode keeps out
			if err := errors.Join(syscall.Setgroups(nil), syscall.Setgid(65534), syscall.Setuid(65534)); err != nil {
				return err
			}
		}
		s, err := Open(path, Options{SweepInterval: -1})
		if err != nil {
			fmt.Println(err)
			return nil
		}
		return s.Close()
	}
}

func TestModesWhateverTheUmask(t *testing.T) {
	t.Parallel()
	for name := range children {
		if !strings.HasPrefix(name, "umask") {
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "new", "newer", "state.db")
			for range 2 { // the second opens what the first made
				if out := runChild(t, name, path); out != "" {
					t.Error(out)
				}
				wantModes(t, filepath.Dir(filepath.Dir(path)), dirMode)
				wantModes(t, filepath.Dir(path), dirMode)
				wantModes(t, path, fileMode)
			}
		})
	}
}

// A backup was restored with the modes of an archive: users of the machine must
// not read who signs in where.
func TestAWiderModeIsNarrowed(t *testing.T) {
	t.Parallel()
	for _, mode := range []fs.FileMode{0o644, 0o660, 0o777} {
		path := tempPath(t)
		if err := os.WriteFile(path, used(t), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		open(t, path)
		wantModes(t, path, fileMode)
	}
}

func TestAnExistingDirectoryIsLeftAlone(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o755); err != nil { //nolint:gosec // that is the point
		t.Fatal(err)
	}
	open(t, filepath.Join(dir, "state.db"))
	wantModes(t, dir, 0o755)
}

// readableDir is a directory another user gets to, unlike t.TempDir.
func readableDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "bolt-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil { //nolint:gosec // that is the point
		t.Fatal(err)
	}
	return dir
}

func TestReadOnlyIsExplained(t *testing.T) {
	t.Parallel()
	for name, place := range map[string]func(dir string) (string, error){
		"file": func(dir string) (string, error) {
			path := filepath.Join(dir, "state.db")
			return path, errors.Join(os.WriteFile(path, used(t), 0o400), os.Chmod(path, 0o444)) //nolint:gosec // that is the point
		},
		"directory": func(dir string) (string, error) {
			return filepath.Join(dir, "state.db"), os.Chmod(dir, 0o555) //nolint:gosec // that is the point
		},
		"directory to be made": func(dir string) (string, error) {
			return filepath.Join(dir, "new", "state.db"), os.Chmod(dir, 0o555) //nolint:gosec // that is the point
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path, err := place(readableDir(t))
			if err != nil {
				t.Fatal(err)
			}
			before, _ := os.ReadFile(path)
			out := runChild(t, "unprivileged", path)
			for _, part := range []string{"open state file " + path, "permission denied", "must be writable by the user"} {
				if !strings.Contains(out, part) {
					t.Errorf("%q does not say %q", out, part)
				}
			}
			if after, _ := os.ReadFile(path); string(after) != string(before) {
				t.Error("the file was touched")
			}
		})
	}
}
