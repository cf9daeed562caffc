// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
	"github.com/caddy-mcp/caddy-mcp-oauth/token"
)

// After a change of keys, what is sealed at rest is sealed again, a page at a time.
// It is not urgent: the old keys are in the ring until the operator takes them out.
const (
	resealPage  = 100
	resealPause = time.Second
)

// resealStep seals one page of some kind of record again, from cursor on, and
// returns the next cursor, "" after the last page, and how many it changed.
type resealStep func(ctx context.Context, cursor string) (next string, changed int, err error)

// resealSteps are the kinds of records that hold something sealed, in the order in
// which they are looked through.
func (st *State) resealSteps() []resealKind {
	return []resealKind{{"accounts", st.resealAccounts}, {"signing keys", st.resealKeys}}
}

type resealKind struct {
	name string
	step resealStep
}

// resealKeys is the step for signing keys: a few for each issuer. Issuers make
// themselves known right after the ring does, so it lets them.
func (st *State) resealKeys(ctx context.Context, _ string) (next string, changed int, err error) {
	select {
	case <-ctx.Done():
		return "", 0, ctx.Err()
	case <-time.After(resealPause):
	}
	for issuer := range st.issuers.Range {
		n, err := st.ResealSigningKeys(ctx, issuer.(string))
		changed += n
		if err != nil {
			return "", changed, err
		}
	}
	return "", changed, nil
}

// reseal runs once per ring, in the background. A newer ring ends it and begins anew.
func (st *State) reseal(ring *token.Ring) {
	st.checks.spawn(func() {
		defer func() {
			if p := recover(); p != nil { // a bug here must not end the process
				st.log.Error("panic while records were sealed with the new key", "panic", fmt.Sprint(p))
			}
		}()
		for _, kind := range st.resealSteps() {
			n, err := st.resealAll(st.checks.ctx, ring, kind.step)
			switch {
			case err != nil && st.checks.ctx.Err() == nil:
				st.log.Error("records could not be sealed with the new key; the old one is still needed",
					"records", kind.name, "error", err)
			case n > 0:
				st.log.Info("records sealed with the new key", "records", kind.name, "count", n)
			}
		}
	})
}

func (st *State) resealAll(ctx context.Context, ring *token.Ring, step resealStep) (changed int, err error) {
	timer := time.NewTimer(resealPause)
	defer timer.Stop()
	for cursor := ""; st.ring.Load() == ring; {
		next, n, err := step(ctx, cursor)
		changed += n
		if err != nil || next == "" {
			return changed, err
		}
		cursor = next
		timer.Reset(resealPause)
		select {
		case <-ctx.Done():
			return changed, ctx.Err()
		case <-timer.C:
		}
	}
	return changed, nil
}

// resealAccounts is the step for upstream tokens. One that was stored meanwhile was
// sealed with the key in use then.
func (st *State) resealAccounts(ctx context.Context, cursor string) (next string, changed int, err error) {
	page, next, err := st.store.Accounts(ctx, cursor, resealPage)
	if err != nil {
		return "", 0, fmt.Errorf("list accounts: %w", err)
	}
	for _, a := range page {
		sealed := st.resealed(a)
		if sealed == a.Token {
			continue
		}
		a.Token = sealed
		switch err := st.replaceAccount(ctx, a); {
		case err == nil:
			changed++
		case !errors.Is(err, storage.ErrChanged) && !errors.Is(err, storage.ErrNotFound):
			return "", changed, fmt.Errorf("replace account: %w", err)
		}
	}
	return next, changed, nil
}
