// SPDX-License-Identifier: Apache-2.0

package postgres

import (
	"time"

	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
)

// The tables of migrations/, as the code sees them.
var (
	clients = table[storage.Client]{
		layout:  layout{"clients", []string{"key", "created_at", "expires_at", "data"}},
		kind:    storage.KindClient,
		key:     func(c *storage.Client) []byte { return keyOf(c.Issuer, c.ID) },
		expired: (*storage.Client).Expired,
		values: func(c *storage.Client) []any {
			if !c.Unused() {
				return []any{c.CreatedAt, nil}
			}
			return []any{c.CreatedAt, endColumn(c.ExpiresAt)}
		},
	}
	pendings = table[storage.Pending]{
		layout:  layout{"pendings", []string{"key", "expires_at", "data"}},
		kind:    storage.KindPending,
		key:     func(p *storage.Pending) []byte { return keyOf(p.Issuer, string(p.ID[:])) },
		expired: (*storage.Pending).Expired,
		values:  func(p *storage.Pending) []any { return []any{endColumn(p.ExpiresAt)} },
	}
	accounts = table[storage.Account]{
		layout:  layout{"accounts", []string{"key", "data"}},
		kind:    storage.KindAccount,
		key:     func(a *storage.Account) []byte { return keyOf(a.Subject) },
		expired: func(*storage.Account, time.Time) bool { return false },
	}
	grants = table[storage.Grant]{
		layout:  layout{"grants", []string{"key", "client", "subject", "expires_at", "data"}},
		kind:    storage.KindGrant,
		key:     func(g *storage.Grant) []byte { return keyOf(g.Issuer, g.ID) },
		expired: (*storage.Grant).Expired,
		values: func(g *storage.Grant) []any {
			return []any{keyOf(g.Issuer, g.ClientID), keyOf(g.Subject), endColumn(g.ExpiresAt)}
		},
	}
	sessions = table[storage.Session]{
		layout:  layout{"sessions", []string{"key", "subject", "expires_at", "data"}},
		kind:    storage.KindSession,
		key:     func(s *storage.Session) []byte { return keyOf(s.Issuer, string(s.ID[:])) },
		expired: (*storage.Session).Expired,
		values:  func(s *storage.Session) []any { return []any{keyOf(s.Subject), endColumn(s.End())} },
	}
	consents = table[storage.Consent]{
		layout:  layout{"consents", []string{"key", "subject", "expires_at", "data"}},
		kind:    storage.KindConsent,
		key:     func(c *storage.Consent) []byte { return keyOf(c.Issuer, string(c.ID[:])) },
		expired: (*storage.Consent).Expired,
		values:  func(c *storage.Consent) []any { return []any{keyOf(c.Issuer, c.Subject), endColumn(c.ExpiresAt)} },
	}
	usedIDs = table[storage.Once]{
		layout:  layout{"used_ids", []string{"key", "expires_at", "data"}},
		kind:    storage.KindOnce,
		key:     func(o *storage.Once) []byte { return keyOf(o.Issuer, string(o.ID[:])) },
		expired: (*storage.Once).Expired,
		values:  func(o *storage.Once) []any { return []any{endColumn(o.ExpiresAt)} },
	}
	signingKeys = table[storage.Key]{
		layout:  layout{"signing_keys", []string{"key", "issuer", "expires_at", "data"}},
		kind:    storage.KindKey,
		key:     func(k *storage.Key) []byte { return keyOf(k.Issuer, k.ID) },
		expired: (*storage.Key).Expired,
		values:  func(k *storage.Key) []any { return []any{keyOf(k.Issuer), endColumn(k.ExpiresAt)} },
	}
)

func layouts() []layout {
	return []layout{
		clients.layout, pendings.layout, accounts.layout, grants.layout,
		sessions.layout, consents.layout, usedIDs.layout, signingKeys.layout,
	}
}
