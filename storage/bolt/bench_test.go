// SPDX-License-Identifier: Apache-2.0

package bolt

import (
	"context"
	"crypto/sha256"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
	"github.com/caddy-mcp/caddy-mcp-oauth/storage/storagetest"
)

// BenchmarkVerbs measures every verb for one caller at a time and for 64 at
// once. Alone a writing verb should cost about what one commit does; together
// they share commits. BenchmarkCommit is the yardstick.
func BenchmarkVerbs(b *testing.B) {
	s, clock := open(b, tempPath(b))
	ctx, now := context.Background(), clock.Now()
	if err := s.CreateClient(ctx, storagetest.NewClient(issuer, "client", now)); err != nil {
		b.Fatal(err)
	}
	if err := s.CreateGrant(ctx, storagetest.NewGrant(issuer, "grant", now)); err != nil {
		b.Fatal(err)
	}
	account := &storage.Account{Subject: "github:1", CheckedAt: now}
	if err := s.SaveAccount(ctx, account); err != nil {
		b.Fatal(err)
	}
	session := storagetest.NewSession(issuer, "cookie", now)
	if err := s.CreateSession(ctx, session); err != nil {
		b.Fatal(err)
	}
	var serial atomic.Int64
	fresh := func() string { return fmt.Sprint(serial.Add(1)) }
	verbs := []struct {
		name string
		run  func() error
	}{
		{"Client", func() error { _, err := s.Client(ctx, issuer, "client"); return err }},
		{"Grant", func() error { _, err := s.Grant(ctx, issuer, "grant"); return err }},
		{"Account", func() error { _, err := s.Account(ctx, "github:1"); return err }},
		{"CreateClient", func() error { return s.CreateClient(ctx, storagetest.NewClient(issuer, fresh(), now)) }},
		{"SaveAccount", func() error { return s.SaveAccount(ctx, account) }},
		{"CreatePending", func() error { return s.CreatePending(ctx, storagetest.NewPending(issuer, fresh(), now)) }},
		{"CreatePending+TakePending", func() error {
			p := storagetest.NewPending(issuer, fresh(), now)
			if err := s.CreatePending(ctx, p); err != nil {
				return err
			}
			_, err := s.TakePending(ctx, issuer, p.ID)
			return err
		}},
		{"CreateGrant", func() error { return s.CreateGrant(ctx, storagetest.NewGrant(issuer, fresh(), now)) }},
		{"CreateGrant+RedeemCode+RotateRefresh", func() error { return signIn(ctx, s, fresh(), now) }},
		{"RememberOnce", func() error { return s.RememberOnce(ctx, issuer, sha256.Sum256([]byte(fresh())), time.Hour) }},
		{"CreateSession", func() error { return s.CreateSession(ctx, storagetest.NewSession(issuer, fresh(), now)) }},
		{"TouchSession again", func() error { return s.TouchSession(ctx, issuer, session.ID, time.Hour) }},
		{"CreateGrant+DeleteClient", func() error {
			g := storagetest.NewGrant(issuer, fresh(), now)
			g.ClientID = g.ID
			if err := s.CreateGrant(ctx, g); err != nil {
				return err
			}
			_, err := s.DeleteClient(ctx, issuer, g.ID)
			return err
		}},
		{"RevokeGrant of none", func() error { return s.RevokeGrant(ctx, issuer, "none") }},
		{"KeepClient again", func() error { return s.KeepClient(ctx, issuer, "client") }},
	}
	if err := s.KeepClient(ctx, issuer, "client"); err != nil {
		b.Fatal(err)
	}
	for _, verb := range verbs {
		b.Run(verb.name+"/alone", func(b *testing.B) {
			for b.Loop() {
				if err := verb.run(); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(verb.name+"/64 at once", func(b *testing.B) {
			b.SetParallelism(32) // on two processors
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if err := verb.run(); err != nil {
						b.Error(err)
					}
				}
			})
		})
	}
}

func signIn(ctx context.Context, s *Store, id string, now time.Time) error {
	if err := s.CreateGrant(ctx, storagetest.NewGrant(issuer, id, now)); err != nil {
		return err
	}
	r := storagetest.NewRedemption(id)
	if _, err := s.RedeemCode(ctx, issuer, id, r); err != nil {
		return err
	}
	_, err := s.RotateRefresh(ctx, issuer, id, storage.Rotation{Presented: r.Refresh, Successor: storage.Hash{1}, Nonce: []byte("n"), TTL: time.Hour})
	return err
}

// BenchmarkCommit is bbolt alone: one small transaction, and the same through
// its Batch with the delay it has by default.
func BenchmarkCommit(b *testing.B) {
	s, _ := open(b, tempPath(b))
	write := (&writer{}).put
	b.Run("Update", func(b *testing.B) {
		for b.Loop() {
			if err := s.db.Update(write); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("Batch", func(b *testing.B) {
		for b.Loop() {
			if err := s.db.Batch(write); err != nil {
				b.Fatal(err)
			}
		}
	})
	for _, delay := range []time.Duration{time.Microsecond, time.Millisecond, 10 * time.Millisecond} {
		b.Run(fmt.Sprint("Batch of ", delay, "/64 at once"), func(b *testing.B) {
			s.db.MaxBatchDelay = delay
			b.SetParallelism(32)
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if err := s.db.Batch(write); err != nil {
						b.Error(err)
					}
				}
			})
		})
	}
	b.Run("committer/64 at once", func(b *testing.B) {
		b.SetParallelism(32)
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if err := s.committer.do(b.Context(), put("key")); err != nil {
					b.Error(err)
				}
			}
		})
	})
}

type writer struct{ n atomic.Int64 }

func (w *writer) put(tx *bbolt.Tx) error {
	return tx.Bucket(bucketMeta).Put([]byte("key"), fmt.Append(nil, w.n.Add(1)))
}

// BenchmarkCreateClientAtTheLimit is a registration that has to evict another:
// it must not cost more the more clients there are.
func BenchmarkCreateClientAtTheLimit(b *testing.B) {
	for _, limit := range []int{100, 10_000} {
		b.Run(fmt.Sprint(limit), func(b *testing.B) {
			clock := storagetest.NewClock()
			s := openWith(b, tempPath(b), Options{Now: clock.Now, SweepInterval: -1, MaxUnusedClients: limit})
			start := clock.Now()
			n := 0
			create := func(w *writeTx) error {
				n++
				return clients.insert(w, storagetest.NewClient(issuer, fmt.Sprint(n), start.Add(time.Duration(n))))
			}
			for range limit / 100 {
				if err := s.committer.do(b.Context(), func(w *writeTx) error {
					for range 100 {
						if err := create(w); err != nil {
							return err
						}
					}
					return nil
				}); err != nil {
					b.Fatal(err)
				}
			}
			clock.Advance(time.Hour)
			for b.Loop() {
				n++
				if err := s.CreateClient(b.Context(), storagetest.NewClient(issuer, fmt.Sprint(n), clock.Now())); err != nil {
					b.Fatal(err)
				}
				clock.Advance(time.Hour / 100)
			}
		})
	}
}
