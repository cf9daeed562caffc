// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
)

// doubtAll forgets every grant and account in memory, because an unknown number of
// them changed. The next request of each reads it again, and what is being read now
// is read once more. Requests in flight end: whoever should have been cut off is
// among them, and the others connect again.
func (st *State) doubtAll() {
	st.live.doubtAll()
	st.doubts.Add(1)
	st.streams.endNow(errStreamStale)
}

func (t *liveTable) doubtAll() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.gone.forget()
	t.changed.forget()
	for _, g := range t.grants {
		t.drop(g, grantEvicted)
	}
}

// reloadAccounts shows what another gateway learnt of people. Somebody who is not in
// use here is read when they come. Whoever cannot be read now, because of their
// record, the store or the time it takes, is forgotten, and their requests in flight
// end: neither may one bad record keep everybody from what comes after it, nor may
// facts stand that are known to have changed. The error is that of ctx.
func (st *State) reloadAccounts(ctx context.Context, subjects map[string]bool) error {
	if len(subjects) == 0 {
		return nil
	}
	inTime, cancel := context.WithTimeout(ctx, feedRead)
	defer cancel()
	var (
		group  errgroup.Group
		mu     sync.Mutex
		doubts = map[string]bool{}
		reason error
	)
	group.SetLimit(feedReaders)
	for subject := range subjects {
		group.Go(func() error {
			if err := st.reloadAccount(inTime, subject); err != nil {
				mu.Lock()
				defer mu.Unlock()
				doubts[subject], reason = true, err
			}
			return nil
		})
	}
	_ = group.Wait() // none of them fails
	if err := ctx.Err(); err != nil || len(doubts) == 0 {
		return err
	}
	st.count(EventStoreFailed)
	st.log.Error("accounts that another gateway changed cannot be read; they are read again when their people come",
		"accounts", len(doubts), "error", reason)
	st.live.doubtAccounts(doubts)
	st.doubts.Add(1)
	st.streams.each(func(s *stream) {
		if doubts[s.grant.subject] {
			s.end(errStreamStale)
		}
	})
	return nil
}

func (st *State) reloadAccount(ctx context.Context, subject string) error {
	if !st.live.inUse(subject) {
		return nil
	}
	a, err := st.store.Account(ctx, subject)
	if errors.Is(err, storage.ErrNotFound) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read account: %w", err)
	}
	if st.live.show(a) {
		st.rejudgeSubject(subject)
	}
	return nil
}

// doubtAccounts makes the next request of each of these people read them again.
func (t *liveTable) doubtAccounts(subjects map[string]bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, g := range t.grants {
		if subjects[g.subject] {
			t.drop(g, grantEvicted)
		}
	}
}

// inUse reports whether a person has live grants. Whether or not, what is being read
// of them at the moment is read again.
func (t *liveTable) inUse(subject string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.changed.note(subject)
	return t.accounts[subject] != nil
}
