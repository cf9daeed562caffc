// SPDX-License-Identifier: Apache-2.0

package bolt

import (
	"time"

	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
)

// Every kind of record has one bucket. Beside it lie indexes, ordered by time,
// whose entries point at records and are written in the same transaction.
var (
	bucketMeta = []byte("meta")

	clients = table[storage.Client]{
		bucket:  []byte("clients"),
		key:     func(c *storage.Client) key { return keyOf(c.Issuer, c.ID) },
		expired: (*storage.Client).Expired,
		indexes: []index[storage.Client]{
			{bucket: []byte("clients by end"), at: func(c *storage.Client) (time.Time, bool) { return c.ExpiresAt, c.Unused() }},
			{bucket: []byte("unused clients by age"), at: func(c *storage.Client) (time.Time, bool) { return c.CreatedAt, c.Unused() }, counted: true},
		},
	}
	pendings = table[storage.Pending]{
		bucket:  []byte("pendings"),
		key:     func(p *storage.Pending) key { return keyOf(p.Issuer, string(p.ID[:])) },
		expired: (*storage.Pending).Expired,
		indexes: []index[storage.Pending]{
			{bucket: []byte("pendings by end"), at: func(p *storage.Pending) (time.Time, bool) { return p.ExpiresAt, true }},
		},
	}
	grants = table[storage.Grant]{
		bucket:  []byte("grants"),
		key:     func(g *storage.Grant) key { return keyOf(g.Issuer, g.ID) },
		expired: (*storage.Grant).Expired,
		indexes: []index[storage.Grant]{
			// The end of a grant that is used moves with every refresh. That it is swept
			// later spares most of them the pages of the index.
			{bucket: []byte("grants by end"), at: func(g *storage.Grant) (time.Time, bool) { return g.ExpiresAt, true }, late: (*storage.Grant).Live},
		},
		groups: []group[storage.Grant]{grantsOfClient, grantsOfSubject},
	}
	grantsOfClient = group[storage.Grant]{
		bucket: []byte("grants of client"),
		of:     func(g *storage.Grant) key { return keyOf(g.Issuer, g.ClientID) },
	}
	grantsOfSubject = group[storage.Grant]{
		bucket: []byte("grants of subject"),
		of:     func(g *storage.Grant) key { return keyOf(g.Subject) },
	}
	sessions = table[storage.Session]{
		bucket:  []byte("sessions"),
		key:     func(s *storage.Session) key { return keyOf(s.Issuer, string(s.ID[:])) },
		expired: (*storage.Session).Expired,
		indexes: []index[storage.Session]{
			{bucket: []byte("sessions by end"), at: func(s *storage.Session) (time.Time, bool) { return s.End(), true }},
		},
		groups: []group[storage.Session]{sessionsOfSubject},
	}
	sessionsOfSubject = group[storage.Session]{
		bucket: []byte("sessions of subject"),
		of:     func(s *storage.Session) key { return keyOf(s.Subject) },
	}
	consents = table[storage.Consent]{
		bucket:  []byte("consents"),
		key:     func(c *storage.Consent) key { return keyOf(c.Issuer, string(c.ID[:])) },
		expired: (*storage.Consent).Expired,
		indexes: []index[storage.Consent]{
			{bucket: []byte("consents by end"), at: func(c *storage.Consent) (time.Time, bool) { return c.ExpiresAt, true }},
		},
		groups: []group[storage.Consent]{consentsOfSubject},
	}
	consentsOfSubject = group[storage.Consent]{
		bucket: []byte("consents of subject"),
		of:     func(c *storage.Consent) key { return keyOf(c.Issuer, c.Subject) },
	}
	usedIDs = table[storage.Once]{
		bucket:  []byte("used"),
		key:     func(o *storage.Once) key { return keyOf(o.Issuer, string(o.ID[:])) },
		expired: (*storage.Once).Expired,
		indexes: []index[storage.Once]{
			{bucket: []byte("used by end"), at: func(o *storage.Once) (time.Time, bool) { return o.ExpiresAt, true }},
		},
	}
	accounts = table[storage.Account]{
		bucket:  []byte("accounts"),
		key:     func(a *storage.Account) key { return keyOf(a.Subject) },
		expired: func(*storage.Account, time.Time) bool { return false },
	}
	signingKeys = table[storage.Key]{
		bucket:  []byte("signing keys"),
		key:     func(k *storage.Key) key { return keyOf(k.Issuer, k.ID) },
		expired: (*storage.Key).Expired,
		indexes: []index[storage.Key]{
			{bucket: []byte("signing keys by end"), at: func(k *storage.Key) (time.Time, bool) { return k.ExpiresAt, true }},
		},
		groups: []group[storage.Key]{keysOfIssuer},
	}
	keysOfIssuer = group[storage.Key]{
		bucket: []byte("signing keys of issuer"),
		of:     func(k *storage.Key) key { return keyOf(k.Issuer) },
	}

	clientsByEnd = clients.indexes[0]
	clientsByAge = clients.indexes[1]
)

func bucketNames() [][]byte {
	names := [][]byte{bucketMeta}
	names = append(names, clients.buckets()...)
	names = append(names, pendings.buckets()...)
	names = append(names, grants.buckets()...)
	names = append(names, accounts.buckets()...)
	names = append(names, sessions.buckets()...)
	names = append(names, consents.buckets()...)
	names = append(names, usedIDs.buckets()...)
	return append(names, signingKeys.buckets()...)
}
