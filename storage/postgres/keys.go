// SPDX-License-Identifier: Apache-2.0

package postgres

import (
	"crypto/sha256"
	"encoding/binary"
	"time"
)

// keyOf is where a record lies, or whom it belongs to: a hash over the parts, each
// with its length before it. So no choice of separators makes two of them meet,
// and what no text column could hold, or no index, is out of the way.
func keyOf(parts ...string) []byte {
	h := sha256.New()
	var size [8]byte
	for _, part := range parts {
		binary.BigEndian.PutUint64(size[:], uint64(len(part)))
		h.Write(size[:])
		h.Write([]byte(part))
	}
	return h.Sum(nil)
}

// endColumn is an end as a column has it. It is rounded up, so that "at or before
// now" says the same of it as Expired does of the record.
func endColumn(t time.Time) time.Time {
	if cut := t.Truncate(time.Microsecond); cut.Before(t) {
		return cut.Add(time.Microsecond)
	}
	return t
}
