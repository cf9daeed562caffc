// SPDX-License-Identifier: Apache-2.0

package redis

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"strings"
)

// key is the last part of the name a record has in the database: a hash over its
// identifying parts, each with its length before it. So no choice of separators makes
// two records collide, names have one size however long or odd an id is, and the record
// of one issuer is out of reach of every other.
type key string

func keyOf(parts ...string) key {
	h := sha256.New()
	var size [8]byte
	for _, part := range parts {
		binary.BigEndian.PutUint64(size[:], uint64(len(part)))
		h.Write(size[:])
		h.Write([]byte(part))
	}
	return key(base64.RawURLEncoding.EncodeToString(h.Sum(nil)))
}

// valid reports whether k can have come from keyOf.
func (k key) valid() bool {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(string(k))
	return err == nil && len(raw) == sha256.Size && len(k) == base64.RawURLEncoding.EncodedLen(sha256.Size)
}

// DefaultPrefix is the prefix of Options where none is given.
const DefaultPrefix = "mcp_oauth"

// maxPrefix keeps the names of keys short: every record carries it.
const maxPrefix = 64

// checkPrefix wants a text that is a hash tag whatever stands behind it, and no
// pattern in an ACL rule.
func checkPrefix(prefix string) error {
	if prefix == "" || len(prefix) > maxPrefix {
		return fmt.Errorf("the prefix has %d characters; it can have 1 to %d", len(prefix), maxPrefix)
	}
	for _, c := range prefix {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', strings.ContainsRune("-_.:/", c):
		default:
			return fmt.Errorf("the prefix contains %q; it can contain letters, digits and -_.:/", c)
		}
	}
	return nil
}

// metaKey names the hash that holds the format and the position of the feed. The braces
// make the prefix the hash tag of all keys (Redis cluster specification, "hash tags"), so
// that one script may touch any of them.
func metaKey(prefix string) string { return "{" + prefix + "}:meta" }

// named returns the name of another key of the deployment.
func (s *Store) named(last string) string { return strings.TrimSuffix(s.meta, "meta") + last }
