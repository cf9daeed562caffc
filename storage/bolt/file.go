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
	"strconv"

	"go.etcd.io/bbolt"
)

const (
	fileMode fs.FileMode = 0o600
	dirMode  fs.FileMode = 0o700
)

// openFile opens or creates the bbolt file with the modes this package promises.
func openFile(path string, o Options) (*bbolt.DB, error) {
	if err := makeDir(filepath.Dir(path)); err != nil {
		return nil, err
	}
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		if err := create(path, o); err != nil {
			return nil, err
		}
	}
	db, err := openExisting(path, o)
	if errors.Is(err, errReplaced) { // which takes its time: once is enough
		return openExisting(path, o)
	}
	return db, err
}

// errReplaced: the file has lost its name to another one while it was opened. What
// is written to it would be gone.
var errReplaced = errors.New("the file was replaced while it was opened")

// create makes an empty state file under another name and gives it its own when
// it is complete. So a full disk or a crash at the first start leaves no half
// file, which the next start would have to take for a damaged one.
func create(path string, o Options) (err error) {
	dir := filepath.Dir(path)
	unfinished, err := os.CreateTemp(dir, "."+filepath.Base(path)+".new-*")
	if err != nil {
		return err
	}
	defer func() {
		if gone := os.Remove(unfinished.Name()); !errors.Is(gone, fs.ErrNotExist) {
			err = errors.Join(err, gone)
		}
	}()
	if err := errors.Join(unfinished.Chmod(fileMode), unfinished.Close()); err != nil {
		return err
	}
	db, err := openExisting(unfinished.Name(), o)
	if err != nil {
		return err
	}
	if err := errors.Join(prepare(db, o.Logger), db.Close()); err != nil {
		return err
	}
	// A link never replaces a file that another process made meanwhile. Not
	// every file system has them.
	if err := os.Link(unfinished.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		if err := os.Rename(unfinished.Name(), path); err != nil {
			return err
		}
	}
	return syncDir(dir)
}

func openExisting(path string, o Options) (db *bbolt.DB, err error) {
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
	db, err = bbolt.Open(path, fileMode, &bbolt.Options{
		Timeout:         o.LockTimeout,
		FreelistType:    bbolt.FreelistMapType, // the default one is slow to allocate in a file with many holes
		InitialMmapSize: mapSize(path),
		NoStatistics:    true,
		OpenFile: func(name string, flag int, mode fs.FileMode) (*os.File, error) {
			var err error
			file, err = openPrivate(name, flag, mode, o)
			return file, err
		},
	})
	// Compact may have put another file in place while this one was waited for.
	if err == nil && !named(file, path) {
		err = errors.Join(errReplaced, db.Close())
	}
	if err != nil {
		return nil, err
	}
	if mapSize(path) > 0 {
		db.AllocSize = growStep // bbolt's own is for files that grow to what is mapped
	}
	return db, nil
}

const (
	// mapAhead is how much more than the file is mapped at least: addresses, not
	// memory.
	mapAhead = 256 << 20
	// growStep is by how much the file grows when it has to.
	growStep = 256 << 10
)

// mapSize is how much of the address space to map for a file, 0 for what bbolt
// thinks. Mapping anew waits for the end of every read, an export for example, and
// all other calls wait with it: the more is mapped at the start, the less often.
func mapSize(path string) int {
	info, err := os.Stat(path)
	if err != nil || strconv.IntSize < 64 || runtime.GOOS == "windows" { // where the file would become that large
		return 0
	}
	return int(2*info.Size()) + mapAhead
}

// named reports whether a file is the one that a path leads to.
func named(file *os.File, path string) bool {
	own, err := file.Stat()
	if err != nil {
		return false
	}
	there, err := os.Stat(path)
	return err == nil && os.SameFile(own, there)
}

// openPrivate opens a file and narrows a mode that is too wide. Where that is
// not ours to do, as on some mounted volumes, the log says so.
func openPrivate(path string, flag int, mode fs.FileMode, o Options) (*os.File, error) {
	file, err := os.OpenFile(path, flag, mode)
	if err != nil {
		return nil, err
	}
	if err := narrow(file, mode); err != nil {
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
