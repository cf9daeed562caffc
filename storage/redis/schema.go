// SPDX-License-Identifier: Apache-2.0

package redis

import (
	"time"

	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
)

// format is the layout of the keys. Records have a version of their own.
//
//	{p}:meta              hash: format; head and low of the feed; importing
//	{p}:<kind>:<key>      a record, see value
//	{p}:ends:<kind>       sorted set: every key of the kind by its end, +inf without one
//	{p}:unused            sorted set: keys of unused clients by their age
//	{p}:<kind>:by_<owner>:<key>  set: keys of the records of an owner
//	{p}:feed              stream of changes
//
// No key has a TTL: what has none is not evicted by the volatile-* policies, and the
// clock of records is ours. The sweeper deletes.
const format = "1"

var (
	clients = table[storage.Client]{
		kind:    storage.KindClient,
		key:     func(c *storage.Client) key { return keyOf(c.Issuer, c.ID) },
		expired: (*storage.Client).Expired,
		end:     func(c *storage.Client) (time.Time, bool) { return c.ExpiresAt, c.Unused() },
		age:     func(c *storage.Client) (time.Time, bool) { return c.CreatedAt, c.Unused() },
	}
	pendings = table[storage.Pending]{
		kind:    storage.KindPending,
		key:     func(p *storage.Pending) key { return keyOf(p.Issuer, string(p.ID[:])) },
		expired: (*storage.Pending).Expired,
		end:     func(p *storage.Pending) (time.Time, bool) { return p.ExpiresAt, true },
	}
	accounts = table[storage.Account]{
		kind:      storage.KindAccount,
		key:       func(a *storage.Account) key { return keyOf(a.Subject) },
		expired:   func(*storage.Account, time.Time) bool { return false },
		end:       func(*storage.Account) (time.Time, bool) { return time.Time{}, false },
		announced: func(a *storage.Account) string { return a.Subject },
	}
	grants = table[storage.Grant]{
		kind:      storage.KindGrant,
		key:       func(g *storage.Grant) key { return keyOf(g.Issuer, g.ID) },
		expired:   (*storage.Grant).Expired,
		end:       func(g *storage.Grant) (time.Time, bool) { return g.ExpiresAt, true },
		groups:    []group[storage.Grant]{grantsOfClient, grantsOfSubject},
		announced: func(g *storage.Grant) string { return g.ID },
	}
	grantsOfClient = group[storage.Grant]{
		name: "by_client",
		of:   func(g *storage.Grant) key { return keyOf(g.Issuer, g.ClientID) },
	}
	grantsOfSubject = group[storage.Grant]{
		name: "by_subject",
		of:   func(g *storage.Grant) key { return keyOf(g.Subject) },
	}
	sessions = table[storage.Session]{
		kind:    storage.KindSession,
		key:     func(s *storage.Session) key { return keyOf(s.Issuer, string(s.ID[:])) },
		expired: (*storage.Session).Expired,
		end:     func(s *storage.Session) (time.Time, bool) { return s.End(), true },
		groups:  []group[storage.Session]{sessionsOfSubject},
	}
	sessionsOfSubject = group[storage.Session]{
		name: "by_subject",
		of:   func(s *storage.Session) key { return keyOf(s.Subject) },
	}
	consents = table[storage.Consent]{
		kind:    storage.KindConsent,
		key:     func(c *storage.Consent) key { return keyOf(c.Issuer, string(c.ID[:])) },
		expired: (*storage.Consent).Expired,
		end:     func(c *storage.Consent) (time.Time, bool) { return c.ExpiresAt, true },
		groups:  []group[storage.Consent]{consentsOfSubject},
	}
	consentsOfSubject = group[storage.Consent]{
		name: "by_subject",
		of:   func(c *storage.Consent) key { return keyOf(c.Issuer, c.Subject) },
	}
	usedIDs = table[storage.Once]{
		kind:    storage.KindOnce,
		key:     func(o *storage.Once) key { return keyOf(o.Issuer, string(o.ID[:])) },
		expired: (*storage.Once).Expired,
		end:     func(o *storage.Once) (time.Time, bool) { return o.ExpiresAt, true },
	}
	signingKeys = table[storage.Key]{
		kind:    storage.KindKey,
		key:     func(k *storage.Key) key { return keyOf(k.Issuer, k.ID) },
		expired: (*storage.Key).Expired,
		end:     func(k *storage.Key) (time.Time, bool) { return k.ExpiresAt, true },
		groups:  []group[storage.Key]{keysOfIssuer},
	}
	keysOfIssuer = group[storage.Key]{
		name: "by_issuer",
		of:   func(k *storage.Key) key { return keyOf(k.Issuer) },
	}
)

// kinds are all kinds of records there are.
var kinds = []storage.Kind{
	storage.KindClient, storage.KindPending, storage.KindAccount, storage.KindGrant,
	storage.KindSession, storage.KindConsent, storage.KindOnce, storage.KindKey,
}
