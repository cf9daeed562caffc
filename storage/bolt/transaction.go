// SPDX-License-Identifier: Apache-2.0

package bolt

import (
	"errors"
	"fmt"
	"runtime/debug"

	"go.etcd.io/bbolt"
)

// errUnchanged rolls back a transaction that has nothing to commit.
var errUnchanged = errors.New("nothing changed")

// attempt runs the group in one transaction. It returns the index of the call
// that failed, or -1 and the error of the transaction itself.
func (c *committer) attempt(group []*call) (failed int, err error) {
	if c.broken != nil {
		return -1, c.broken
	}
	failed = -1
	panicked := c.guarded(func() error {
		err = c.db.Update(func(tx *bbolt.Tx) error {
			var err error
			failed, err = c.runCalls(tx, group)
			return err
		})
		return nil
	})
	switch {
	case panicked != nil:
		// Between the calls, in bbolt: it may hold its lock for ever now.
		c.broken = panicked
		return -1, panicked
	case errors.Is(err, errUnchanged):
		return -1, nil
	}
	return failed, err
}

// runCalls runs every call whose caller still waits. It returns the index of the
// one that failed.
func (c *committer) runCalls(tx *bbolt.Tx, group []*call) (failed int, err error) {
	changed := false
	for i, own := range group {
		if own.err = own.ctx.Err(); own.err != nil {
			continue
		}
		w := &writeTx{tx: tx, now: c.now().Round(0).UTC()}
		// Caught here, a panic is undone like an error.
		if err := c.guarded(func() error { return own.fn(w) }); err != nil {
			return i, err
		}
		changed = changed || w.changed
	}
	if !changed {
		return -1, errUnchanged
	}
	return -1, nil
}

// view runs fn in a read transaction.
func (c *committer) view(fn func(*bbolt.Tx) error) error {
	return c.guarded(func() error { return c.db.View(fn) })
}

// guarded turns a panic into ErrDamaged. bbolt panics where a page does not
// hold what it must, and reading the mapping of a file that was cut short
// faults; neither may take down a server that has other sites to serve.
func (c *committer) guarded(fn func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			c.log.Error("state file access panicked", "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			err = fmt.Errorf("%w (%v)", ErrDamaged, p)
		}
	}()
	return fn()
}
