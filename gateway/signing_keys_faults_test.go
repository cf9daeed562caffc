// SPDX-License-Identifier: Apache-2.0

package gateway_test

import (
	"context"
	"errors"

	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
)

var errStoreAway = errors.New("the store is away")

func (s *faultyStore) CreateKey(ctx context.Context, k *storage.Key) error {
	if err := s.fault("CreateKey"); err != nil {
		return err
	}
	return s.Store.CreateKey(ctx, k)
}

func (s *faultyStore) Keys(ctx context.Context, issuer string) ([]*storage.Key, error) {
	if err := s.fault("Keys"); err != nil {
		return nil, err
	}
	return s.Store.Keys(ctx, issuer)
}
