// SPDX-License-Identifier: Apache-2.0

package local

import (
	"container/list"
	"time"
)

// table is a bounded set of token buckets. When it is full, the one that was
// not used for longest goes; an absent bucket is a full one. Not safe for
// concurrent use.
type table struct {
	burst  float64
	refill time.Duration // per token
	most   int
	byKey  map[key]*list.Element
	recent *list.List // of *bucket, most recently used first
}

type bucket struct {
	key    key
	tokens float64
	at     time.Time
}

func newTable(burst int, refill time.Duration, most int) *table {
	return &table{
		burst: float64(burst), refill: refill, most: most,
		byKey: make(map[key]*list.Element), recent: list.New(),
	}
}

// take uses one token, if there is one.
func (t *table) take(k key, now time.Time) bool {
	b := t.bucket(k, now)
	if b.tokens < 1 {
		return false
	}
	b.tokens--
	return true
}

// has reports whether take would succeed.
func (t *table) has(k key, now time.Time) bool { return t.bucket(k, now).tokens >= 1 }

func (t *table) giveBack(k key, now time.Time) {
	b := t.bucket(k, now)
	b.tokens = min(t.burst, b.tokens+1)
}

func (t *table) forget(k key) {
	if e, ok := t.byKey[k]; ok {
		t.recent.Remove(e)
		delete(t.byKey, k)
	}
}

// bucket returns the bucket as of now. A clock that goes back refills nothing.
func (t *table) bucket(k key, now time.Time) *bucket {
	e, ok := t.byKey[k]
	if !ok {
		if t.recent.Len() >= t.most {
			t.forget(t.recent.Back().Value.(*bucket).key)
		}
		e = t.recent.PushFront(&bucket{key: k, tokens: t.burst, at: now})
		t.byKey[k] = e
	}
	t.recent.MoveToFront(e)
	b := e.Value.(*bucket)
	if passed := now.Sub(b.at); passed > 0 {
		b.tokens = min(t.burst, b.tokens+float64(passed)/float64(t.refill))
	}
	b.at = now
	return b
}
