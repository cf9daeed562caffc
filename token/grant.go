// SPDX-License-Identifier: Apache-2.0

package token

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"strings"
)

// Prefixes of the values that name a grant: <prefix><grant id>.<secret>.
const (
	RefreshPrefix = "mcprt_"
	CodePrefix    = "mcpac_"
)

// Codes and refresh tokens name their grant, and their secret carries a tag: a
// MAC over prefix, grant id and secret body. The tag buys two things. A forged
// one dies here, without touching the store. And a refresh token whose tag holds
// but which the grant no longer knows was genuinely issued once, so presenting it
// is reuse and not a typing error; no history of old hashes has to be kept.
const bodySize = 32

// NewGrantID makes a random grant id of 128 bits.
func NewGrantID() string { return randomString(16) }

// NewCode makes an authorization code for a grant.
func (r *Ring) NewCode(grantID string) string { return r.newGrantSecret(CodePrefix, grantID) }

// NewRefresh makes the first refresh token of a grant.
func (r *Ring) NewRefresh(grantID string) string { return r.newGrantSecret(RefreshPrefix, grantID) }

// ParseCode returns the grant a code names, or ErrInvalid for one we did not make.
func (r *Ring) ParseCode(s string) (grantID string, err error) {
	return r.parseGrantSecret(CodePrefix, s)
}

// ParseRefresh returns the grant a refresh token names, or ErrInvalid for one we
// did not make.
func (r *Ring) ParseRefresh(s string) (grantID string, err error) {
	return r.parseGrantSecret(RefreshPrefix, s)
}

// Successors derives the refresh token that replaces presented, once per key of
// the ring, the current key first. It takes the key, the nonce and the presented
// token to derive it: a copy of the store is not enough, and a client that asks
// twice gets the same answer twice.
func (r *Ring) Successors(grantID, presented string, nonce []byte) []string {
	out := make([]string, 0, len(r.keys))
	for _, k := range r.keys {
		body := k.sum(purposeSuccessor, grantID, string(nonce), presented)
		out = append(out, k.assemble(RefreshPrefix, grantID, body))
	}
	return out
}

// NewNonce makes the nonce of a rotation.
func NewNonce() []byte {
	b := make([]byte, 16)
	_, _ = rand.Read(b) // never fails, see crypto/rand
	return b
}

func (r *Ring) newGrantSecret(prefix, grantID string) string {
	var body [bodySize]byte
	_, _ = rand.Read(body[:]) // never fails, see crypto/rand
	return r.keys[0].assemble(prefix, grantID, body[:])
}

func (d *derived) assemble(prefix, grantID string, body []byte) string {
	secret := append(body[:len(body):len(body)], d.tag(prefix, grantID, body)...)
	return prefix + grantID + "." + base64.RawURLEncoding.EncodeToString(secret)
}

func (d *derived) tag(prefix, grantID string, body []byte) []byte {
	return d.sum(purposeTag, prefix, grantID, string(body))[:tagSize]
}

func (r *Ring) parseGrantSecret(prefix, s string) (string, error) {
	rest, ok := strings.CutPrefix(s, prefix)
	if !ok {
		return "", ErrInvalid
	}
	grantID, encoded, ok := strings.Cut(rest, ".")
	if !ok || grantID == "" {
		return "", ErrInvalid
	}
	secret, err := decode(encoded)
	if err != nil || len(secret) != bodySize+tagSize {
		return "", ErrInvalid
	}
	for _, k := range r.keys {
		if hmac.Equal(secret[bodySize:], k.tag(prefix, grantID, secret[:bodySize])) {
			return grantID, nil
		}
	}
	return "", ErrInvalid
}

// Hash is what the store keeps of a secret.
func Hash(s string) [32]byte { return sha256.Sum256([]byte(s)) }
