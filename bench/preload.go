// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"iter"
	"strconv"
	"time"

	"github.com/caddy-mcp/caddy-mcp-oauth/identity"
	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
	"github.com/caddy-mcp/caddy-mcp-oauth/storage/bolt"
	"github.com/caddy-mcp/caddy-mcp-oauth/token"
)

// state is a state file with people who signed in, and the means to make their
// tokens: the same key as the gateway's.
type state struct {
	path     string
	issuer   string
	resource string
	grants   int
	ring     *token.Ring
	refresh  []string
}

// refreshTokens is how many grants have a refresh token that can be used.
const refreshTokens = 1000

// grantsPerUser is how many programs of one person are connected.
const grantsPerUser = 4

// preload makes a state file with n grants that were all redeemed.
func preload(path, issuer, resource string, n int) (*state, error) {
	key, err := token.LoadOrCreateKey(path + ".key")
	if err != nil {
		return nil, err
	}
	s := &state{path: path, issuer: issuer, resource: resource, grants: n, ring: token.NewRing(key)}
	for i := range min(n, refreshTokens) {
		s.refresh = append(s.refresh, s.ring.NewRefresh(grantID(i)))
	}
	store, err := bolt.Open(path, bolt.Options{SweepInterval: -1})
	if err != nil {
		return nil, err
	}
	return s, errors.Join(store.Import(context.Background(), s.entries(n)), store.Close())
}

// entries yields one client, the accounts and the grants.
func (s *state) entries(n int) iter.Seq2[storage.Entry, error] {
	now := time.Now().UTC()
	return func(yield func(storage.Entry, error) bool) {
		client := &storage.Client{
			Issuer: s.issuer, ID: clientID, RedirectURIs: []string{"http://127.0.0.1/callback"}, AuthMethod: "none", CreatedAt: now,
		}
		if !put(yield, storage.KindClient, client) {
			return
		}
		for user := range n/grantsPerUser + 1 {
			id := person(user)
			a := &storage.Account{Subject: id.Subject(), Identity: id, CheckedAt: now, Revision: 1}
			if !put(yield, storage.KindAccount, a) {
				return
			}
		}
		for i := range n {
			if !put(yield, storage.KindGrant, s.grant(i, now)) {
				return
			}
		}
	}
}

func put[R storage.Record](yield func(storage.Entry, error) bool, kind storage.Kind, rec *R) bool {
	data, err := storage.Encode(rec)
	return yield(storage.Entry{Kind: kind, Data: data}, err) && err == nil
}

const clientID = "bench"

func person(n int) identity.Identity {
	id := strconv.Itoa(1000 + n)
	return identity.Identity{
		Upstream: "github", Kind: identity.KindGitHub, ID: id, Login: "user" + id, Name: "User " + id,
		Email: "user" + id + "@example.com", EmailVerified: true, Groups: []string{"acme", "acme/eng"},
	}
}

func grantID(i int) string { return fmt.Sprintf("bench-grant-%d", i) }

// refreshToken is the first refresh token of a grant: it is made by the key, so
// that the gateway takes it for its own.
func (s *state) refreshToken(i int) string { return s.refresh[i] }

func (s *state) firstRefresh(i int) storage.Hash {
	if i < len(s.refresh) {
		return token.Hash(s.refresh[i])
	}
	return sha256.Sum256(fmt.Appendf(nil, "refresh %d", i))
}

func (s *state) grant(i int, now time.Time) *storage.Grant {
	id := person(i / grantsPerUser)
	return &storage.Grant{
		Issuer: s.issuer, ID: grantID(i), Subject: id.Subject(), ClientID: clientID, Resource: s.resource,
		Scopes: []string{"mcp"}, Identity: id,
		Code: storage.Code{
			Hash: sha256.Sum256(fmt.Appendf(nil, "code %d", i)), RedirectURI: "http://127.0.0.1/callback",
			ExpiresAt: now, RedeemedAt: now,
		},
		Refresh:   storage.Refresh{Current: s.firstRefresh(i)},
		CreatedAt: now, ExpiresAt: now.Add(90 * 24 * time.Hour),
	}
}

// accessToken is a token of a grant that is good for an hour.
func (s *state) accessToken(i int) string {
	return s.seal(i, s.resource, time.Now().Add(time.Hour))
}

func (s *state) seal(i int, resource string, expires time.Time) string {
	t, err := s.ring.SealAccess(token.Access{
		Issuer: s.issuer, GrantID: grantID(i), Subject: person(i / grantsPerUser).Subject(), ClientID: clientID,
		Resource: resource, Scopes: []string{"mcp"}, ExpiresAt: expires,
	})
	if err != nil {
		panic(err) // nothing in it can fail to encode
	}
	return t
}
