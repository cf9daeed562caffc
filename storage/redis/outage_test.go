// SPDX-License-Identifier: Apache-2.0

package redis

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-mcp/caddy-mcp-oauth/internal/testredis"
	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
	"github.com/caddy-mcp/caddy-mcp-oauth/storage/storagetest"
)

// The server is killed in the middle of the busiest hour, three times. With an append-only
// file that is written before the answer everything acknowledged is there: no grant is
// lost, none that was revoked comes back, and nobody's refresh token is forgotten.
func TestKilledInTheMiddleOfTraffic(t *testing.T) {
	t.Parallel()
	server := testredis.Start(t, testredis.AppendOnly("always"))
	s := openAt(t, server)
	const writers = 16
	var (
		wg    sync.WaitGroup
		stop  atomic.Bool
		acked atomic.Int64
		kept  [writers]history
	)
	for i := range writers {
		wg.Go(func() {
			for j := 0; !stop.Load(); j++ {
				kept[i].round(t.Context(), s, fmt.Sprint(i, "-", j))
				acked.Add(1)
			}
		})
	}
	for range 3 {
		for before := acked.Load(); acked.Load() < before+4*writers; {
			time.Sleep(time.Millisecond)
		}
		server.Kill()
		server.Restart()
	}
	for before := acked.Load(); acked.Load() < before+4*writers; {
		time.Sleep(time.Millisecond)
	}
	stop.Store(true)
	wg.Wait()
	server.Kill()
	server.Restart()
	lost := 0
	for i := range kept {
		lost += kept[i].check(t, s)
	}
	if lost == 0 {
		t.Error("no step was cut off: the test proves nothing")
	}
	checkDatabase(t, s)
}

// history is what one writer was told.
type history struct {
	live, revoked, rotated []string
	failed                 int
}

// round signs somebody in, refreshes and, every second time, signs them out. It goes on
// after an error as a new user.
func (h *history) round(ctx context.Context, s *Store, id string) {
	if s.CreateGrant(ctx, storagetest.NewGrant(issuer, id, nowOf(s))) != nil {
		h.failed++
		time.Sleep(time.Millisecond)
		return
	}
	h.live = append(h.live, id)
	if _, err := s.RedeemCode(ctx, issuer, id, storagetest.NewRedemption(id)); err != nil {
		h.failed++
		return
	}
	if _, err := s.RotateRefresh(ctx, issuer, id, first(1)); err != nil {
		h.failed++
		return
	}
	h.rotated = append(h.rotated, id)
	if len(h.rotated)%2 == 0 {
		return
	}
	if err := s.RevokeGrant(ctx, issuer, id); err != nil {
		h.failed++
		h.live = h.live[:len(h.live)-1] // nobody knows
		h.rotated = h.rotated[:len(h.rotated)-1]
		return
	}
	h.live, h.rotated = h.live[:len(h.live)-1], h.rotated[:len(h.rotated)-1]
	h.revoked = append(h.revoked, id)
}

// check wants everything as it was acknowledged, and returns how many steps failed.
func (h *history) check(t *testing.T, s *Store) int {
	t.Helper()
	for _, id := range h.live {
		if _, err := s.Grant(t.Context(), issuer, id); err != nil {
			t.Errorf("acknowledged grant %s: %v", id, err)
		}
	}
	for _, id := range h.rotated {
		g, err := s.Grant(t.Context(), issuer, id)
		if err == nil && g.Refresh.Current != (storage.Hash{1}) {
			t.Errorf("%s: the acknowledged rotation is forgotten", id)
		}
	}
	for _, id := range h.revoked {
		if _, err := s.Grant(t.Context(), issuer, id); !errors.Is(err, storage.ErrNotFound) {
			t.Errorf("revoked grant %s is back: %v", id, err)
		}
	}
	return h.failed
}

// While the server is away every verb fails, in bounded time, with an error that is no
// answer. When it is back everything works again without anybody's help.
func TestAnOutageHeals(t *testing.T) {
	t.Parallel()
	server := testredis.Start(t, testredis.AppendOnly("always"))
	s := openAt(t, server)
	createLive(t, s, "grant")
	server.Stop()
	for name, verb := range verbs(t, s) {
		begin := time.Now()
		if err := verb(); err == nil || outcome(err) || errors.Is(err, storage.ErrClosed) {
			t.Errorf("%s without a server: %v", name, err)
		}
		if took := time.Since(begin); took > 30*time.Second {
			t.Errorf("%s took %s", name, took)
		}
	}
	server.Restart()
	eventually(t, func() error { _, err := s.Grant(t.Context(), issuer, "grant"); return err })
	_, err := s.RotateRefresh(t.Context(), issuer, "grant", first(1))
	ok(t, err)
}

func eventually(t *testing.T, try func() error) {
	t.Helper()
	var err error
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if err = try(); err == nil {
			return
		}
	}
	t.Fatalf("it does not heal: %v", err)
}

// The network drops every packet. Callers who have a deadline are answered at it, and the
// others after that of a connection.
func TestAServerThatHangs(t *testing.T) {
	t.Parallel()
	server := testredis.Start(t)
	s := openAt(t, server)
	createLive(t, s, "grant")
	server.Freeze()
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	_, err := s.Grant(ctx, issuer, "grant")
	wantErr(t, err, context.DeadlineExceeded)
	begin := time.Now()
	err = s.RevokeGrant(t.Context(), issuer, "grant")
	if err == nil || outcome(err) {
		t.Errorf("revoke: %v", err)
	}
	if took := time.Since(begin); took > readTimeout+30*time.Second {
		t.Errorf("without a deadline it took %s", took)
	}
	server.Thaw()
	// What was sent may have happened: unknown means unknown.
	eventually(t, func() error { return s.CreateGrant(t.Context(), storagetest.NewGrant(issuer, "new", nowOf(s))) })
}

// The memory is full: nobody can sign in, but whoever must go, goes.
func TestAServerThatIsFull(t *testing.T) {
	t.Parallel()
	server := testredis.Start(t, testredis.AppendOnly("always"))
	o := Options{Addresses: []string{server.Addr()}, Prefix: testredis.Prefix()}
	s := openWith(t, o)
	createLive(t, s, "grant")
	createLive(t, s, "another")
	head, err := s.Head(t.Context())
	ok(t, err)
	server.Do("CONFIG", "SET", "maxmemory", "1mb")
	err = s.CreateGrant(t.Context(), storagetest.NewGrant(issuer, "new", nowOf(s)))
	if err == nil || outcome(err) {
		t.Errorf("create: %v", err)
	}
	wantText(t, err.Error(), "OOM")
	if _, err := s.RotateRefresh(t.Context(), issuer, "another", first(1)); err == nil || outcome(err) {
		t.Errorf("rotate: %v", err)
	}
	if _, err := s.Grant(t.Context(), issuer, "grant"); err != nil {
		t.Errorf("read: %v", err)
	}
	ok(t, s.RevokeGrant(t.Context(), issuer, "grant"))
	changes, _, err := s.Changes(t.Context(), head, 10)
	if err != nil || !slices.Equal(changes, []storage.Change{{Kind: storage.ChangeGrant, ID: "grant"}}) {
		t.Errorf("changes %v, %v", changes, err)
	}
	openWith(t, o) // a gateway that starts now serves what is there
	checkDatabase(t, s)
	server.Do("CONFIG", "SET", "maxmemory", "0")
	_, err = s.RotateRefresh(t.Context(), issuer, "another", first(1))
	ok(t, err)
}

// The primary lost its rank while we were connected.
func TestAServerThatBecomesAReplica(t *testing.T) {
	t.Parallel()
	primary, server := testredis.Start(t), testredis.Start(t)
	s := openAt(t, server)
	createLive(t, s, "grant")
	host, port := split(t, primary.Addr())
	server.Do("REPLICAOF", host, port)
	err := s.CreateGrant(t.Context(), storagetest.NewGrant(issuer, "new", nowOf(s)))
	if err == nil || outcome(err) {
		t.Errorf("create at a replica: %v", err)
	}
	wantText(t, err.Error(), "READONLY")
}
