// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/caddy-mcp/caddy-mcp-oauth/storage/bolt"
)

// grantsIn counts the grants in a state file, which nobody else has open, by id.
func grantsIn(path string) (found map[string]int, err error) {
	ctx := context.Background()
	store, err := bolt.Open(path, bolt.Options{SweepInterval: -1})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	found = map[string]int{}
	for cursor, done := "", false; !done; {
		page, next, err := store.Accounts(ctx, cursor, 1000)
		if err != nil {
			return nil, err
		}
		for _, account := range page {
			grants, err := store.GrantsOf(ctx, account.Subject)
			if err != nil {
				return nil, err
			}
			for _, g := range grants {
				found[g.ID]++
			}
		}
		cursor, done = next, next == ""
	}
	return found, nil
}

// compare holds the ledger against the grants that are stored.
func (l *ledger) compare(stored map[string]int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	known := map[string]bool{}
	for _, g := range l.grants {
		id := grantIDOf(g.family[0])
		if known[id] {
			l.note("doubled: two sign-ins brought one grant")
		}
		known[id] = true
		switch n := stored[id]; {
		case g.fate == held && n != 1:
			l.note("lost: a grant that is held is stored %d times", n)
		case g.fate == over && n != 0:
			l.note("resurrected: a grant that is over is stored %d times", n)
		}
	}
	strangers := 0
	for id := range stored {
		if !known[id] {
			strangers++
		}
	}
	if strangers > l.unknown {
		l.note("%d grants are stored that nobody was told of; only %d sign-ins had no answer", strangers, l.unknown)
	}
}

// sum counts what is wrong.
func (l *ledger) sum() (lost, back, other int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, w := range l.wrong {
		_, w, _ = strings.Cut(w, " ") // the time
		switch kind, _, _ := strings.Cut(w, ":"); kind {
		case "lost":
			lost++
		case "resurrected", "doubled":
			back++
		default:
			other++
		}
	}
	return lost, back, other
}

// clients counts those that are registered.
func (l *ledger) clients() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := 0
	for _, deleted := range l.programs {
		if !deleted {
			n++
		}
	}
	return n
}

// tokens counts the access tokens that were handed out.
func (l *ledger) tokens() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.counts["grants handed out"] + l.counts["refreshes"]
}

// failure is an error with the first things that are wrong, nil if nothing is.
func (l *ledger) failure() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.wrong) == 0 {
		return nil
	}
	const enough = 10
	return fmt.Errorf("%d things went wrong, the first of them:\n%s", len(l.wrong), strings.Join(l.wrong[:min(enough, len(l.wrong))], "\n"))
}
