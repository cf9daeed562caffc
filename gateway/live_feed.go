// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"context"
	"errors"
	"fmt"

	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
)

// doubtAll forgets every grant and account in memory, because an unknown number of
// them changed. The next request of each reads it again, and what is being read now
// is read once more. Requests in flight end: whoever should have been cut off is
// among them, and the others connect again.
func (st *State) doubtAll() {
	st.live.doubtAll()
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

// reloadAccount shows what another gateway learnt of a person. Somebody who is not
// in use here is read when they come.
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

// inUse reports whether a person has live grants. Whether or not, what is being read
// of them at the moment is read again.
func (t *liveTable) inUse(subject string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.changed.note(subject)
	return t.accounts[subject] != nil
}
