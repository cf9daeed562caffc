// SPDX-License-Identifier: Apache-2.0

package gateway_test

import (
	"context"
	"time"

	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
)

func (s *faultyStore) CreateSession(ctx context.Context, session *storage.Session) error {
	if err := s.fault("CreateSession"); err != nil {
		return err
	}
	return s.Store.CreateSession(ctx, session)
}

func (s *faultyStore) Session(ctx context.Context, issuer string, id storage.Hash) (*storage.Session, error) {
	if err := s.fault("Session"); err != nil {
		return nil, err
	}
	return s.Store.Session(ctx, issuer, id)
}

func (s *faultyStore) TouchSession(ctx context.Context, issuer string, id storage.Hash, idle time.Duration) error {
	if err := s.fault("TouchSession"); err != nil {
		return err
	}
	return s.Store.TouchSession(ctx, issuer, id, idle)
}

func (s *faultyStore) DeleteSession(ctx context.Context, issuer string, id storage.Hash) error {
	if err := s.fault("DeleteSession"); err != nil {
		return err
	}
	return s.Store.DeleteSession(ctx, issuer, id)
}

func (s *faultyStore) SaveConsent(ctx context.Context, c *storage.Consent) error {
	if err := s.fault("SaveConsent"); err != nil {
		return err
	}
	return s.Store.SaveConsent(ctx, c)
}

func (s *faultyStore) Consent(ctx context.Context, issuer string, id storage.Hash) (*storage.Consent, error) {
	if err := s.fault("Consent"); err != nil {
		return nil, err
	}
	return s.Store.Consent(ctx, issuer, id)
}

func (s *faultyStore) DeleteConsents(ctx context.Context, issuer, subject string) error {
	if err := s.fault("DeleteConsents"); err != nil {
		return err
	}
	return s.Store.DeleteConsents(ctx, issuer, subject)
}

func (s *recordingStore) CreateSession(ctx context.Context, session *storage.Session) error {
	s.note("CreateSession", session)
	return s.Store.CreateSession(ctx, session)
}

func (s *recordingStore) TouchSession(ctx context.Context, issuer string, id storage.Hash, idle time.Duration) error {
	s.note("TouchSession", id)
	return s.Store.TouchSession(ctx, issuer, id, idle)
}

func (s *recordingStore) DeleteSession(ctx context.Context, issuer string, id storage.Hash) error {
	s.note("DeleteSession", id)
	return s.Store.DeleteSession(ctx, issuer, id)
}

func (s *recordingStore) SaveConsent(ctx context.Context, c *storage.Consent) error {
	s.note("SaveConsent", c)
	return s.Store.SaveConsent(ctx, c)
}

func (s *recordingStore) DeleteConsents(ctx context.Context, issuer, subject string) error {
	s.note("DeleteConsents", subject)
	return s.Store.DeleteConsents(ctx, issuer, subject)
}
