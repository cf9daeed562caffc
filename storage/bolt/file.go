// SPDX-License-Identifier: Apache-2.0

package bolt

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"

	"go.etcd.io/bbolt"
)

const (
	fileMode fs.FileMode = 0o600
	dirMode  fs.FileMode = 0o700
)

// openFile opens or creates the bbolt file with the modes this package promises.
func openFile(path string, o Options) (db *bbolt.DB, err error) {
	if err := makeDir(filepath.Dir(path)); err != nil {
		return nil, err
	}
	var file *os.File
	// bbolt trusts what it maps: a damaged page panics, one beyond the end of a
	// file that was cut short faults. It would then leave the file locked.
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			db, err = nil, fmt.Errorf("%w (%v)", ErrDamaged, p)
		}
		if err != nil && file != nil {
			unlock(file) // for after a panic the mapping stays, and the lock with it
			_ = file.Close()
		}
	}()
	return bbolt.Open(path, fileMode, &bbolt.Options{
		Timeout:      o.LockTimeout,
		FreelistType: bbolt.FreelistMapType, // the default one is slow to allocate in a file with many holes
		NoStatistics: true,
		OpenFile: func(name string, flag int, mode fs.FileMode) (*os.File, error) {
			var err error
			file, err = openPrivate(name, flag, mode, o)
			return file, err
		},
	})
}

// openPrivate opens a file nobody else can read, whatever the umask. A wider
// mode of an existing file is narrowed; where that is not ours to do, as on some
// mounted volumes, the log says so.
func openPrivate(path string, flag int, mode fs.FileMode, o Options) (*os.File, error) {
	_, err := os.Stat(path)
	created := errors.Is(err, fs.ErrNotExist)
	file, err := os.OpenFile(path, flag, mode)
	if err != nil {
		return nil, err
	}
	if created {
		if err := errors.Join(file.Chmod(mode), syncDir(filepath.Dir(path))); err != nil {
			return nil, errors.Join(err, file.Close())
		}
	} else if err := narrow(file, mode); err != nil {
		o.Logger.Warn("state file may be accessible to other users", "path", path, "error", err)
	}
	return file, nil
}

// narrow takes from a file the permissions beyond mode.
func narrow(file *os.File, mode fs.FileMode) error {
	info, err := file.Stat()
	if err != nil || runtime.GOOS == "windows" || info.Mode().Perm()&^mode == 0 {
		return err
	}
	return file.Chmod(mode)
}

// makeDir creates a directory and the missing ones above it, for this user only
// whatever the umask. Existing ones are left alone: they may serve others.
func makeDir(dir string) error {
	info, err := os.Stat(dir)
	if err == nil && !info.IsDir() {
		return fmt.Errorf("%s is not a directory", dir)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	parent := filepath.Dir(dir)
	if err := makeDir(parent); err != nil {
		return err
	}
	if err := os.Mkdir(dir, dirMode); err != nil {
		if errors.Is(err, fs.ErrExist) {
			return nil // another process was faster
		}
		return err
	}
	if err := os.Chmod(dir, dirMode); err != nil {
		return err
	}
	return syncDir(parent)
}

// syncDir makes a new name in dir survive a power loss; syncing the file itself
// does not.
func syncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil // has no such notion
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
