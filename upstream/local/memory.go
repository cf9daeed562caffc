// SPDX-License-Identifier: Apache-2.0

package local

import (
	"container/list"
	"time"
)

// memory is a bounded set of keys, each of which is forgotten some time after it
// was last added. When it is full, the one that was added longest ago goes. Not
// safe for concurrent use.
type memory struct {
	life   time.Duration
	most   int
	byKey  map[key]*list.Element
	recent *list.List // of *memo, most recently added first
}

type memo struct {
	key key
	at  time.Time
}

func newMemory(life time.Duration, most int) *memory {
	return &memory{life: life, most: most, byKey: make(map[key]*list.Element), recent: list.New()}
}

func (m *memory) has(k key, now time.Time) bool {
	e, ok := m.byKey[k]
	return ok && now.Sub(e.Value.(*memo).at) < m.life
}

func (m *memory) add(k key, now time.Time) {
	if e, ok := m.byKey[k]; ok {
		e.Value.(*memo).at = now
		m.recent.MoveToFront(e)
		return
	}
	if m.recent.Len() >= m.most {
		oldest := m.recent.Back()
		delete(m.byKey, oldest.Value.(*memo).key)
		m.recent.Remove(oldest)
	}
	m.byKey[k] = m.recent.PushFront(&memo{key: k, at: now})
}
