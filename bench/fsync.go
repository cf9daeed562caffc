// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"os"
	"path/filepath"
	"time"
)

// fsyncTime is what the disk takes to make one page durable, alone, as the median of
// many: the yardstick for everything that must not be lost.
func fsyncTime(dir string) (time.Duration, error) {
	f, err := os.Create(filepath.Join(dir, "fsync"))
	if err != nil {
		return 0, err
	}
	page := make([]byte, 4096)
	var took []time.Duration
	for i := 0; i < 200 && err == nil; i++ {
		began := time.Now()
		if _, err = f.WriteAt(page, 0); err == nil {
			err = f.Sync()
		}
		took = append(took, time.Since(began))
	}
	if err := errors.Join(err, f.Close(), os.Remove(f.Name())); err != nil {
		return 0, err
	}
	return percentile(took, 0.5), nil
}
