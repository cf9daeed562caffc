// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
)

// fate is what a client knows of its grant.
type fate string

const (
	// live: tokens were handed out, and nothing was asked for that ends them.
	live fate = "live"
	// revoked: the revocation was acknowledged.
	revoked fate = "revoked"
	// unknown: an answer was lost that decided whether there are tokens.
	unknown fate = "unknown"
	// stolen: the code was presented twice and both answers came, so all must be over.
	stolen fate = "stolen"
)

// entry is one code that was handed out, and what became of it.
type entry struct {
	client client
	id     string
	fate   fate
	// held are the newest tokens; family are all refresh tokens, oldest first.
	held   tokens
	family []string
}

// ledger is what clients were told, to be compared with what there is in the end. A
// contradiction is noted when it is seen.
type ledger struct {
	mu      sync.Mutex
	entries []*entry
	counts  map[string]int
	wrong   []string
}

func newLedger() *ledger { return &ledger{counts: map[string]int{}} }

func (l *ledger) add(e *entry) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.entries = append(l.entries, e)
}

func (l *ledger) count(what string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.counts[what]++
}

func (l *ledger) counted(what string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.counts[what]
}

// lost counts the requests of which nobody knows what they did.
func (l *ledger) lost() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := l.counts["sign-in lost"]
	for what, count := range l.counts {
		if strings.Contains(what, "no outcome") {
			n += count
		}
	}
	return n
}

// violation notes what must never happen.
func (l *ledger) violation(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.wrong = append(l.wrong, fmt.Sprintf(format, args...))
}

// idOf is the grant of a code or a refresh token.
func idOf(value string) string {
	_, rest, _ := strings.Cut(value, "_")
	id, _, _ := strings.Cut(rest, ".")
	return id
}

// audit compares the ledger with the store and with what every gateway says.
func (l *ledger) audit(t *testing.T, c *cluster) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	stored := storedGrants(t, c)
	known := map[string]*entry{}
	fates := map[fate]int{}
	for _, e := range l.entries {
		if known[e.id] != nil {
			l.wrong = append(l.wrong, "two codes of one grant")
		}
		known[e.id] = e
		fates[e.fate]++
		if err := e.compare(t.Context(), stored[e.id]); err != nil {
			l.wrong = append(l.wrong, fmt.Sprintf("a %s grant: %v", e.fate, err))
		}
	}
	// A grant whose code nobody was handed: the answer to the callback was lost.
	orphans := 0
	for id, n := range stored {
		if n > 1 {
			l.wrong = append(l.wrong, fmt.Sprintf("a grant is listed %d times", n))
		}
		if known[id] == nil {
			orphans++
		}
	}
	if lost := l.counts["sign-in lost"]; orphans > lost {
		l.wrong = append(l.wrong, fmt.Sprintf("%d grants that nobody asked for: only %d sign-ins were lost", orphans, lost))
	}
	for _, what := range slices.Sorted(maps.Keys(l.counts)) {
		t.Logf("%5d %s", l.counts[what], what)
	}
	t.Logf("grants: %v, and %d whose code was lost", fates, orphans)
	if fates[live] == 0 || fates[revoked] == 0 || fates[stolen] == 0 {
		t.Error("not every fate came up: the test proves nothing")
	}
}

// report fails the test with what was found, the first of it if there is much.
func (l *ledger) report(t *testing.T) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	const enough = 20
	for _, w := range l.wrong[:min(enough, len(l.wrong))] {
		t.Error(w)
	}
	t.Logf("%d lost or doubled, or otherwise wrong", len(l.wrong))
}

// storedGrants counts the grants that are in the store by their id.
func storedGrants(t *testing.T, c *cluster) map[string]int {
	t.Helper()
	st, err := c.store.open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	accounts, next, err := st.Accounts(t.Context(), "", 1000)
	if err != nil || next != "" {
		t.Fatalf("list the accounts: %v", err)
	}
	found := map[string]int{}
	for _, a := range accounts {
		all, err := st.GrantsOf(t.Context(), a.Subject)
		if err != nil {
			t.Fatal(err)
		}
		for _, g := range all {
			found[g.ID]++
		}
	}
	// The list is an index; the record itself is what counts.
	for id := range found {
		if _, err := st.Grant(t.Context(), c.origin, id); errors.Is(err, storage.ErrNotFound) {
			delete(found, id)
		} else if err != nil {
			t.Fatal(err)
		}
	}
	return found
}

// compare is what every gateway must say of a grant, which is in the store n times.
func (e *entry) compare(ctx context.Context, n int) error {
	switch e.fate {
	case live:
		if n != 1 {
			return fmt.Errorf("it is there %d times, want once: lost", n)
		}
		return e.works(ctx)
	case revoked, stolen:
		if n != 0 {
			return fmt.Errorf("it is still there")
		}
		return e.over(ctx)
	}
	return nil
}

// works says that the newest tokens are good everywhere, and that older ones lead to
// the same successors as before and no others.
func (e *entry) works(ctx context.Context) error {
	for _, name := range names {
		if a, err := e.client.via(at(name)).call(ctx, e.held.Access); err != nil || a.status != http.StatusOK {
			return fmt.Errorf("the access token on %s: %d, %w", name, a.status, err)
		}
	}
	next, a, err := e.client.refresh(ctx, e.held.Refresh)
	if err != nil || a.status != http.StatusOK || slices.Contains(e.family, next.Refresh) {
		return fmt.Errorf("the newest refresh token: %d, %w: lost", a.status, err)
	}
	family := append(slices.Clone(e.family), next.Refresh)
	for i, old := range e.family {
		// Within refresh_grace a repeat is answered, later it ends the family, see
		// storage.Rotation. Neither may bring a token that is not of the family.
		got, a, err := e.client.refresh(ctx, old)
		switch {
		case err != nil:
			return err
		case a.status == http.StatusBadRequest:
			return nil
		case a.status != http.StatusOK || got.Refresh != family[i+1]:
			return fmt.Errorf("refresh token %d of %d: %d and another successor: doubled", i+1, len(family), a.status)
		}
	}
	return nil
}

// over says that nothing of it is good anywhere.
func (e *entry) over(ctx context.Context) error {
	for _, name := range names {
		on := e.client.via(at(name))
		if e.held.Access == "" {
			continue
		}
		if _, err := on.refusedSince(ctx, e.held.Access, time.Now()); err != nil {
			return fmt.Errorf("on %s: %w", name, err)
		}
		if _, a, err := on.refresh(ctx, e.held.Refresh); err != nil || a.status != http.StatusBadRequest {
			return fmt.Errorf("the refresh token on %s: %d, %w", name, a.status, err)
		}
	}
	return nil
}
