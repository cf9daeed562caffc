// SPDX-License-Identifier: Apache-2.0

package github

import (
	"container/list"
	"crypto/sha256"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
)

const (
	// maxCache bounds what the cache holds, in bytes: some ten thousand users.
	maxCache = 16 << 20
	// entryOverhead is what an entry takes besides its contents, roughly.
	entryOverhead = 256
	// maxETag bounds an entity tag in bytes. GitHub's have about seventy.
	maxETag = 256
)

// decoded is what is kept of an answer: what was understood, not its bytes, of
// which nine in ten are addresses of other resources.
type decoded interface {
	// size is what it takes in memory, in bytes, roughly.
	size() int
}

// page is one page of a list.
type page interface {
	decoded
	// entries is how many GitHub sent, also those that do not count for us.
	entries() int
}

// cacheKey is a hash of a token and a URL, so that an answer to one user is
// never another's, and a token is not kept for its answers' sake.
type cacheKey [sha256.Size]byte

func keyOf(token string, u *url.URL) cacheKey {
	h := sha256.New()
	h.Write([]byte(token)) // printable ASCII without blanks, see isHeaderSafe
	h.Write([]byte{0})
	h.Write([]byte(u.String()))
	return cacheKey(h.Sum(nil))
}

// entry is a decoded answer and what proves that it still holds.
type entry struct {
	etag    string
	value   decoded
	headers headers
}

func (e entry) size() int {
	n := entryOverhead + len(e.etag) + e.value.size() + len(e.headers.sso)
	for _, s := range slices.Concat(e.headers.link, e.headers.scopes) {
		n += len(s)
	}
	return n
}

// cache keeps answers by least recent use. Values are shared and not changed.
type cache struct {
	mu      sync.Mutex
	limit   int // bytes
	used    int
	entries map[cacheKey]*list.Element
	recent  list.List // of *slot, newest first
}

type slot struct {
	key   cacheKey
	entry entry
}

func newCache(limit int) *cache {
	return &cache{limit: limit, entries: make(map[cacheKey]*list.Element)}
}

func (c *cache) get(key cacheKey) (entry, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.entries[key]
	if !ok {
		return entry{}, false
	}
	c.recent.MoveToFront(e)
	return e.Value.(*slot).entry, true
}

// put replaces what was there, also where the new answer cannot be kept: it is
// the newer one.
func (c *cache) put(key cacheKey, e entry) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if old, ok := c.entries[key]; ok {
		c.drop(old)
	}
	if e.etag == "" || e.size() > c.limit/8 {
		return
	}
	c.entries[key] = c.recent.PushFront(&slot{key, e})
	c.used += e.size()
	for c.used > c.limit {
		c.drop(c.recent.Back())
	}
}

func (c *cache) drop(e *list.Element) {
	s := c.recent.Remove(e).(*slot)
	delete(c.entries, s.key)
	c.used -= s.entry.size()
}

// etagOf is the entity tag (RFC 9110 §8.8.3) of an answer that may be kept.
func etagOf(h http.Header) string {
	etag := h.Get("ETag")
	opaque := strings.TrimPrefix(etag, "W/")
	if len(etag) > maxETag || len(opaque) < 2 || opaque[0] != '"' || opaque[len(opaque)-1] != '"' ||
		!isHeaderSafe(opaque) || strings.Contains(strings.ToLower(h.Get("Cache-Control")), "no-store") {
		return ""
	}
	return etag
}
