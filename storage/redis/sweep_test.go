// SPDX-License-Identifier: Apache-2.0

package redis

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-mcp/caddy-mcp-oauth/internal/testredis"
	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
	"github.com/caddy-mcp/caddy-mcp-oauth/storage/storagetest"
)

func contains(text, part string) bool { return strings.Contains(text, part) }

// Every gateway sweeps, and all at once. Each record goes once, none that lives goes, and
// whoever signs in meanwhile does so.
func TestManySweepers(t *testing.T) {
	t.Parallel()
	s, clock := open(t)
	const n = 5*sweepBatch + 3
	old := clock.Now()
	for i := range n {
		ok(t, s.CreatePending(t.Context(), storagetest.NewPending(issuer, fmt.Sprint(i), old)))
	}
	createLive(t, s, "grant")
	clock.Advance(time.Hour)
	var (
		wg    sync.WaitGroup
		swept atomic.Int64
	)
	for i := range 8 {
		wg.Go(func() {
			got, err := s.Sweep(t.Context())
			if err != nil {
				t.Error(err)
			}
			swept.Add(int64(got))
		})
		wg.Go(func() {
			if err := s.CreatePending(t.Context(), storagetest.NewPending(issuer, fmt.Sprint("new", i), clock.Now())); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	// One that passes while another deletes may miss some of a batch.
	again, err := s.Sweep(t.Context())
	ok(t, err)
	if total := int(swept.Load()) + again; total != n {
		t.Errorf("swept %d of %d", total, n)
	}
	for i := range 8 {
		if _, err := s.Pending(t.Context(), issuer, storagetest.NewPending(issuer, fmt.Sprint("new", i), old).ID); err != nil {
			t.Errorf("new%d: %v", i, err)
		}
	}
	if _, err := s.Grant(t.Context(), issuer, "grant"); err != nil {
		t.Error(err)
	}
	checkDatabase(t, s)
}

// Damaged records stay, and do not keep those behind them from going.
func TestDamageDoesNotStopTheSweeper(t *testing.T) {
	t.Parallel()
	s, clock := open(t)
	const n = sweepBatch + 10
	for i := range n {
		p := storagetest.NewPending(issuer, fmt.Sprint(i), clock.Now())
		ok(t, s.CreatePending(t.Context(), p))
		spoil(t, s, storage.KindPending, pendings.key(p), "rubbish")
	}
	clock.Advance(time.Minute)
	ok(t, s.CreatePending(t.Context(), storagetest.NewPending(issuer, "behind", clock.Now())))
	clock.Advance(time.Hour)
	if got, err := s.Sweep(t.Context()); err != nil || got != 1 {
		t.Errorf("swept %d, %v", got, err)
	}
}

func TestTheSweeperRuns(t *testing.T) {
	t.Parallel()
	clock := storagetest.NewClock()
	s := openWith(t, Options{Addresses: []string{testredis.Shared(t).Addr()}, Now: clock.Now, SweepInterval: 20 * time.Millisecond})
	ok(t, s.CreatePending(t.Context(), storagetest.NewPending(issuer, "state", clock.Now())))
	clock.Advance(time.Hour)
	eventually(t, func() error {
		if n := count(t, s); n != 0 {
			return fmt.Errorf("%d keys", n)
		}
		return nil
	})
}

// A failing sweep is told once an interval, and is over when the server is back.
func TestTheSweeperOutlivesAnOutage(t *testing.T) {
	t.Parallel()
	server := testredis.Start(t, testredis.AppendOnly("always"))
	clock := storagetest.NewClock()
	var log journal
	s := openWith(t, Options{Addresses: []string{server.Addr()}, Now: clock.Now, SweepInterval: 50 * time.Millisecond, Logger: log.logger()})
	ok(t, s.CreatePending(t.Context(), storagetest.NewPending(issuer, "state", clock.Now())))
	server.Kill()
	eventually(t, func() error {
		if !contains(log.String(), "sweeping expired records failed") {
			return errors.New("no word of it")
		}
		return nil
	})
	clock.Advance(time.Hour)
	server.Restart()
	eventually(t, func() error {
		if n := len(server.Do("KEYS", s.named("pending:")+"*").([]any)); n != 0 {
			return fmt.Errorf("%d keys", n)
		}
		return nil
	})
}

func TestJitter(t *testing.T) {
	t.Parallel()
	seen := map[time.Duration]bool{}
	for range 200 {
		d := jitter(time.Minute)
		if d < 45*time.Second || d > 75*time.Second {
			t.Fatalf("%s", d)
		}
		seen[d] = true
	}
	if len(seen) < 100 {
		t.Errorf("%d different of 200", len(seen))
	}
}
