// SPDX-License-Identifier: Apache-2.0

package redis

import (
	"testing"
	"time"

	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
	"github.com/caddy-mcp/caddy-mcp-oauth/storage/storagetest"
)

// verbs are all there are, each on a record of its own kind.
func verbs(t *testing.T, s *Store) map[string]func() error {
	t.Helper()
	ctx, now := t.Context(), time.Now()
	pending, session := storagetest.NewPending(issuer, "state", now), storagetest.NewSession(issuer, "cookie", now)
	consent := storagetest.NewConsent(issuer, "decision", "github:1", now)
	k := &storage.Key{Issuer: issuer, ID: "1", ExpiresAt: now.Add(time.Hour)}
	return map[string]func() error{
		"CreateClient":   func() error { return s.CreateClient(ctx, storagetest.NewClient(issuer, "c", now)) },
		"Client":         func() error { _, err := s.Client(ctx, issuer, "c"); return err },
		"KeepClient":     func() error { return s.KeepClient(ctx, issuer, "c") },
		"DeleteClient":   func() error { _, err := s.DeleteClient(ctx, issuer, "c"); return err },
		"RememberOnce":   func() error { return s.RememberOnce(ctx, issuer, storage.Hash{1}, time.Hour) },
		"CreatePending":  func() error { return s.CreatePending(ctx, pending) },
		"Pending":        func() error { _, err := s.Pending(ctx, issuer, pending.ID); return err },
		"TakePending":    func() error { _, err := s.TakePending(ctx, issuer, pending.ID); return err },
		"SaveAccount":    func() error { return s.SaveAccount(ctx, &storage.Account{Subject: "github:1"}) },
		"ReplaceAccount": func() error { return s.ReplaceAccount(ctx, &storage.Account{Subject: "github:1"}) },
		"Account":        func() error { _, err := s.Account(ctx, "github:1"); return err },
		"Accounts":       func() error { _, _, err := s.Accounts(ctx, "", 10); return err },
		"CreateGrant":    func() error { return s.CreateGrant(ctx, storagetest.NewGrant(issuer, "g", now)) },
		"Grant":          func() error { _, err := s.Grant(ctx, issuer, "g"); return err },
		"RedeemCode":     func() error { _, err := s.RedeemCode(ctx, issuer, "g", storagetest.NewRedemption("g")); return err },
		"RotateRefresh":  func() error { _, err := s.RotateRefresh(ctx, issuer, "g", first(1)); return err },
		"RevokeGrant":    func() error { return s.RevokeGrant(ctx, issuer, "g") },
		"GrantsOf":       func() error { _, err := s.GrantsOf(ctx, "github:1"); return err },
		"CreateSession":  func() error { return s.CreateSession(ctx, session) },
		"Session":        func() error { _, err := s.Session(ctx, issuer, session.ID); return err },
		"TouchSession":   func() error { return s.TouchSession(ctx, issuer, session.ID, time.Hour) },
		"DeleteSession":  func() error { return s.DeleteSession(ctx, issuer, session.ID) },
		"DeleteSessions": func() error { return s.DeleteSessions(ctx, "github:1") },
		"SaveConsent":    func() error { return s.SaveConsent(ctx, consent) },
		"Consent":        func() error { _, err := s.Consent(ctx, issuer, consent.ID); return err },
		"DeleteConsents": func() error { return s.DeleteConsents(ctx, issuer, "github:1") },
		"CreateKey":      func() error { return s.CreateKey(ctx, k) },
		"Keys":           func() error { _, err := s.Keys(ctx, issuer); return err },
		"ReplaceKey":     func() error { return s.ReplaceKey(ctx, k) },
		"Head":           func() error { _, err := s.Head(ctx); return err },
		"Changes":        func() error { _, _, err := s.Changes(ctx, 1, 10); return err },
		"Sweep":          func() error { _, err := s.Sweep(ctx); return err },
		"Export": func() error {
			for _, err := range s.Export(ctx) {
				if err != nil {
					return err
				}
			}
			return nil
		},
		"Import": func() error { return s.Import(ctx, func(func(storage.Entry, error) bool) {}) },
	}
}
