// SPDX-License-Identifier: Apache-2.0

package oidc

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"sync"

	"github.com/go-jose/go-jose/v4"
)

// testKey signs id_tokens.
type testKey struct {
	id        string
	algorithm jose.SignatureAlgorithm
	private   any // crypto.Signer, or bytes for HMAC
}

// Keys of the tests. A signs unless said otherwise; B is another of the provider's,
// Mallory's is nobody's.
var (
	keyA    = sync.OnceValue(func() testKey { return newECKey("a") })
	keyB    = sync.OnceValue(func() testKey { return newECKey("b") })
	mallory = sync.OnceValue(func() testKey { return newECKey("a") })
	keyRSA  = sync.OnceValue(func() testKey { return testKey{"rsa", jose.RS256, must(rsa.GenerateKey(rand.Reader, 2048))} })
	keyEd   = sync.OnceValue(func() testKey {
		_, private, err := ed25519.GenerateKey(rand.Reader)
		return testKey{"ed", jose.EdDSA, must(private, err)}
	})
)

func newECKey(id string) testKey {
	return testKey{id, jose.ES256, must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func (k testKey) public() crypto.PublicKey { return k.private.(crypto.Signer).Public() }

func (k testKey) jwk() any {
	return jose.JSONWebKey{Key: k.public(), KeyID: k.id, Algorithm: string(k.algorithm), Use: "sig"}
}

func (k testKey) sign(c claims) string {
	return k.signBytes(must(json.Marshal(c)))
}

// signBytes signs what need not be JSON. Headers come in pairs of name and value.
func (k testKey) signBytes(payload []byte, headers ...string) string {
	options := &jose.SignerOptions{}
	if k.id != "" {
		options = options.WithHeader("kid", k.id)
	}
	for i := 0; i < len(headers); i += 2 {
		options = options.WithHeader(jose.HeaderKey(headers[i]), headers[i+1])
	}
	signer := must(jose.NewSigner(jose.SigningKey{Algorithm: k.algorithm, Key: k.private}, options))
	return must(must(signer.Sign(payload)).CompactSerialize())
}

// hashOf is at_hash (OpenID Connect Core §3.1.3.6).
func hashOf(k testKey, access string) string {
	h := crypto.SHA256
	if k.algorithm == jose.EdDSA {
		h = crypto.SHA512
	}
	d := h.New()
	d.Write([]byte(access))
	return base64.RawURLEncoding.EncodeToString(d.Sum(nil)[:h.Size()/2])
}

func marshal(c claims) ([]byte, error) { return json.Marshal(c) }
