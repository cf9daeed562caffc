// SPDX-License-Identifier: Apache-2.0

package postgres

import (
	"crypto/sha256"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/caddy-mcp/caddy-mcp-oauth/internal/testpostgres"
	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
	"github.com/caddy-mcp/caddy-mcp-oauth/storage/storagetest"
)

// BenchmarkVerbs measures every verb for one caller on a server that waits for its
// disk. BenchmarkCommit is the yardstick: a verb that writes should cost one
// commit and one or two round trips.
func BenchmarkVerbs(b *testing.B) {
	s := openWith(b, Options{DSN: testpostgres.Start(b, testpostgres.Durable).DSN()})
	ctx, now := b.Context(), time.Now()
	ok(b, s.CreateClient(ctx, storagetest.NewClient(issuer, "client", now)))
	ok(b, s.KeepClient(ctx, issuer, "client"))
	ok(b, s.CreateGrant(ctx, storagetest.NewGrant(issuer, "grant", now)))
	account, session := storagetest.NewAccount("1", now), storagetest.NewSession(issuer, "cookie", now)
	ok(b, s.SaveAccount(ctx, account))
	ok(b, s.CreateSession(ctx, session))
	live(b, s, "rotated")
	var serial atomic.Int64
	fresh := func() string { return fmt.Sprint(serial.Add(1)) }
	current := storagetest.NewRedemption("rotated").Refresh
	for _, verb := range []struct {
		name string
		run  func() error
	}{
		{"Client", func() error { _, err := s.Client(ctx, issuer, "client"); return err }},
		{"Grant", func() error { _, err := s.Grant(ctx, issuer, "grant"); return err }},
		{"Account", func() error { _, err := s.Account(ctx, account.Subject); return err }},
		{"Head", func() error { _, err := s.Head(ctx); return err }},
		{"KeepClient again", func() error { return s.KeepClient(ctx, issuer, "client") }},
		{"TouchSession again", func() error { return s.TouchSession(ctx, issuer, session.ID, time.Hour) }},
		{"RevokeGrant of none", func() error { return s.RevokeGrant(ctx, issuer, "none") }},
		{"CreateClient", func() error { return s.CreateClient(ctx, storagetest.NewClient(issuer, fresh(), now)) }},
		{"CreatePending", func() error { return s.CreatePending(ctx, storagetest.NewPending(issuer, fresh(), now)) }},
		{"CreatePending+TakePending", func() error {
			p := storagetest.NewPending(issuer, fresh(), now)
			if err := s.CreatePending(ctx, p); err != nil {
				return err
			}
			_, err := s.TakePending(ctx, issuer, p.ID)
			return err
		}},
		{"CreateGrant+RedeemCode", func() error {
			id := fresh()
			if err := s.CreateGrant(ctx, storagetest.NewGrant(issuer, id, time.Now())); err != nil {
				return err
			}
			_, err := s.RedeemCode(ctx, issuer, id, storagetest.NewRedemption(id))
			return err
		}},
		{"RotateRefresh", func() error {
			next := storage.Hash(sha256.Sum256([]byte(fresh())))
			r := rotation(current, next)
			r.Grace = 0
			_, err := s.RotateRefresh(ctx, issuer, "rotated", r)
			current = next
			return err
		}},
		{"CreateGrant+RevokeGrant", func() error {
			g := storagetest.NewGrant(issuer, fresh(), now)
			if err := s.CreateGrant(ctx, g); err != nil {
				return err
			}
			return s.RevokeGrant(ctx, issuer, g.ID)
		}},
		{"SaveAccount", func() error { return s.SaveAccount(ctx, account) }},
		{"RememberOnce", func() error { return s.RememberOnce(ctx, issuer, sha256.Sum256([]byte(fresh())), time.Hour) }},
		{"CreateSession", func() error { return s.CreateSession(ctx, storagetest.NewSession(issuer, fresh(), now)) }},
		{"SaveConsent", func() error { return s.SaveConsent(ctx, storagetest.NewConsent(issuer, "c", "github:1", now)) }},
	} {
		b.Run(verb.name, func(b *testing.B) {
			for b.Loop() {
				ok(b, verb.run())
			}
		})
	}
}

// BenchmarkRotateRefresh is what a busy cluster does most: many clients refresh at
// the same time, each its own grant.
func BenchmarkRotateRefresh(b *testing.B) {
	const callers = 16
	s := openWith(b, Options{DSN: testpostgres.Start(b, testpostgres.Durable).DSN(), MaxConnections: callers})
	for i := range callers {
		live(b, s, fmt.Sprint(i))
	}
	var left atomic.Int64
	left.Store(int64(b.N))
	b.ResetTimer()
	errs := atOnce(callers, func(i int) error {
		current := storagetest.NewRedemption(fmt.Sprint(i)).Refresh
		for left.Add(-1) >= 0 {
			next := storage.Hash(sha256.Sum256(current[:]))
			r := rotation(current, next)
			r.Grace = 0
			if _, err := s.RotateRefresh(b.Context(), issuer, fmt.Sprint(i), r); err != nil {
				return err
			}
			current = next
		}
		return nil
	})
	allOK(b, errs)
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "rotations/s")
}

// BenchmarkCommit is PostgreSQL alone: one small change, by one writer and by 16.
func BenchmarkCommit(b *testing.B) {
	server := testpostgres.Start(b, testpostgres.Durable)
	config, err := pgxpool.ParseConfig(server.DSN())
	ok(b, err)
	config.MaxConns = 16
	pool, err := pgxpool.NewWithConfig(b.Context(), config)
	ok(b, err)
	defer pool.Close()
	_, err = pool.Exec(b.Context(), "CREATE TABLE yardstick AS SELECT i, 0 AS n FROM generate_series(0, 15) i")
	ok(b, err)
	for _, writers := range []int{1, 16} {
		b.Run(fmt.Sprint(writers, " writers"), func(b *testing.B) {
			var left atomic.Int64
			left.Store(int64(b.N))
			b.ResetTimer()
			allOK(b, atOnce(writers, func(i int) error {
				for left.Add(-1) >= 0 {
					if _, err := pool.Exec(b.Context(), "UPDATE yardstick SET n = n + 1 WHERE i = $1", i); err != nil {
						return err
					}
				}
				return nil
			}))
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "commits/s")
		})
	}
}

// BenchmarkCreateClientAtTheLimit is a registration that has to evict another: it
// must not cost more the more clients there are.
func BenchmarkCreateClientAtTheLimit(b *testing.B) {
	for _, limit := range []int{100, 20_000} {
		b.Run(fmt.Sprint(limit), func(b *testing.B) {
			clock := storagetest.NewClock()
			s := openWith(b, Options{
				DSN: testpostgres.Shared(b).DSN(), Schema: testpostgres.NewSchema(), Now: clock.Now, MaxUnusedClients: limit,
			})
			start := clock.Now()
			ok(b, s.Import(b.Context(), func(yield func(storage.Entry, error) bool) {
				for i := range limit {
					data, err := storage.Encode(storagetest.NewClient(issuer, fmt.Sprint(i), start.Add(time.Duration(i)*time.Microsecond)))
					if !yield(storage.Entry{Kind: storage.KindClient, Data: data}, err) {
						return
					}
				}
			}))
			clock.Advance(time.Hour)
			n := limit
			for b.Loop() {
				n++
				ok(b, s.CreateClient(b.Context(), storagetest.NewClient(issuer, fmt.Sprint(n), clock.Now())))
				clock.Advance(time.Hour / 100)
			}
		})
	}
}

// BenchmarkBytesPerGrant says how large a database gets: a live grant with its
// account and its share of the indexes.
func BenchmarkBytesPerGrant(b *testing.B) {
	const n = 2000
	s := open(b)
	allOK(b, atOnce(8, func(worker int) error {
		for i := worker; i < n; i += 8 {
			id := fmt.Sprintf("%032d", i)
			g := storagetest.NewGrant(issuer, id, time.Now())
			if err := s.CreateGrant(b.Context(), g); err != nil {
				return err
			}
			if _, err := s.RedeemCode(b.Context(), issuer, id, storagetest.NewRedemption(id)); err != nil {
				return err
			}
			if err := s.SaveAccount(b.Context(), storagetest.NewAccount(id, time.Now())); err != nil {
				return err
			}
		}
		return nil
	}))
	for b.Loop() { // nothing is timed
	}
	conn := connect(b, testpostgres.Shared(b))
	for _, table := range []string{"grants", "accounts"} {
		exec(b, conn, "VACUUM FULL "+in(s, table))
		b.ReportMetric(float64(number(b, conn, "SELECT pg_total_relation_size($1::regclass)", in(s, table)))/n, "B/"+table)
	}
}
