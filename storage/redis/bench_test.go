// SPDX-License-Identifier: Apache-2.0

package redis

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-mcp/caddy-mcp-oauth/internal/testredis"
	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
	"github.com/caddy-mcp/caddy-mcp-oauth/storage/storagetest"
)

// fsyncs are how servers of benchmarks persist.
var fsyncs = []string{"always", "everysec"}

func benchStore(b *testing.B, fsync string) *Store {
	b.Helper()
	return openAt(b, testredis.Start(b, testredis.AppendOnly(fsync)))
}

// BenchmarkVerbs measures every verb for one caller at a time. SET is the yardstick: a verb
// that writes should cost about one of it, or two where it reads before.
func BenchmarkVerbs(b *testing.B) {
	for _, fsync := range fsyncs {
		s := benchStore(b, fsync)
		ctx, now := context.Background(), nowOf(s)
		ok(b, s.CreateClient(ctx, storagetest.NewClient(issuer, "client", now)))
		ok(b, s.KeepClient(ctx, issuer, "client"))
		ok(b, s.CreateGrant(ctx, storagetest.NewGrant(issuer, "grant", now)))
		session := storagetest.NewSession(issuer, "cookie", now)
		ok(b, s.CreateSession(ctx, session))
		account := &storage.Account{Subject: "github:1", CheckedAt: now}
		ok(b, s.SaveAccount(ctx, account))
		var serial atomic.Int64
		fresh := func() string { return fmt.Sprint(serial.Add(1)) }
		for _, verb := range []struct {
			name string
			run  func() error
		}{
			{"SET", func() error { return s.client.Set(ctx, s.named("bench"), strings.Repeat("x", 1200), 0).Err() }},
			{"GET", func() error { return s.client.Get(ctx, s.named("bench")).Err() }},
			{"Client", func() error { _, err := s.Client(ctx, issuer, "client"); return err }},
			{"Grant", func() error { _, err := s.Grant(ctx, issuer, "grant"); return err }},
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
			{"RememberOnce", func() error { return s.RememberOnce(ctx, issuer, hashOf(serial.Add(1)), time.Hour) }},
			{"TouchSession again", func() error { return s.TouchSession(ctx, issuer, session.ID, time.Hour) }},
			{"RevokeGrant of none", func() error { return s.RevokeGrant(ctx, issuer, "none") }},
			{"Changes of none", func() error { return changesOfNone(ctx, s) }},
		} {
			b.Run(fsync+"/"+verb.name, func(b *testing.B) {
				for b.Loop() {
					if err := verb.run(); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

func hashOf(n int64) (h storage.Hash) {
	copy(h[:], strconv.FormatInt(n, 10))
	return h
}

func changesOfNone(ctx context.Context, s *Store) error {
	head, err := s.Head(ctx)
	if err != nil {
		return err
	}
	_, _, err = s.Changes(ctx, head, 100)
	return err
}

func signIn(ctx context.Context, s *Store, id string, now time.Time) error {
	if err := s.CreateGrant(ctx, storagetest.NewGrant(issuer, id, now)); err != nil {
		return err
	}
	if _, err := s.RedeemCode(ctx, issuer, id, storagetest.NewRedemption(id)); err != nil {
		return err
	}
	_, err := s.RotateRefresh(ctx, issuer, id, first(1))
	return err
}

// BenchmarkRotateRefresh is sixteen clients that refresh without a pause, each its own
// grant, beside sixteen that SET as much. Server, driver and benchmark share the machine.
func BenchmarkRotateRefresh(b *testing.B) {
	const parallel = 16
	for _, fsync := range fsyncs {
		s := benchStore(b, fsync)
		for i := range parallel {
			createLive(b, s, fmt.Sprint("grant", i))
		}
		b.Run(fsync+"/SET", func(b *testing.B) {
			value := strings.Repeat("x", 1200)
			together(b, parallel, func(i, _ int) error {
				return s.client.Set(context.Background(), s.named(fmt.Sprint("bench", i)), value, 0).Err()
			})
		})
		var round atomic.Int64
		var last [parallel]storage.Hash
		for i := range last {
			last[i] = storagetest.NewRedemption("").Refresh
		}
		b.Run(fsync+"/RotateRefresh", func(b *testing.B) {
			together(b, parallel, func(i, _ int) error {
				r := first(0)
				r.Presented, r.Successor, r.Grace = last[i], hashOf(round.Add(1)), 0
				_, err := s.RotateRefresh(context.Background(), issuer, fmt.Sprint("grant", i), r)
				last[i] = r.Successor
				return err
			})
		})
	}
}

// together shares b.N calls among some goroutines.
func together(b *testing.B, parallel int, call func(i, n int) error) {
	b.Helper()
	b.ResetTimer()
	var left atomic.Int64
	left.Store(int64(b.N))
	var wg sync.WaitGroup
	for i := range parallel {
		wg.Go(func() {
			for n := 0; left.Add(-1) >= 0; n++ {
				if err := call(i, n); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "ops/s")
}

// BenchmarkMemory tells what a record costs in the memory of the server, lists included.
func BenchmarkMemory(b *testing.B) {
	server := testredis.Start(b)
	s := openAt(b, server)
	ctx, now := context.Background(), nowOf(s)
	for _, kind := range []struct {
		name string
		make func(id string) error
	}{
		{"grant of its own user", func(id string) error {
			g := storagetest.NewGrant(issuer, id, now)
			g.Subject = id
			return rotated(ctx, s, g)
		}},
		{"grant of one of ten users", func(id string) error {
			g := storagetest.NewGrant(issuer, id, now)
			g.Subject = id[len(id)-1:]
			return rotated(ctx, s, g)
		}},
		{"client", func(id string) error { return s.CreateClient(ctx, storagetest.NewClient(issuer, id, now)) }},
		{"account", func(id string) error { return s.SaveAccount(ctx, &storage.Account{Subject: id, CheckedAt: now}) }},
		{"session", func(id string) error { return s.CreateSession(ctx, storagetest.NewSession(issuer, id, now)) }},
	} {
		b.Run(kind.name, func(b *testing.B) {
			const n = 4096
			before, made := usedMemory(b, s), 0
			for b.Loop() {
				for range n {
					made++
					ok(b, kind.make(fmt.Sprint(kind.name, "-", made)))
				}
			}
			b.ReportMetric(float64(usedMemory(b, s)-before)/float64(made), "B/record")
		})
	}
}

// rotated makes a grant that was refreshed a few times within the grace.
func rotated(ctx context.Context, s *Store, g *storage.Grant) error {
	if err := s.CreateGrant(ctx, g); err != nil {
		return err
	}
	if _, err := s.RedeemCode(ctx, issuer, g.ID, storagetest.NewRedemption(g.ID)); err != nil {
		return err
	}
	_, err := s.RotateRefresh(ctx, issuer, g.ID, first(1))
	return err
}

func usedMemory(b *testing.B, s *Store) int64 {
	b.Helper()
	info, err := s.info(context.Background())
	ok(b, err)
	n, err := strconv.ParseInt(info["used_memory"], 10, 64)
	ok(b, err)
	return n
}
