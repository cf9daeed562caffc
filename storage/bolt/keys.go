// SPDX-License-Identifier: Apache-2.0

package bolt

import (
	"crypto/sha256"
	"encoding/binary"
	"time"
)

// key is where a record lies: a hash over its identifying parts, each with its
// length before it. So no choice of separators makes two records collide, keys
// have one size however long or odd an id is, and the record of one issuer is
// out of reach of every other.
type key [sha256.Size]byte

func keyOf(parts ...string) key {
	h := sha256.New()
	var size [8]byte
	for _, part := range parts {
		binary.BigEndian.PutUint64(size[:], uint64(len(part)))
		h.Write(size[:])
		h.Write([]byte(part))
	}
	return key(h.Sum(nil))
}

// stampSize is the length of a point in time inside an index key.
const stampSize = 12

// stamp writes a point in time so that bytes sort as times do.
func stamp(t time.Time) []byte {
	b := make([]byte, stampSize, stampSize+sha256.Size)
	binary.BigEndian.PutUint64(b, uint64(t.Unix())^1<<63) // seconds before 1970 sort first
	binary.BigEndian.PutUint32(b[8:], uint32(t.Nanosecond()))
	return b
}

// entryOf is the key of an index entry: when, then which record.
func entryOf(t time.Time, k key) []byte { return append(stamp(t), k[:]...) }
