// SPDX-License-Identifier: Apache-2.0

// Package keyset reads the public keys with which a client signs (RFC 7517) and
// verifies its signatures (RFC 7515). Both come from strangers.
package keyset

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/go-jose/go-jose/v4"
)

const (
	// MaxBytes bounds a key set.
	MaxBytes = 64 << 10

	maxKeys    = 64
	minRSABits = 2048
	maxRSABits = 4096 // more costs too much, and go-jose takes no more

	// maxTries bounds the keys one signature is tried with: whoever publishes many
	// has to say which one made it. Each try costs up to a millisecond.
	maxTries = 4
)

// Errors of Verify.
var (
	// ErrUnknownKey: no key of the set can have made the signature. A newer copy
	// of the set may have one.
	ErrUnknownKey = errors.New("no key of the client fits the assertion")
	// ErrSignature: it is no JWS, its algorithm is not allowed, or the signature
	// is wrong.
	ErrSignature = errors.New("the signature cannot be verified")
)

// Set is the usable keys of a JWK set.
type Set struct{ keys []key }

type key struct {
	id, alg string // either may be empty
	public  any
}

// privateMembers are those of RFC 7518 §6 that no published key may have.
var privateMembers = []string{"d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv"}

// Parse reads a JWK set. Keys that are not for signatures, or of a type, size or
// form we do not know, are left out, as RFC 7517 §5 wants. A set without any that
// is left is an error, and so is one with a private or symmetric key in it: it
// cannot prove who signs.
func Parse(raw []byte) (*Set, error) {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if len(raw) > MaxBytes {
		return nil, errors.New("the key set is too long")
	}
	if err := json.Unmarshal(raw, &set); err != nil {
		return nil, errors.New("the key set is not a JSON object with keys")
	}
	if len(set.Keys) > maxKeys {
		return nil, fmt.Errorf("the key set has more than %d keys", maxKeys)
	}
	s := &Set{}
	for i, member := range set.Keys {
		if err := public(member); err != nil {
			return nil, fmt.Errorf("keys[%d]: %w", i, err)
		}
		if k, ok := parseKey(member); ok {
			s.keys = append(s.keys, k)
		}
	}
	if len(s.keys) == 0 {
		return nil, errors.New("the key set has no key that can be used")
	}
	return s, nil
}

func public(raw json.RawMessage) error {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(raw, &members); err != nil {
		return errors.New("not a JSON object")
	}
	for _, name := range privateMembers {
		if _, ok := members[name]; ok {
			return errors.New("it is private or symmetric, and no secret any more")
		}
	}
	return nil
}

func parseKey(raw json.RawMessage) (key, bool) {
	var usage struct {
		Ops []string `json:"key_ops"`
	}
	var jwk jose.JSONWebKey
	if json.Unmarshal(raw, &usage) != nil || jwk.UnmarshalJSON(raw) != nil || !jwk.Valid() {
		return key{}, false
	}
	if jwk.Use != "" && jwk.Use != "sig" || usage.Ops != nil && !slices.Contains(usage.Ops, "verify") {
		return key{}, false
	}
	switch k := jwk.Key.(type) {
	case *rsa.PublicKey:
		if bits := k.N.BitLen(); bits < minRSABits || bits > maxRSABits {
			return key{}, false
		}
	case *ecdsa.PublicKey:
		if k.Curve != elliptic.P256() {
			return key{}, false
		}
	case ed25519.PublicKey:
	default:
		return key{}, false
	}
	return key{id: jwk.KeyID, alg: jwk.Algorithm, public: jwk.Key}, true
}

// Verify checks the signature of a JWS in compact form and returns its payload.
// The algorithm must be one of algorithms and fit the key: a key says by its type,
// and mostly by its alg, what it is used with. A key id, if there is one, picks the
// keys; no more than four are tried.
func (s *Set) Verify(compact string, algorithms []string) ([]byte, error) {
	allowed := make([]jose.SignatureAlgorithm, len(algorithms))
	for i, a := range algorithms {
		allowed[i] = jose.SignatureAlgorithm(a)
	}
	jws, err := jose.ParseSignedCompact(compact, allowed)
	if err != nil || len(jws.Signatures) != 1 {
		return nil, ErrSignature
	}
	header := jws.Signatures[0].Protected
	tries := 0
	for _, k := range s.keys {
		if tries == maxTries || !k.fits(header.KeyID, header.Algorithm) {
			continue
		}
		tries++
		if payload, err := jws.Verify(k.public); err == nil {
			return payload, nil
		}
	}
	if tries == 0 {
		return nil, ErrUnknownKey
	}
	return nil, ErrSignature
}

func (k key) fits(id, alg string) bool {
	if id != "" && id != k.id || k.alg != "" && k.alg != alg {
		return false
	}
	switch k.public.(type) {
	case *rsa.PublicKey:
		return alg == string(jose.RS256) || alg == string(jose.PS256)
	case *ecdsa.PublicKey:
		return alg == string(jose.ES256)
	default:
		return alg == string(jose.EdDSA)
	}
}

// Thumbprint is the same for the same keys, in whatever order and with whatever
// ids they are published (RFC 7638).
func (s *Set) Thumbprint() [sha256.Size]byte {
	var prints []string
	for _, k := range s.keys {
		jwk := jose.JSONWebKey{Key: k.public}
		p, err := jwk.Thumbprint(crypto.SHA256)
		if err != nil {
			continue // not of a key that was parsed
		}
		prints = append(prints, string(p))
	}
	slices.Sort(prints)
	h := sha256.New()
	for _, p := range slices.Compact(prints) {
		h.Write([]byte(p))
	}
	return [sha256.Size]byte(h.Sum(nil))
}
