// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"go.etcd.io/bbolt"
)

// disk is what it takes to make something durable, alone, each as the median of
// many: the yardsticks for everything that must not be lost.
type disk struct {
	// fsync is of one page that is written over in place, of which the file system
	// has nothing to note down.
	fsync time.Duration
	// appended is of one page that makes its file longer.
	appended time.Duration
	// commit is of one small value into a bbolt file with nothing else: a few pages
	// in different places, a sync, a page that points to them, and another sync.
	commit time.Duration
}

// measureDisk takes turns with the three, because disks change their mood.
func measureDisk(dir string) (disk, error) {
	dir, err := os.MkdirTemp(dir, "disk-")
	if err != nil {
		return disk{}, err
	}
	defer os.RemoveAll(dir)
	f, err := os.Create(filepath.Join(dir, "page"))
	if err != nil {
		return disk{}, err
	}
	defer f.Close()
	long, err := os.Create(filepath.Join(dir, "pages"))
	if err != nil {
		return disk{}, err
	}
	defer long.Close()
	db, err := bbolt.Open(filepath.Join(dir, "db"), 0o600, &bbolt.Options{FreelistType: bbolt.FreelistMapType})
	if err != nil {
		return disk{}, err
	}
	defer db.Close()
	var fsync, appended, commit []time.Duration
	for i := 0; i < 200 && err == nil; i++ {
		err = errors.Join(
			timed(&fsync, func() error { return writePage(f, 0) }),
			timed(&appended, func() error { return writePage(long, int64(i)*page) }),
			timed(&commit, func() error { return putOne(db, i) }),
		)
	}
	return disk{percentile(fsync, 0.5), percentile(appended, 0.5), percentile(commit, 0.5)}, err
}

const page = 4096

func writePage(f *os.File, at int64) error {
	if _, err := f.WriteAt(make([]byte, page), at); err != nil {
		return err
	}
	return f.Sync()
}

func putOne(db *bbolt.DB, n int) error {
	return db.Update(func(tx *bbolt.Tx) error {
		b, err := tx.CreateBucketIfNotExists([]byte("one"))
		if err != nil {
			return err
		}
		return b.Put([]byte("key"), fmt.Append(nil, n))
	})
}

func timed(all *[]time.Duration, f func() error) error {
	began := time.Now()
	err := f()
	*all = append(*all, time.Since(began))
	return err
}

// between is the mean of two measurements.
func (d disk) between(other disk) disk {
	return disk{(d.fsync + other.fsync) / 2, (d.appended + other.appended) / 2, (d.commit + other.commit) / 2}
}

func (d disk) String() string {
	us := time.Microsecond
	return fmt.Sprintf("fsync in place %v, appended %v, commit %v", d.fsync.Round(us), d.appended.Round(us), d.commit.Round(us))
}
