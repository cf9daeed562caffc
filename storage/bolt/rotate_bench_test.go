// SPDX-License-Identifier: Apache-2.0

package bolt

import (
	"crypto/sha256"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
	"github.com/caddy-mcp/caddy-mcp-oauth/storage/storagetest"
)

// BenchmarkRotateRefresh is what a refresh costs in a file with ten thousand
// grants. Either all take turns, each once an hour, so that no retired token is in
// its grace; or each caller uses one grant without a pause, so that
// storage.MaxRetired of them are. The disk's mood changes by the second, so plain
// commits of bbolt are timed in between: commits/wait is how many of them a caller
// waits, rotations/commit how many rotations all callers get done during one.
func BenchmarkRotateRefresh(b *testing.B) {
	const all = 10_000
	for _, callers := range []int{1, 16, 64} {
		b.Run(fmt.Sprintf("hourly/%d at once", callers), func(b *testing.B) {
			benchRotations(b, callers, newRotations(b, all, all))
		})
		b.Run(fmt.Sprintf("without pause/%d at once", callers), func(b *testing.B) {
			benchRotations(b, callers, newRotations(b, all, callers))
		})
	}
}

// benchRotations has callers rotate b.N times in all, in rounds with plain commits in
// between.
func benchRotations(b *testing.B, callers int, r *rotations) {
	b.Helper()
	const perRound = 20
	plain := newPlain(b)
	b.ResetTimer()
	var alone, took, commits []time.Duration
	for i := 0; i < b.N; i += callers * perRound {
		began := time.Now()
		single := r.round(b, callers, min(perRound, (b.N-i+callers-1)/callers))
		took = append(took, time.Since(began))
		alone = append(alone, single...)
		for range perRound {
			began = time.Now()
			plain(b)
			commits = append(commits, time.Since(began))
		}
	}
	commit, total := median(commits), time.Duration(0)
	for _, d := range took {
		total += d
	}
	each := total / time.Duration(max(len(alone), 1))
	b.ReportMetric(float64(each), "ns/op")
	b.ReportMetric(float64(median(alone)), "ns/wait")
	b.ReportMetric(float64(commit), "ns/commit")
	b.ReportMetric(float64(median(alone))/float64(commit), "commits/wait")
	b.ReportMetric(float64(commit)/float64(each), "rotations/commit")
}

func median(d []time.Duration) time.Duration {
	if len(d) == 0 {
		return 0
	}
	slices.Sort(d)
	return d[len(d)/2]
}

// newPlain returns a function that commits one small value to a file of its own.
func newPlain(b *testing.B) func(*testing.B) {
	b.Helper()
	db, err := bbolt.Open(filepath.Join(b.TempDir(), "plain.db"), 0o600, &bbolt.Options{FreelistType: bbolt.FreelistMapType, NoStatistics: true})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = db.Close() })
	n := 0
	return func(b *testing.B) {
		n++
		err := db.Update(func(tx *bbolt.Tx) error {
			bucket, err := tx.CreateBucketIfNotExists([]byte("plain"))
			if err != nil {
				return err
			}
			return bucket.Put([]byte("key"), fmt.Append(nil, n))
		})
		if err != nil {
			b.Fatal(err)
		}
	}
}

// rotations are grants with the refresh secret that is current in each.
type rotations struct {
	store   *Store
	clock   *storagetest.Clock
	pause   time.Duration
	serial  atomic.Int64
	current []storage.Hash
	idle    chan int // those that are used and that nobody is rotating
}

// newRotations makes a store in which used of all grants will be rotated.
func newRotations(b *testing.B, all, used int) *rotations {
	b.Helper()
	s, clock := open(b, tempPath(b))
	r := &rotations{store: s, clock: clock, current: make([]storage.Hash, all), idle: make(chan int, used)}
	if used == all {
		r.pause = time.Hour / time.Duration(all)
	}
	for i := range used {
		r.idle <- i
	}
	for from := 0; from < all; from += 500 {
		err := s.committer.do(b.Context(), func(w *writeTx) error {
			for i := from; i < min(from+500, all); i++ {
				if err := grants.insert(w, r.grant(i)); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	return r
}

func (r *rotations) grant(i int) *storage.Grant {
	now := r.clock.Now()
	g := storagetest.NewGrant(issuer, fmt.Sprint(i), now)
	r.current[i] = r.fresh()
	g.Code.RedeemedAt, g.Refresh.Current = now, r.current[i]
	g.ExpiresAt = now.Add(90 * 24 * time.Hour)
	return g
}

func (r *rotations) fresh() storage.Hash {
	return sha256.Sum256(fmt.Append(nil, r.serial.Add(1)))
}

// round is n rotations by each caller.
func (r *rotations) round(b *testing.B, callers, n int) (took []time.Duration) {
	b.Helper()
	var wg sync.WaitGroup
	var mu sync.Mutex
	for range callers {
		wg.Go(func() {
			own := make([]time.Duration, 0, n)
			for range n {
				began := time.Now()
				if err := r.next(b); err != nil {
					b.Error(err)
				}
				own = append(own, time.Since(began))
			}
			mu.Lock()
			defer mu.Unlock()
			took = append(took, own...)
		})
	}
	wg.Wait()
	return took
}

func (r *rotations) next(b *testing.B) error {
	i := <-r.idle
	defer func() { r.idle <- i }()
	defer r.clock.Advance(r.pause)
	presented := r.current[i]
	r.current[i] = r.fresh()
	_, err := r.store.RotateRefresh(b.Context(), issuer, fmt.Sprint(i), storage.Rotation{
		Presented: presented, Successor: r.current[i], Nonce: r.current[i][:16],
		TTL: 90 * 24 * time.Hour, Grace: time.Minute, UnusedGrace: 15 * time.Minute,
	})
	return err
}
