// SPDX-License-Identifier: Apache-2.0

package storagetest

import (
	"crypto/sha256"
	"time"

	"github.com/caddy-mcp/caddy-mcp-oauth/identity"
	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
)

const (
	issuerA = "https://a.example.com"
	issuerB = "https://b.example.com"
)

func hash(secret string) storage.Hash { return sha256.Sum256([]byte(secret)) }

// The fixtures fill every field, so that a comparison notices one that an engine
// forgets.

func octocat() identity.Identity {
	return identity.Identity{
		Upstream: "github", Kind: identity.KindGitHub, ID: "583231", Login: "octocat", Name: "The Octocat",
		Email: "octocat@example.com", EmailVerified: true, Groups: []string{"acme", "acme/dev"},
	}
}

// NewClient is a client that never completed a sign-in, created now.
func NewClient(issuer, id string, now time.Time) *storage.Client {
	return &storage.Client{
		Issuer: issuer, ID: id, Name: "Inspector", URI: "https://client.example.com",
		RedirectURIs: []string{"http://127.0.0.1/callback", "cursor://anysphere/callback"},
		AuthMethod:   "client_secret_post", SecretHash: hash("secret of " + id),
		GrantTypes: []string{"authorization_code", "refresh_token"}, Scope: "mcp", ApplicationType: "native",
		SoftwareID: "inspector", SoftwareVersion: "1.2.3", RegistrationHash: hash("registration of " + id),
		CreatedAt: now, ExpiresAt: now.Add(24 * time.Hour),
	}
}

func authorization() storage.Authorization {
	return storage.Authorization{
		ClientID: "client", RedirectURI: "http://127.0.0.1:4711/callback", RedirectURIGiven: true, State: "xyz",
		Challenge: "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM", Resource: "https://a.example.com/mcp",
		Scopes: []string{"mcp", "offline_access"},
	}
}

// NewPending is an approved authorization request with ten minutes to go.
func NewPending(issuer, state string, now time.Time) *storage.Pending {
	return &storage.Pending{
		Issuer: issuer, ID: hash(state), Browser: hash("cookie"), Upstream: "github", Verifier: "sealed",
		Request: authorization(), Flow: "flow", CreatedAt: now, ExpiresAt: now.Add(10 * time.Minute),
	}
}

// NewGrant is a grant whose code, the text "code of <id>", is good for a minute.
func NewGrant(issuer, id string, now time.Time) *storage.Grant {
	return &storage.Grant{
		Issuer: issuer, ID: id, Subject: "github:583231", ClientID: "client", Resource: "https://a.example.com/mcp",
		Scopes: []string{"mcp"}, Identity: octocat(),
		Code: storage.Code{
			Hash: codeOf(id), Challenge: "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM",
			RedirectURI: "http://127.0.0.1:4711/callback", RedirectURIGiven: true, ExpiresAt: now.Add(time.Minute),
		},
		CreatedAt: now, ExpiresAt: now.Add(time.Minute),
	}
}

func codeOf(id string) storage.Hash { return hash("code of " + id) }

// NewRedemption redeems the code of NewGrant for the refresh secret "first".
func NewRedemption(id string) storage.Redemption {
	return storage.Redemption{Code: codeOf(id), Refresh: hash("first"), TTL: refreshTTL}
}

// NewSession is a browser that signed in now, with an hour until its idle end
// and eight until its absolute one.
func NewSession(issuer, cookie string, now time.Time) *storage.Session {
	who := octocat()
	return &storage.Session{
		Issuer: issuer, ID: hash(cookie), Subject: who.Subject(), Identity: who,
		CreatedAt: now, IdleAt: now.Add(sessionIdle), ExpiresAt: now.Add(sessionLife),
	}
}

// NewConsent is a remembered consent of a subject with 30 days to go.
func NewConsent(issuer, decision, subject string, now time.Time) *storage.Consent {
	return &storage.Consent{
		Issuer: issuer, ID: hash(decision), Subject: subject, CreatedAt: now, ExpiresAt: now.Add(consentLife),
	}
}

// NewAccount is the account of a user of GitHub who was checked now, not stored
// yet.
func NewAccount(id string, now time.Time) *storage.Account {
	who := octocat()
	who.ID = id
	return &storage.Account{Subject: who.Subject(), Identity: who, CheckedAt: now, Token: "sealed token of " + id}
}

func newAccount(now time.Time) *storage.Account { return NewAccount("583231", now) }

// NewKey is a signing key made now, with 90 days to go.
func NewKey(issuer, id string, now time.Time) *storage.Key {
	return &storage.Key{
		Issuer: issuer, ID: id, KeyID: "kid of " + id, Public: []byte(`{"kty":"EC","kid":"` + id + `"}`), Private: "sealed key " + id,
		CreatedAt: now, SignsFrom: now.Add(time.Hour), ExpiresAt: now.Add(keyLife),
	}
}
