// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
	"github.com/caddy-mcp/caddy-mcp-oauth/token"
)

// ErrWrongKey: the store was written with other encryption keys. Going on would sign
// everybody out and leave what is sealed in the store unreadable.
var ErrWrongKey = errors.New("the encryption key is not the one this store was written with")

// keyCheckID is the record in which a store remembers its keys, of no issuer. It
// recognises them and says nothing about them.
const keyCheckID = "encryption keys"

// CheckKey holds a ring against the keys that a store was last used with: one of them
// has to be in it, or the answer is ErrWrongKey. Then the ring's keys are the ones to
// remember. A store that remembers none takes any.
func CheckKey(ctx context.Context, store storage.Store, ring *token.Ring) error {
	known, err := store.Keys(ctx, "")
	if err != nil {
		return fmt.Errorf("read the check of the encryption key: %w", err)
	}
	now := strings.Join(ring.KeyChecks(), " ")
	for _, k := range known {
		if k.ID != keyCheckID {
			continue
		}
		if k.Private == now {
			return nil
		}
		if !hasOneOf(ring, strings.Fields(k.Private)) {
			return ErrWrongKey
		}
		k.Private = now
		return store.ReplaceKey(ctx, k)
	}
	return remember(ctx, store, now)
}

func hasOneOf(ring *token.Ring, checks []string) bool {
	for _, c := range checks {
		if ring.HasKey(c) {
			return true
		}
	}
	return false
}

// remember notes the keys of a new store. Of several gateways that start at once with
// different keys, one wins and the others are refused.
func remember(ctx context.Context, store storage.Store, checks string) error {
	created := time.Now().UTC()
	err := store.CreateKey(ctx, &storage.Key{
		ID: keyCheckID, Private: checks, CreatedAt: created, SignsFrom: created,
		ExpiresAt: time.Date(9999, time.January, 1, 0, 0, 0, 0, time.UTC),
	})
	if !errors.Is(err, storage.ErrExists) {
		return err
	}
	known, err := store.Keys(ctx, "")
	if err != nil {
		return fmt.Errorf("read the check of the encryption key: %w", err)
	}
	for _, k := range known {
		if k.ID == keyCheckID && k.Private == checks {
			return nil
		}
	}
	return ErrWrongKey
}

// CheckKey is CheckKey for the store of this state. With the keys that are in effect,
// which were held against it, it does not ask the store: that may be away.
func (st *State) CheckKey(ctx context.Context, ring *token.Ring) error {
	if slices.Equal(ring.KeyChecks(), st.ring.Load().KeyChecks()) {
		return nil
	}
	return CheckKey(ctx, st.store, ring)
}
