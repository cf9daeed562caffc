// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
)

// follower takes over what other gateways on the same store changed of that which
// this one holds in memory: revoked grants, and accounts with other facts. Requests
// never ask the store for it; they only look at how old the last answer is.
type follower struct {
	st   *State
	feed storage.Feed
	log  *slog.Logger
	// began is where the time of synced counts from. Differences of the process's
	// own clock do not jump when the time of day is set.
	began time.Time
	// synced is when the feed was last known to have been read to its end, as the
	// time since began.
	synced atomic.Int64
	// tolerance is how old that may be, see State.SetMaxStaleness.
	tolerance atomic.Int64
	// missed says that the last reading found changes to be missing. Of run alone.
	missed bool
	stop   context.CancelFunc
	done   chan struct{}
}

const (
	// feedPoll is how long to wait for a wake-up before asking anyway. With the time
	// of the reading it keeps a revocation within two seconds everywhere.
	feedPoll = time.Second
	// feedRead bounds one reading.
	feedRead = 5 * time.Second
	// feedBatch is how many changes are read at once.
	feedBatch = 1000
	// feedReaders is how many of the accounts they are about are read at once.
	feedReaders = 8
	// feedHealthy is how old the last reading may be while nothing is wrong.
	feedHealthy = feedPoll + time.Second
	// defaultStaleness is the tolerance until SetMaxStaleness is called.
	defaultStaleness = time.Minute
	// feedRetry is the first wait after a failure, which doubles up to feedPoll.
	feedRetry = 50 * time.Millisecond
)

// follow starts reading the feed of the store, if it has one. A gateway that has a
// store to itself knows of every change by itself.
func (st *State) follow() {
	feed, ok := st.store.(storage.Feed)
	if !ok {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	f := &follower{st: st, feed: feed, log: st.log, began: st.now(), stop: cancel, done: make(chan struct{})}
	f.synced.Store(-1 << 62) // nothing was read yet
	f.tolerance.Store(int64(defaultStaleness + feedHealthy))
	st.follower = f
	var at position
	// At once, so that the first request need not wait. A failure is tried again.
	if _, err := f.read(ctx, &at); err == nil {
		f.synced.Store(0)
	}
	go f.run(ctx, at)
}

// SetMaxStaleness says how long tokens that were verified before are accepted while
// the feed of a shared store cannot be read, so that revocations may be missed.
// Without a shared store it means nothing.
func (st *State) SetMaxStaleness(d time.Duration) {
	if st.follower != nil {
		st.follower.tolerance.Store(int64(d + feedHealthy))
	}
}

// close ends the reading and waits for its end.
func (f *follower) close() {
	if f != nil {
		f.stop()
		<-f.done
	}
}

var errStale = errors.New("the store cannot be asked for revocations for longer than max_staleness")

// check fails if what this gateway knows is too old to let anybody in by it.
func (f *follower) check(now time.Time) error {
	if f == nil || int64(now.Sub(f.began))-f.synced.Load() <= f.tolerance.Load() {
		return nil
	}
	return errStale
}

// run reads the feed until ctx is done.
func (f *follower) run(ctx context.Context, at position) {
	defer close(f.done)
	retry := feedRetry
	for ctx.Err() == nil {
		began := f.st.now()
		more, err := f.read(ctx, &at)
		switch {
		case err == nil:
			if !more {
				f.synced.Store(int64(began.Sub(f.began)))
				f.recovered(&retry)
				f.feed.Wait(ctx, at.after, feedPoll)
			}
		case ctx.Err() != nil:
		default:
			f.failed(ctx, err, &retry)
		}
	}
}

// position is where a reader of the feed stands.
type position struct {
	known bool
	after uint64
}

// read takes over the next changes. more says that there may be others already.
func (f *follower) read(ctx context.Context, at *position) (more bool, err error) {
	if !at.known {
		return true, f.begin(ctx, at)
	}
	changes, next, err := f.ask(ctx, at.after)
	if errors.Is(err, storage.ErrMissed) {
		at.known = false
		if f.missed {
			return false, errAlwaysMissed
		}
		f.missed = true
		f.log.Warn("changes of other gateways were missed, everything held in memory is read again")
		return true, nil
	}
	if err != nil {
		return false, err
	}
	f.missed = false
	if err := f.apply(ctx, changes); err != nil {
		return false, err
	}
	at.after = next
	return len(changes) == feedBatch, nil
}

// errAlwaysMissed keeps the reader from asking in a tight loop.
var errAlwaysMissed = errors.New("the store says of its newest position that changes after it were missed")

func (f *follower) ask(ctx context.Context, after uint64) ([]storage.Change, uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, feedRead)
	defer cancel()
	return f.feed.Changes(ctx, after, feedBatch)
}

// begin starts at the end of the feed, with nothing in memory that is older. In this
// order: what is read from the store after it was forgotten is newer than the head.
func (f *follower) begin(ctx context.Context, at *position) error {
	ctx, cancel := context.WithTimeout(ctx, feedRead)
	defer cancel()
	head, err := f.feed.Head(ctx)
	if err != nil {
		return err
	}
	f.st.doubtAll()
	at.known, at.after = true, head
	return nil
}

// apply takes over a page of changes. What ended ends first: it needs no store. It
// fails only if ctx is done; see State.reloadAccounts for what cannot be read.
func (f *follower) apply(ctx context.Context, changes []storage.Change) error {
	accounts := map[string]bool{}
	for _, c := range changes {
		switch c.Kind {
		case storage.ChangeGrant:
			f.st.forgetGrant(c.ID)
		case storage.ChangeAccount:
			accounts[c.ID] = true
		default:
			// A newer gateway says something this one does not understand: whatever
			// it is about is not held in memory here.
		}
	}
	return f.st.reloadAccounts(ctx, accounts)
}

func (f *follower) failed(ctx context.Context, err error, retry *time.Duration) {
	if *retry == feedRetry {
		f.st.count(EventStoreFailed)
		f.log.Error("changes of other gateways cannot be read", "error", err)
	}
	if f.check(f.st.now()) != nil { // every time: one may have begun meanwhile
		f.st.streams.endNow(errStreamStale)
	}
	wait := time.NewTimer(*retry)
	defer wait.Stop()
	select {
	case <-ctx.Done():
	case <-wait.C:
	}
	*retry = min(2**retry, feedPoll)
}

func (f *follower) recovered(retry *time.Duration) {
	if *retry != feedRetry {
		f.log.Info("changes of other gateways are read again")
		*retry = feedRetry
	}
}
