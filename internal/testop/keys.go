// SPDX-License-Identifier: Apache-2.0

package testop

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/go-jose/go-jose/v4"
	"github.com/zitadel/oidc/v3/pkg/op"
)

// signingKey implements op.SigningKey, and op.Key for its public half.
type signingKey struct {
	id        string
	algorithm jose.SignatureAlgorithm
	private   crypto.Signer
}

// The key is the same for all providers of a test binary, because making an RSA key
// takes longer than most tests; its id is not.
var sharedRSA = sync.OnceValue(func() *rsa.PrivateKey {
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return k
})

var keyCount atomic.Int64

func newKey(algorithm string) signingKey {
	k := signingKey{id: fmt.Sprintf("key-%d", keyCount.Add(1)), algorithm: jose.SignatureAlgorithm(algorithm)}
	if k.algorithm == jose.RS256 {
		k.private = sharedRSA()
		return k
	}
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	k.private = private
	return k
}

func (k signingKey) ID() string                                  { return k.id }
func (k signingKey) SignatureAlgorithm() jose.SignatureAlgorithm { return k.algorithm }
func (k signingKey) Key() any                                    { return k.private }

type publicKey struct{ signingKey }

func (k publicKey) Algorithm() jose.SignatureAlgorithm { return k.algorithm }
func (k publicKey) Use() string                        { return "sig" }
func (k publicKey) Key() any                           { return k.private.Public() }

var (
	_ op.SigningKey = signingKey{}
	_ op.Key        = publicKey{}
)

// RotateKey signs with a new ES256 key from now on. The old ones stay published
// only if keep is set.
func (p *Provider) RotateKey(keep bool) {
	k := newKey(string(jose.ES256))
	p.mu.Lock()
	defer p.mu.Unlock()
	if !keep {
		p.keys = nil
	}
	p.keys = append(p.keys, k)
}

func (p *Provider) currentKey() signingKey {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.keys[len(p.keys)-1]
}

// SignJWT signs claims with the provider's current key.
func (p *Provider) SignJWT(claims map[string]any) string {
	key := p.currentKey()
	signer, err := op.SignerFromKey(key)
	if err != nil {
		panic(err)
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		panic(err)
	}
	jws, err := signer.Sign(payload)
	if err != nil {
		panic(err)
	}
	compact, err := jws.CompactSerialize()
	if err != nil {
		panic(err)
	}
	return compact
}
