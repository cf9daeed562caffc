// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
	"github.com/caddy-mcp/caddy-mcp-oauth/token"
)

// maxKeyRounds bounds how often the store is read again because somebody else made a
// key at the same time. Two rounds are usual, more need several encryption keys.
const maxKeyRounds = 8

// complete reads the keys and makes the missing one. Of several gateways that do so at
// the same time one wins, and all end up with the same keys.
func (k *issuerKeys) complete(ctx context.Context) (*keySet, error) {
	ring, set := k.st.ring.Load(), k.set.Load()
	for range maxKeyRounds {
		records, err := k.st.store.Keys(ctx, k.issuer)
		if err != nil {
			return nil, fmt.Errorf("read signing keys: %w", err)
		}
		set = newKeySet(k.issuer, ring, records, set, k.st.log)
		now := k.st.now()
		plan, missing := planKey(set.keys, now)
		if !missing {
			return set, nil
		}
		if err := k.create(ctx, ring, records, plan); err != nil {
			// Whoever has a key that signs can wait for the next one.
			if signerAt(set.keys, now) != nil {
				k.st.log.Warn("signing key not made", "issuer", k.issuer, "error", err)
				return set, nil
			}
			return nil, err
		}
	}
	return nil, errNoSigner
}

// create stores a new key; that another gateway did so first is no error.
func (k *issuerKeys) create(ctx context.Context, ring *token.Ring, records []*storage.Key, plan keyPlan) error {
	rec, err := newKeyRecord(ring, k.issuer, plan, attempts(records, plan.period), k.st.now())
	if err != nil {
		return err
	}
	switch err := k.st.store.CreateKey(ctx, rec); {
	case errors.Is(err, storage.ErrExists):
		return nil
	case err != nil:
		return fmt.Errorf("store signing key: %w", err)
	}
	k.st.log.Info("signing key made", "issuer", k.issuer, "key", rec.ID, "kid", rec.KeyID,
		"signs_from", rec.SignsFrom, "expires", rec.ExpiresAt)
	return nil
}

// attempts counts the keys that were made for a period: the next one's number.
func attempts(records []*storage.Key, period int64) int {
	n, first := 0, keyID(period, 0)
	for _, rec := range records {
		if rec.ID == first || strings.HasPrefix(rec.ID, first+".") {
			n++
		}
	}
	return n
}
