// SPDX-License-Identifier: Apache-2.0

//go:build linux || darwin

package bolt

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/caddy-mcp/caddy-mcp-oauth/storage/storagetest"
)

// limitFile lets no file of the process grow beyond a size, which for the writer
// is much the same as a full disk.
func limitFile(size uint64) error {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		return err
	}
	limit.Cur = size
	if size == 0 || size > limit.Max {
		limit.Cur = limit.Max
	}
	return syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit)
}

func init() { children["full"] = fullChild }

// fullChild writes until the disk is full, reads, makes room and goes on.
func fullChild(path string) error {
	clock := storagetest.NewClock()
	if err := limitFile(1); err != nil {
		return err
	}
	if s, err := Open(path, Options{SweepInterval: -1}); err == nil {
		return errors.Join(errors.New("a file was made on a full disk"), s.Close())
	} else if !strings.Contains(err.Error(), path) {
		return fmt.Errorf("open on a full disk: %w", err)
	}
	if left, err := os.ReadDir(filepath.Dir(path)); err != nil || len(left) > 0 {
		return fmt.Errorf("a full disk left %v, %w", left, err)
	}
	if err := limitFile(1 << 20); err != nil {
		return err
	}
	s, err := Open(path, Options{Now: clock.Now, SweepInterval: -1})
	if err != nil {
		return fmt.Errorf("after there was room: %w", err)
	}
	f := fuller{s, clock}
	acked, err := f.write(0)
	if err == nil || outcome(err) || !strings.Contains(err.Error(), "file too large") {
		return fmt.Errorf("writing to a full disk gave %w", err)
	}
	for range 5 {
		if _, err := f.write(acked); err == nil || outcome(err) {
			return fmt.Errorf("writing again to a full disk gave %w", err)
		}
		if err := f.check(acked); err != nil {
			return err
		}
	}
	if err := limitFile(0); err != nil {
		return err
	}
	if err := f.s.CreateGrant(f.ctx(), storagetest.NewGrant(issuer, "after", clock.Now())); err != nil {
		return fmt.Errorf("after there was room again: %w", err)
	}
	if err := errors.Join(f.check(acked), s.Close()); err != nil {
		return err
	}
	fmt.Print(acked)
	return nil
}

func TestFullDisk(t *testing.T) {
	t.Parallel()
	path := tempPath(t)
	var acked int
	if _, err := fmt.Sscan(runChild(t, "full", path), &acked); err != nil || acked < 10 {
		t.Fatalf("%d grants were written, %v: too few to mean anything", acked, err)
	}
	s, clock := open(t, path)
	checkFile(t, s)
	f := fuller{s, clock}
	if err := f.check(acked); err != nil {
		t.Error(err)
	}
	if _, err := s.Grant(t.Context(), issuer, "after"); err != nil {
		t.Error(err)
	}
}

// fuller fills a store with numbered grants.
type fuller struct {
	s     *Store
	clock *storagetest.Clock
}

func (fuller) ctx() context.Context { return context.Background() }

// write creates grants from the n-th on until it fails, and returns the number
// of the one that did.
func (f fuller) write(n int) (int, error) {
	for ; n < 100_000; n++ {
		if err := f.s.CreateGrant(f.ctx(), storagetest.NewGrant(issuer, fmt.Sprint("g", n), f.clock.Now())); err != nil {
			return n, err
		}
	}
	return n, nil
}

// check reads the first n grants, which were acknowledged, and the next one,
// which was not.
func (f fuller) check(n int) error {
	for i := range n {
		if _, err := f.s.Grant(f.ctx(), issuer, fmt.Sprint("g", i)); err != nil {
			return fmt.Errorf("grant %d of %d: %w", i, n, err)
		}
	}
	if _, err := f.s.Grant(f.ctx(), issuer, fmt.Sprint("g", n)); !outcome(err) {
		return fmt.Errorf("the grant that was not written: %w", err)
	}
	return nil
}
