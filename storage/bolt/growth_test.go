// SPDX-License-Identifier: Apache-2.0

package bolt

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math/rand"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
	"github.com/caddy-mcp/caddy-mcp-oauth/storage/storagetest"
)

// growthVar asks for TestGrowth and lists the sizes to measure:
//
//	MCP_OAUTH_GROWTH=1000,100000,1000000 go test ./storage/bolt -run TestGrowth -v -timeout 30m
const growthVar = "MCP_OAUTH_GROWTH"

const (
	growthCalls = 300 // of every verb
	growthOfOne = 10  // one grant of so many belongs to the popular client
)

// TestGrowth measures what every verb costs in a file of n clients and n grants of
// n/4 people, how large that file is, and how long it takes to open, to sweep, to
// export, to delete a client with a tenth of all grants and to compact. It fails
// only where opening takes a second more than opening an empty file.
func TestGrowth(t *testing.T) {
	sizes := os.Getenv(growthVar)
	if sizes == "" {
		t.Skip(growthVar + " is not set: it takes minutes")
	}
	empty := timeToOpen(t, tempPath(t))
	t.Logf("open an empty file: %v", empty)
	for size := range strings.SplitSeq(sizes, ",") {
		n, err := strconv.Atoi(size)
		if err != nil {
			t.Fatal(err)
		}
		t.Run(size, func(t *testing.T) { measureGrowth(t, n, empty) })
	}
}

func measureGrowth(t *testing.T, n int, empty time.Duration) {
	path := tempPath(t)
	g := &growth{T: t, n: n, now: time.Now()}
	g.fill(path)
	took := timeToOpen(t, path)
	g.say("open", took)
	if took > empty+time.Second {
		t.Errorf("opening took %v", took)
	}
	g.now = time.Now() // filling takes longer than a request waits
	g.s = openWith(t, path, Options{SweepInterval: -1})
	g.measure("sweep, nothing due", 1, func(int) error { _, err := g.s.Sweep(t.Context()); return err })
	g.reads()
	g.writes()
	g.measure("export", 1, func(int) error { _, err := drain(g.s.Export(t.Context())); return err })
	g.measure(fmt.Sprintf("DeleteClient with %d grants", n/growthOfOne), 1, func(int) error {
		named, err := g.s.DeleteClient(t.Context(), issuer, "popular")
		if len(named) != n/growthOfOne {
			return fmt.Errorf("it named %d", len(named))
		}
		return err
	})
	g.size(path)
	if err := g.s.Close(); err != nil {
		t.Fatal(err)
	}
	g.measure("compact", 1, func(int) error { _, _, err := Compact(path); return err })
	g.size(path)
}

// growth is one size to measure.
type growth struct {
	*testing.T
	n   int
	now time.Time
	s   *Store
}

func (g *growth) fill(path string) {
	g.Helper()
	g.measure("import", 1, func(int) error {
		s := openWith(g.T, path, Options{SweepInterval: -1})
		return errors.Join(s.Import(g.Context(), g.entries()), s.Close())
	})
	g.size(path)
}

// entries are the records in the order in which a store would have met them, which
// is none that suits the file.
func (g *growth) entries() iter.Seq2[storage.Entry, error] {
	return func(yield func(storage.Entry, error) bool) {
		for i := range g.n {
			id := strconv.Itoa(i)
			client := storagetest.NewClient(issuer, id, g.now)
			client.ExpiresAt = time.Time{}
			if !entry(yield, storage.KindClient, client) || !entry(yield, storage.KindGrant, g.grant(i)) ||
				i%4 == 0 && !entry(yield, storage.KindAccount, storagetest.NewAccount(id, g.now)) ||
				i%16 == 0 && !entry(yield, storage.KindSession, storagetest.NewSession(issuer, id, g.now)) {
				return
			}
		}
	}
}

func entry[R storage.Record](yield func(storage.Entry, error) bool, kind storage.Kind, rec *R) bool {
	raw, err := storage.Encode(rec)
	return yield(storage.Entry{Kind: kind, Data: raw}, err)
}

func (g *growth) grant(i int) *storage.Grant {
	id := strconv.Itoa(i)
	grant := storagetest.NewGrant(issuer, id, g.now)
	grant.ClientID, grant.Subject = id, "github:"+strconv.Itoa(i/4*4)
	if i%growthOfOne == 0 {
		grant.ClientID = "popular"
	}
	if err := storage.Redeem(grant, storagetest.NewRedemption(id), g.now); err != nil {
		g.Fatal(err)
	}
	return grant
}

func (g *growth) reads() {
	ctx := g.Context()
	g.measure("Client", growthCalls, func(int) error { _, err := g.s.Client(ctx, issuer, g.any(1)); return err })
	g.measure("Grant", growthCalls, func(int) error { _, err := g.s.Grant(ctx, issuer, g.any(1)); return err })
	g.measure("GrantsOf", growthCalls, func(int) error { _, err := g.s.GrantsOf(ctx, "github:"+g.any(4)); return err })
	g.measure("Account", growthCalls, func(int) error { _, err := g.s.Account(ctx, "github:"+g.any(4)); return err })
	g.measure("Session", growthCalls, func(int) error {
		_, err := g.s.Session(ctx, issuer, storagetest.NewSession(issuer, g.any(16), g.now).ID)
		return err
	})
	cursor := ""
	g.measure("Accounts, a page of 100", growthCalls, func(int) (err error) {
		_, cursor, err = g.s.Accounts(ctx, cursor, 100)
		return err
	})
}

func (g *growth) writes() {
	ctx := g.Context()
	fresh := func(i int) string { return "fresh " + strconv.Itoa(i) }
	g.measure("CreateClient", growthCalls, func(i int) error { return g.s.CreateClient(ctx, storagetest.NewClient(issuer, fresh(i), g.now)) })
	g.measure("KeepClient", growthCalls, func(i int) error { return g.s.KeepClient(ctx, issuer, fresh(i)) })
	g.measure("CreatePending", growthCalls, func(i int) error { return g.s.CreatePending(ctx, storagetest.NewPending(issuer, fresh(i), g.now)) })
	g.measure("TakePending", growthCalls, func(i int) error {
		_, err := g.s.TakePending(ctx, issuer, storagetest.NewPending(issuer, fresh(i), g.now).ID)
		return err
	})
	g.measure("SaveAccount", growthCalls, func(int) error { return g.s.SaveAccount(ctx, storagetest.NewAccount(g.any(4), g.now)) })
	g.measure("ReplaceAccount after Account", growthCalls, func(int) error {
		a, err := g.s.Account(ctx, "github:"+g.any(4))
		if err != nil {
			return err
		}
		return g.s.ReplaceAccount(ctx, a)
	})
	g.measure("CreateGrant", growthCalls, func(i int) error {
		grant := storagetest.NewGrant(issuer, fresh(i), g.now)
		grant.ClientID, grant.ExpiresAt, grant.Code.ExpiresAt = fresh(i), g.now.Add(time.Hour), g.now.Add(time.Hour)
		return g.s.CreateGrant(ctx, grant)
	})
	g.measure("RedeemCode", growthCalls, func(i int) error {
		_, err := g.s.RedeemCode(ctx, issuer, fresh(i), storagetest.NewRedemption(fresh(i)))
		return err
	})
	g.measure("RotateRefresh", growthCalls, func(i int) error {
		r := storage.Rotation{Presented: storagetest.NewRedemption("").Refresh, Successor: storage.Hash{1}, Nonce: []byte("n"), TTL: time.Hour}
		_, err := g.s.RotateRefresh(ctx, issuer, fresh(i), r)
		return err
	})
	g.measure("RevokeGrant", growthCalls/2, func(i int) error { return g.s.RevokeGrant(ctx, issuer, fresh(i)) })
	g.measure("DeleteClient", growthCalls, func(i int) error { _, err := g.s.DeleteClient(ctx, issuer, fresh(i)); return err })
	g.measure("CreateSession", growthCalls, func(i int) error { return g.s.CreateSession(ctx, storagetest.NewSession(issuer, fresh(i), g.now)) })
	g.measure("TouchSession", growthCalls, func(i int) error {
		return g.s.TouchSession(ctx, issuer, storagetest.NewSession(issuer, fresh(i), g.now).ID, 3*time.Hour)
	})
	g.measure("DeleteSession", growthCalls, func(i int) error {
		return g.s.DeleteSession(ctx, issuer, storagetest.NewSession(issuer, fresh(i), g.now).ID)
	})
	g.measure("RememberOnce", growthCalls, func(i int) error {
		return g.s.RememberOnce(ctx, issuer, storagetest.NewSession(issuer, fresh(i), g.now).ID, time.Hour)
	})
}

// any is the id of some record of those that are a multiple of step.
func (g *growth) any(step int) string {
	return strconv.Itoa(rand.Intn((g.n+step-1)/step) * step) //nolint:gosec // any will do
}

// measure calls fn so many times and tells the middle one and the slowest of a
// hundred.
func (g *growth) measure(what string, times int, fn func(i int) error) {
	g.Helper()
	var took []time.Duration
	for i := range times {
		began := time.Now()
		if err := fn(i); err != nil {
			g.Fatalf("%s: %v", what, err)
		}
		took = append(took, time.Since(began))
	}
	slices.Sort(took)
	g.say(what, took[len(took)/2], took[len(took)*99/100])
}

func (g *growth) say(what string, took ...time.Duration) {
	g.Helper()
	for i := range took {
		took[i] = took[i].Round(time.Microsecond)
	}
	g.Logf("%8d  %-32s %v", g.n, what, took)
}

func (g *growth) size(path string) {
	g.Helper()
	info, err := os.Stat(path)
	if err != nil {
		g.Fatal(err)
	}
	g.Logf("%8d  %-32s %.1f MiB", g.n, "file", float64(info.Size())/(1<<20))
}

func drain(seq iter.Seq2[storage.Entry, error]) (n int, err error) {
	for _, err := range seq {
		if err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}

// timeToOpen is the middle one of five starts, each with its first read.
func timeToOpen(t *testing.T, path string) time.Duration {
	t.Helper()
	var took []time.Duration
	for range 5 {
		began := time.Now()
		s, err := Open(path, Options{})
		if err != nil {
			t.Fatal(err)
		}
		_, err = s.Grant(context.Background(), issuer, "0")
		took = append(took, time.Since(began))
		if err != nil && !errors.Is(err, storage.ErrNotFound) {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	slices.Sort(took)
	return took[len(took)/2]
}
