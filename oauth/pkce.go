// SPDX-License-Identifier: Apache-2.0

package oauth

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
)

// MethodS256 is the only code_challenge_method we support (RFC 7636 §4.2).
const MethodS256 = "S256"

// s256Length is the length of an unpadded base64url SHA-256.
const s256Length = 43

// ValidChallenge reports whether s can be an S256 code_challenge: the unpadded
// base64url form of a hash, hence exactly 43 characters (RFC 7636 §4.2). A
// longer string could be a `plain` challenge but never match an S256 one.
func ValidChallenge(s string) bool {
	if len(s) != s256Length {
		return false
	}
	for _, c := range []byte(s) {
		if !alnum(c) && c != '-' && c != '_' {
			return false
		}
	}
	return true
}

// ValidVerifier reports whether s has the syntax of a code_verifier: 43 to 128
// unreserved characters (RFC 7636 §4.1).
func ValidVerifier(s string) bool {
	if len(s) < 43 || len(s) > 128 {
		return false
	}
	for _, c := range []byte(s) {
		if !unreserved(c) {
			return false
		}
	}
	return true
}

// VerifyS256 reports whether verifier is the secret behind challenge (RFC 7636
// §4.6). It compares in constant time; a malformed one of either is false.
func VerifyS256(challenge, verifier string) bool {
	if !ValidChallenge(challenge) || !ValidVerifier(verifier) {
		return false
	}
	sum := sha256.Sum256([]byte(verifier))
	want := base64.RawURLEncoding.EncodeToString(sum[:])
	return subtle.ConstantTimeCompare([]byte(want), []byte(challenge)) == 1
}
