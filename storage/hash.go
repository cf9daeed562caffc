// SPDX-License-Identifier: Apache-2.0

package storage

import (
	"crypto/subtle"
	"encoding/base64"
	"fmt"
)

// Equal compares in constant time, so that an answer's timing says nothing of
// how much of a guess was right.
func (h Hash) Equal(other Hash) bool {
	return subtle.ConstantTimeCompare(h[:], other[:]) == 1
}

// MarshalText writes the hash as 43 characters of base64url without padding,
// the form RFC 7636 uses for a challenge.
func (h Hash) MarshalText() ([]byte, error) {
	return base64.RawURLEncoding.AppendEncode(nil, h[:]), nil
}

// UnmarshalText accepts what MarshalText writes and nothing else.
func (h *Hash) UnmarshalText(text []byte) error {
	// The decoder skips line ends, so the length of both sides counts.
	raw, err := base64.RawURLEncoding.Strict().AppendDecode(nil, text)
	if err != nil {
		return fmt.Errorf("storage: decode hash: %w", err)
	}
	if len(raw) != len(h) || len(text) != base64.RawURLEncoding.EncodedLen(len(h)) {
		return fmt.Errorf("storage: decode hash: %d bytes in %d characters", len(raw), len(text))
	}
	copy(h[:], raw)
	return nil
}
