// SPDX-License-Identifier: Apache-2.0

package bolt

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"go.etcd.io/bbolt"
)

// compactTx is how many bytes are copied in one transaction.
const compactTx = 16 << 20

// Compact writes the state file anew without the space that deleted records left
// behind, and returns its size before and after in bytes. Nobody may have the file
// open (ErrInUse). The copy is made beside it, for which there has to be room, and
// takes its place in one step once it is complete, compared and on disk. Whatever
// goes wrong before, the file is as it was. One that would not get smaller stays.
func Compact(path string) (before, after int64, err error) {
	c := compaction{at: func(string) {}}
	before, after, err = c.run(path)
	if err != nil {
		return 0, 0, fmt.Errorf("compact: %w", err)
	}
	return before, after, nil
}

// compaction is one run of Compact. at is told of its steps: tests end there.
type compaction struct {
	at func(step string)
}

func (c compaction) run(path string) (before, after int64, err error) {
	path, err = filepath.EvalSymlinks(path) // the link stays one
	if err != nil {
		return 0, 0, err
	}
	o := Options{}.withDefaults()
	old, err := openExisting(path, o)
	if err != nil {
		return 0, 0, explainOpen(path, err)
	}
	// The lock of the old file is held until the new one has its name: a server that
	// starts meanwhile waits, and then finds that it waited for the wrong file.
	defer func() { err = errors.Join(err, old.Close()) }()
	if err := newCommitter(old, o.Now, o.Logger).view(wantFormat); err != nil {
		return 0, 0, explainOpen(path, err)
	}
	info, err := os.Stat(path)
	if err != nil {
		return 0, 0, err
	}
	before = info.Size()
	name, err := c.copyBeside(path, info, old, o)
	if err != nil {
		return 0, 0, err
	}
	defer func() { err = errors.Join(err, removeIfThere(name)) }()
	made, err := os.Stat(name)
	if err != nil || made.Size() >= before {
		return before, before, err
	}
	return before, made.Size(), c.replace(path, name, old)
}

// wantFormat refuses a file that is no state of this version or an earlier one.
func wantFormat(tx *bbolt.Tx) error {
	v, err := checkFormat(tx)
	if err == nil && v == 0 {
		return fmt.Errorf("%w: it is empty", ErrForeign)
	}
	return err
}

// copyBeside makes a complete copy under another name in the same directory.
func (c compaction) copyBeside(path string, info fs.FileInfo, old *bbolt.DB, o Options) (name string, err error) {
	dir, prefix := filepath.Dir(path), "."+filepath.Base(path)+".compact-"
	// Those of runs that were killed. None is at work, as the file is ours.
	if err := removeAll(dir, prefix); err != nil {
		return "", err
	}
	unfinished, err := os.CreateTemp(dir, prefix+"*")
	if err != nil {
		return "", err
	}
	name = unfinished.Name()
	defer func() {
		if err != nil {
			err = errors.Join(err, removeIfThere(name))
		}
	}()
	// Whoever compacts, root for example, the server has to be able to open it.
	if err := errors.Join(unfinished.Chmod(fileMode), keepOwner(unfinished, info), unfinished.Close()); err != nil {
		return "", err
	}
	c.at("made")
	made, err := openExisting(name, o)
	if err != nil {
		return "", err
	}
	made.NoSync = true // once is enough, at the end
	err = newCommitter(old, o.Now, o.Logger).guarded(func() error {
		if err := bbolt.Compact(made, old, compactTx); err != nil {
			return err
		}
		c.at("copied")
		return errors.Join(sameContent(old, made), made.Sync())
	})
	return name, errors.Join(err, made.Close())
}

// replace gives the copy the name of the file.
func (c compaction) replace(path, name string, old *bbolt.DB) error {
	if runtime.GOOS == "windows" { // where an open file keeps its name
		if err := old.Close(); err != nil {
			return err
		}
	}
	c.at("complete")
	if err := os.Rename(name, path); err != nil {
		return err
	}
	c.at("replaced")
	return syncDir(filepath.Dir(path))
}

// sameContent fails unless two files have the same entries in all buckets.
func sameContent(a, b *bbolt.DB) error {
	return a.View(func(old *bbolt.Tx) error {
		return b.View(func(made *bbolt.Tx) error {
			return old.ForEach(func(name []byte, bucket *bbolt.Bucket) error {
				other := made.Bucket(name)
				if other == nil || !sameEntries(bucket.Cursor(), other.Cursor()) {
					return fmt.Errorf("the copy of bucket %q differs", name)
				}
				return nil
			})
		})
	})
}

func sameEntries(a, b *bbolt.Cursor) bool {
	k, v := a.First()
	k2, v2 := b.First()
	for k != nil && bytes.Equal(k, k2) && bytes.Equal(v, v2) {
		k, v = a.Next()
		k2, v2 = b.Next()
	}
	return k == nil && k2 == nil
}

func removeAll(dir, prefix string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if strings.HasPrefix(entry.Name(), prefix) {
			err = errors.Join(err, removeIfThere(filepath.Join(dir, entry.Name())))
		}
	}
	return err
}

func removeIfThere(name string) error {
	if err := os.Remove(name); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
