// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
	"github.com/caddy-mcp/caddy-mcp-oauth/token"
)

// signingKey is a key of an issuer, opened.
type signingKey struct {
	id, kid            string
	signsFrom, expires time.Time
	created            time.Time
	// public is the JWK that is published.
	public []byte
	signer jose.Signer
}

// errKeyRecord: the record is not what it was sealed as.
var errKeyRecord = errors.New("the record of the signing key does not fit the key")

// sealedAs is the associated data of a sealed signing key: moved to another issuer,
// period or kind of record it does not open.
func sealedAs(k *storage.Key) string { return string(storage.KindKey) + " " + k.Issuer + " " + k.ID }

// newKeyRecord makes a key pair (P-256) for a plan.
func newKeyRecord(ring *token.Ring, issuer string, plan keyPlan, attempt int, now time.Time) (*storage.Key, error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make signing key: %w", err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return nil, fmt.Errorf("encode signing key: %w", err)
	}
	kid, public, err := publicJWK(&private.PublicKey)
	if err != nil {
		return nil, err
	}
	k := &storage.Key{
		Issuer: issuer, ID: keyID(plan.period, attempt), KeyID: kid, Public: public,
		CreatedAt: now.UTC(), SignsFrom: plan.signsFrom.UTC(), ExpiresAt: plan.expires,
	}
	k.Private = ring.Seal(token.PurposeSigningKey, der, sealedAs(k))
	return k, nil
}

// openKey opens a record. Its public half is not read but made again from the private
// one: who can write to the store but has no encryption key gets no key published.
func openKey(ring *token.Ring, issuer string, rec *storage.Key) (*signingKey, error) {
	if rec.Issuer != issuer {
		return nil, errKeyRecord
	}
	der, err := ring.Open(token.PurposeSigningKey, rec.Private, sealedAs(rec))
	if err != nil {
		return nil, err
	}
	parsed, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, errKeyRecord // without the cause, which may speak of the key
	}
	private, ok := parsed.(*ecdsa.PrivateKey)
	if !ok || private.Curve != elliptic.P256() {
		return nil, errKeyRecord
	}
	kid, public, err := publicJWK(&private.PublicKey)
	if err != nil {
		return nil, err
	}
	if kid != rec.KeyID {
		return nil, errKeyRecord
	}
	signer, err := jose.NewSigner(
		jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: private, KeyID: kid}},
		(&jose.SignerOptions{}).WithType(assertionType))
	if err != nil {
		return nil, fmt.Errorf("use signing key: %w", err)
	}
	return &signingKey{
		id: rec.ID, kid: kid, signsFrom: rec.SignsFrom, expires: rec.ExpiresAt, created: rec.CreatedAt,
		public: public, signer: signer,
	}, nil
}

// publicJWK is the published form of a key (RFC 7517 §4). Its id is its thumbprint
// (RFC 7638), so that no two keys ever share one.
func publicJWK(public *ecdsa.PublicKey) (kid string, jwk []byte, err error) {
	k := jose.JSONWebKey{Key: public, Algorithm: string(jose.ES256), Use: "sig"}
	sum, err := k.Thumbprint(crypto.SHA256)
	if err != nil {
		return "", nil, fmt.Errorf("name signing key: %w", err)
	}
	k.KeyID = base64.RawURLEncoding.EncodeToString(sum)
	jwk, err = k.MarshalJSON()
	if err != nil {
		return "", nil, fmt.Errorf("encode public key: %w", err)
	}
	return k.KeyID, jwk, nil
}

// ResealSigningKeys seals the signing keys of an issuer with the current encryption
// key where they still are with an older one, and tells how many. Those that do not
// open are left as they are. After it returned nil, no signing key of the issuer that
// can be opened needs an older encryption key.
func (st *State) ResealSigningKeys(ctx context.Context, issuer string) (resealed int, err error) {
	keys, err := st.store.Keys(ctx, issuer)
	if err != nil {
		return 0, fmt.Errorf("read signing keys: %w", err)
	}
	ring := st.ring.Load()
	for _, k := range keys {
		if ring.Current(k.Private) {
			continue
		}
		der, err := ring.Open(token.PurposeSigningKey, k.Private, sealedAs(k))
		if err != nil {
			continue
		}
		k.Private = ring.Seal(token.PurposeSigningKey, der, sealedAs(k))
		if err := st.store.ReplaceKey(ctx, k); errors.Is(err, storage.ErrNotFound) {
			continue // its end came first
		} else if err != nil {
			return resealed, fmt.Errorf("reseal signing key: %w", err)
		}
		resealed++
	}
	return resealed, nil
}
