// SPDX-License-Identifier: Apache-2.0

package gateway_test

import (
	"context"

	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
)

func (s *faultyStore) CreateClient(ctx context.Context, c *storage.Client) error {
	if err := s.fault("CreateClient"); err != nil {
		return err
	}
	return s.Store.CreateClient(ctx, c)
}

func (s *faultyStore) Client(ctx context.Context, issuer, id string) (*storage.Client, error) {
	if err := s.fault("Client"); err != nil {
		return nil, err
	}
	return s.Store.Client(ctx, issuer, id)
}

func (s *faultyStore) KeepClient(ctx context.Context, issuer, id string) error {
	if err := s.fault("KeepClient"); err != nil {
		return err
	}
	return s.Store.KeepClient(ctx, issuer, id)
}

func (s *faultyStore) DeleteClient(ctx context.Context, issuer, id string) ([]string, error) {
	if err := s.fault("DeleteClient"); err != nil {
		return nil, err
	}
	return s.Store.DeleteClient(ctx, issuer, id)
}

func (s *faultyStore) CreatePending(ctx context.Context, p *storage.Pending) error {
	if err := s.fault("CreatePending"); err != nil {
		return err
	}
	return s.Store.CreatePending(ctx, p)
}

func (s *faultyStore) Pending(ctx context.Context, issuer string, id storage.Hash) (*storage.Pending, error) {
	if err := s.fault("Pending"); err != nil {
		return nil, err
	}
	return s.Store.Pending(ctx, issuer, id)
}

func (s *faultyStore) TakePending(ctx context.Context, issuer string, id storage.Hash) (*storage.Pending, error) {
	if err := s.fault("TakePending"); err != nil {
		return nil, err
	}
	return s.Store.TakePending(ctx, issuer, id)
}

func (s *faultyStore) SaveAccount(ctx context.Context, a *storage.Account) error {
	if err := s.fault("SaveAccount"); err != nil {
		return err
	}
	return s.Store.SaveAccount(ctx, a)
}

func (s *faultyStore) Account(ctx context.Context, subject string) (*storage.Account, error) {
	if err := s.fault("Account"); err != nil {
		return nil, err
	}
	return s.Store.Account(ctx, subject)
}

func (s *faultyStore) CreateGrant(ctx context.Context, g *storage.Grant) error {
	if err := s.fault("CreateGrant"); err != nil {
		return err
	}
	return s.Store.CreateGrant(ctx, g)
}

func (s *faultyStore) Grant(ctx context.Context, issuer, id string) (*storage.Grant, error) {
	s.mu.Lock()
	s.grantReads++
	hook := s.onGrant
	s.mu.Unlock()
	if hook != nil {
		hook()
	}
	if err := s.fault("Grant"); err != nil {
		return nil, err
	}
	return s.Store.Grant(ctx, issuer, id)
}

func (s *faultyStore) RedeemCode(ctx context.Context, issuer, id string, r storage.Redemption) (*storage.Grant, error) {
	if err := s.fault("RedeemCode"); err != nil {
		return nil, err
	}
	return s.Store.RedeemCode(ctx, issuer, id, r)
}

func (s *faultyStore) RotateRefresh(ctx context.Context, issuer, id string, r storage.Rotation) (*storage.Rotated, error) {
	if err := s.fault("RotateRefresh"); err != nil {
		return nil, err
	}
	return s.Store.RotateRefresh(ctx, issuer, id, r)
}

func (s *faultyStore) RevokeGrant(ctx context.Context, issuer, id string) error {
	if err := s.fault("RevokeGrant"); err != nil {
		return err
	}
	return s.Store.RevokeGrant(ctx, issuer, id)
}

func (s *faultyStore) ReplaceAccount(ctx context.Context, a *storage.Account) error {
	if err := s.fault("ReplaceAccount"); err != nil {
		return err
	}
	return s.Store.ReplaceAccount(ctx, a)
}

func (s *faultyStore) GrantsOf(ctx context.Context, subject string) ([]*storage.Grant, error) {
	if err := s.fault("GrantsOf"); err != nil {
		return nil, err
	}
	return s.Store.GrantsOf(ctx, subject)
}

func (s *faultyStore) DeleteSessions(ctx context.Context, subject string) error {
	if err := s.fault("DeleteSessions"); err != nil {
		return err
	}
	return s.Store.DeleteSessions(ctx, subject)
}
