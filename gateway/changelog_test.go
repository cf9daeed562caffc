// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// naiveLog remembers everything: what a changeLog of endless capacity would say.
type naiveLog struct{ keys []string }

func (n *naiveLog) note(key string) { n.keys = append(n.keys, key) }

// remembered reports whether key is among the last capacity notes.
func (n *naiveLog) remembered(key string, capacity int) bool {
	return n.since(key, uint64(max(0, len(n.keys)-capacity)))
}

func (n *naiveLog) since(key string, mark uint64) bool {
	for _, k := range n.keys[mark:] {
		if k == key {
			return true
		}
	}
	return false
}

// Whatever is noted in whatever order, around the wrap and far beyond it: a
// changeLog never denies a change without admitting that it lost track.
func TestChangeLogAgainstANaiveModel(t *testing.T) {
	t.Parallel()
	for _, capacity := range []int{1, 2, 3, 8, 64} {
		for seed := range uint64(20) {
			t.Run(fmt.Sprintf("capacity %d seed %d", capacity, seed), func(t *testing.T) {
				t.Parallel()
				checkChangeLog(t, capacity, rand.New(rand.NewPCG(seed, uint64(capacity))))
			})
		}
	}
}

func checkChangeLog(t *testing.T, capacity int, rng *rand.Rand) {
	t.Helper()
	log, model := newChangeLog(capacity), &naiveLog{}
	keys := make([]string, 1+rng.IntN(2*capacity+2))
	for i := range keys {
		keys[i] = fmt.Sprint("k", i)
	}
	for range 6 * capacity {
		key := keys[rng.IntN(len(keys))]
		log.note(key)
		model.note(key)
		if n := len(log.last); n > capacity {
			t.Fatalf("remembers %d keys, capacity %d", n, capacity)
		}
		for _, k := range keys {
			if got, want := log.has(k), model.remembered(k, capacity); got != want {
				t.Fatalf("has(%s) %v, want %v after %v", k, got, want, model.keys)
			}
		}
		mark := uint64(rng.IntN(len(model.keys) + 1))
		if !log.lost(mark) {
			for _, k := range keys {
				if got, want := log.since(k, mark), model.since(k, mark); got != want {
					t.Fatalf("since(%s, %d) %v, want %v after %v", k, mark, got, want, model.keys)
				}
			}
		} else if behind := uint64(len(model.keys)) - mark; behind < uint64(capacity) {
			t.Fatalf("lost(%d) after only %d notes, capacity %d", mark, behind, capacity)
		}
	}
	if log.lost(log.mark()) {
		t.Fatal("lost track of nothing")
	}
}
