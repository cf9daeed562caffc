// SPDX-License-Identifier: Apache-2.0

// Package token seals, signs and recognises everything the gateway hands out:
// access tokens, authorization codes, refresh tokens, client secrets and the
// values that travel through the browser.
//
// One master key yields a key per purpose (HKDF, RFC 5869), so that a value made
// for one purpose is never accepted for another. A Ring may hold old master keys:
// new values use the first, values made with any of them are still accepted.
package token

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"strings"
)

// Purpose names what a derived key is for. The strings are part of the key
// derivation: changing one makes every value of that purpose invalid.
type Purpose string

// Purposes of sealed values and of message authentication codes.
const (
	PurposeAccess   Purpose = "access token"
	PurposeConsent  Purpose = "consent form"
	PurposeVerifier Purpose = "upstream pkce verifier"
	PurposeCSRF     Purpose = "csrf token"
	PurposeSession  Purpose = "mcp session id"
	PurposeEndpoint Purpose = "mcp legacy endpoint"
	// At rest, with the kind and the id of the record as associated data.
	PurposeUpstreamToken Purpose = "upstream token at rest"
	PurposeSigningKey    Purpose = "signing key at rest"

	purposeKeyCheck Purpose = "key check"

	purposeTag       Purpose = "token tag"
	purposeSuccessor Purpose = "refresh successor"
)

var allPurposes = []Purpose{
	PurposeAccess, PurposeConsent, PurposeVerifier, PurposeCSRF, PurposeSession, PurposeEndpoint,
	PurposeUpstreamToken, PurposeSigningKey, purposeKeyCheck,
	purposeTag, purposeSuccessor,
}

// ErrInvalid is the one answer to a value that was not made with a key of the
// ring, for this purpose and this associated data. It says no more on purpose.
var ErrInvalid = errors.New("token: invalid")

const (
	keyIDSize = 4
	nonceSize = 12
	tagSize   = 16
)

// Ring is the current master key and the ones before it. Immutable, safe for
// concurrent use.
type Ring struct{ keys []*derived }

type derived struct {
	id   [keyIDSize]byte
	aead map[Purpose]cipher.AEAD
	mac  map[Purpose][]byte
}

// NewRing derives the purpose keys. The first key is the one in use.
func NewRing(current Key, old ...Key) *Ring {
	r := &Ring{keys: []*derived{derive(current)}}
	for _, k := range old {
		r.keys = append(r.keys, derive(k))
	}
	return r
}

func derive(master Key) *derived {
	d := &derived{aead: map[Purpose]cipher.AEAD{}, mac: map[Purpose][]byte{}}
	copy(d.id[:], expand(master, "key id"))
	for _, p := range allPurposes {
		block, err := aes.NewCipher(expand(master, "seal "+string(p)))
		if err != nil {
			panic(err) // only for a wrong key length, which expand rules out
		}
		gcm, err := cipher.NewGCM(block)
		if err != nil {
			panic(err) // only for a block size other than AES's
		}
		d.aead[p] = gcm
		d.mac[p] = expand(master, "mac "+string(p))
	}
	return d
}

func expand(master Key, info string) []byte {
	k, err := hkdf.Key(sha256.New, master[:], nil, "caddy-mcp-oauth v1 "+info, sha256.Size)
	if err != nil {
		panic(err) // only for an output far longer than 32 bytes
	}
	return k
}

// Seal encrypts and authenticates plaintext for one purpose (AES-256-GCM with a
// random nonce) and returns it URL-safe. The associated data is not contained:
// Open needs the same one.
func (r *Ring) Seal(p Purpose, plaintext []byte, associated string) string {
	k := r.keys[0]
	buf := make([]byte, keyIDSize+nonceSize, keyIDSize+nonceSize+len(plaintext)+tagSize)
	copy(buf, k.id[:])
	_, _ = rand.Read(buf[keyIDSize:]) // never fails, see crypto/rand
	buf = k.aead[p].Seal(buf, buf[keyIDSize:], plaintext, []byte(associated))
	return base64.RawURLEncoding.EncodeToString(buf)
}

// Open reverses Seal or returns ErrInvalid.
func (r *Ring) Open(p Purpose, sealed, associated string) ([]byte, error) {
	buf, err := decode(sealed)
	if err != nil || len(buf) < keyIDSize+nonceSize+tagSize {
		return nil, ErrInvalid
	}
	for _, k := range r.keys {
		if [keyIDSize]byte(buf[:keyIDSize]) != k.id {
			continue
		}
		nonce, body := buf[keyIDSize:keyIDSize+nonceSize], buf[keyIDSize+nonceSize:]
		plain, err := k.aead[p].Open(body[:0], nonce, body, []byte(associated))
		if err != nil {
			return nil, ErrInvalid
		}
		return plain, nil
	}
	return nil, ErrInvalid
}

// Current reports whether a sealed value was made with the key in use, so that it
// need not be sealed again when keys were rotated. It says nothing about whether the
// value is genuine.
func (r *Ring) Current(sealed string) bool {
	buf, err := decode(sealed)
	return err == nil && len(buf) >= keyIDSize && [keyIDSize]byte(buf[:keyIDSize]) == r.keys[0].id
}

// MAC authenticates parts for one purpose with the current key. Parts are
// length-prefixed: ("ab","c") and ("a","bc") differ.
func (r *Ring) MAC(p Purpose, parts ...string) string {
	return base64.RawURLEncoding.EncodeToString(r.keys[0].sum(p, parts...))
}

// KeyCheck is a value by which HasKey recognises the key in use. It says nothing
// about the key and may be kept beside what was sealed with it.
func (r *Ring) KeyCheck() string { return r.MAC(purposeKeyCheck) }

// KeyChecks are those of all keys of the ring, the one in use first.
func (r *Ring) KeyChecks() []string {
	checks := make([]string, len(r.keys))
	for i, k := range r.keys {
		checks[i] = base64.RawURLEncoding.EncodeToString(k.sum(purposeKeyCheck))
	}
	return checks
}

// HasKey reports whether a KeyCheck was made with any key of the ring.
func (r *Ring) HasKey(check string) bool { return r.CheckMAC(purposeKeyCheck, check) }

// CheckMAC reports in constant time whether mac was made by MAC with any key of
// the ring.
func (r *Ring) CheckMAC(p Purpose, mac string, parts ...string) bool {
	got, err := decode(mac)
	if err != nil {
		return false
	}
	for _, k := range r.keys {
		if hmac.Equal(got, k.sum(p, parts...)) {
			return true
		}
	}
	return false
}

func (d *derived) sum(p Purpose, parts ...string) []byte {
	h := hmac.New(sha256.New, d.mac[p])
	var n [8]byte
	for _, part := range parts {
		binary.BigEndian.PutUint64(n[:], uint64(len(part)))
		h.Write(n[:])
		h.Write([]byte(part))
	}
	return h.Sum(nil)
}

// decode accepts one spelling of a value only. The decoder of encoding/base64
// skips line ends even in strict mode, and a token with one at its end would open
// but have another hash: a refresh token would look like reuse.
func decode(s string) ([]byte, error) {
	if strings.ContainsAny(s, "\r\n") {
		return nil, ErrInvalid
	}
	return base64.RawURLEncoding.Strict().DecodeString(s)
}
