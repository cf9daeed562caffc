// SPDX-License-Identifier: Apache-2.0

package gateway

// changeLog remembers the last keys noted, up to a capacity, and in which order.
// It answers "was this key noted since then?" for as long as it can know; past
// its capacity it says that it lost track, and the caller reads again.
type changeLog struct {
	seq  uint64
	last map[string]uint64
	ring []string
	// base is the first mark that is worth something, see forget.
	base uint64
}

func newChangeLog(capacity int) *changeLog {
	return &changeLog{last: map[string]uint64{}, ring: make([]string, capacity)}
}

// note records a key, forgetting the oldest one when full.
func (c *changeLog) note(key string) {
	slot := c.seq % uint64(len(c.ring))
	if old := c.ring[slot]; c.seq >= uint64(len(c.ring)) && c.last[old] == c.seq-uint64(len(c.ring))+1 {
		delete(c.last, old)
	}
	c.seq++
	c.ring[slot] = key
	c.last[key] = c.seq
}

// has reports whether the key is among those remembered.
func (c *changeLog) has(key string) bool {
	_, ok := c.last[key]
	return ok
}

// mark is a point in time for since and lost.
func (c *changeLog) mark() uint64 { return c.seq }

// since reports whether the key was noted after the mark.
func (c *changeLog) since(key string, mark uint64) bool { return c.last[key] > mark }

// lost reports whether more was noted after the mark than is remembered.
func (c *changeLog) lost(mark uint64) bool {
	return mark < c.base || c.seq-mark >= uint64(len(c.ring))
}

// forget says that changes happened which were not noted: every mark until now is
// lost. What was noted stays known.
func (c *changeLog) forget() {
	c.note("")
	c.base = c.seq
}
