// SPDX-License-Identifier: Apache-2.0

package postgres

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/caddy-mcp/caddy-mcp-oauth/internal/testpostgres"
	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
	"github.com/caddy-mcp/caddy-mcp-oauth/storage/storagetest"
)

// worker signs in, refreshes and revokes until the server is killed under it, and
// remembers what was acknowledged.
type worker struct {
	name    string
	kept    []grantSeen // in the order of their creation; the last may be half-way
	revoked []string
	saved   uint64 // revision of its account
	done    *atomic.Int64
}

// grantSeen is how far a grant came.
type grantSeen struct {
	id       string
	redeemed bool
	// current is the refresh secret that was acknowledged last, tried the one that
	// was asked for after it and may be current instead.
	current, tried storage.Hash
	rotations      int
	revoking       bool
}

// run ends with the first failure, which is the server's end.
func (w *worker) run(t *testing.T, s *Store) error {
	account := storagetest.NewAccount(w.name, time.Now())
	for n := 0; ; n++ {
		g := grantSeen{id: fmt.Sprint(w.name, "-", n), current: storage.Hash{1}}
		grant := storagetest.NewGrant(issuer, g.id, time.Now())
		grant.Subject, grant.ClientID = account.Subject, w.name
		if err := s.CreateGrant(t.Context(), grant); err != nil {
			return err
		}
		w.kept = append(w.kept, g)
		if err := w.use(t, s, &w.kept[n-len(w.revoked)]); err != nil {
			return err
		}
		if err := s.SaveAccount(t.Context(), account); err != nil {
			return err
		}
		w.saved++
		w.done.Add(1)
		if err := s.CreateClient(t.Context(), storagetest.NewClient(issuer, g.id, time.Now())); err != nil {
			return err
		}
	}
}

// use redeems a grant, refreshes it three times, and ends every third one.
func (w *worker) use(t *testing.T, s *Store, g *grantSeen) error {
	r := storagetest.NewRedemption(g.id)
	g.tried = r.Refresh
	if _, err := s.RedeemCode(t.Context(), issuer, g.id, r); err != nil {
		return err
	}
	g.redeemed, g.current = true, r.Refresh
	for i := range byte(3) {
		g.tried = storage.Hash{2 + i}
		if _, err := s.RotateRefresh(t.Context(), issuer, g.id, rotation(g.current, g.tried)); err != nil {
			return err
		}
		g.current = g.tried
		g.rotations++
	}
	if (len(w.kept)+len(w.revoked))%3 != 0 {
		return nil
	}
	g.revoking = true
	if err := s.RevokeGrant(t.Context(), issuer, g.id); err != nil {
		return err
	}
	w.revoked = append(w.revoked, g.id)
	w.kept = w.kept[:len(w.kept)-1]
	return nil
}

// verify fails unless everything that was acknowledged is there, and nothing is
// half there.
func (w *worker) verify(t *testing.T, s *Store, changes map[storage.Change]int) {
	t.Helper()
	for _, id := range w.revoked {
		if _, err := s.Grant(t.Context(), issuer, id); !errors.Is(err, storage.ErrNotFound) {
			t.Errorf("%s was revoked: %v", id, err)
		}
		if changes[storage.Change{Kind: storage.ChangeGrant, ID: id}] != 1 {
			t.Errorf("%s was revoked and is not in the feed once", id)
		}
	}
	for i, seen := range w.kept {
		g, err := s.Grant(t.Context(), issuer, seen.id)
		if errors.Is(err, storage.ErrNotFound) && seen.revoking && i == len(w.kept)-1 {
			if changes[storage.Change{Kind: storage.ChangeGrant, ID: seen.id}] != 1 {
				t.Errorf("%s is gone and not in the feed", seen.id)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", seen.id, err)
			continue
		}
		if c := g.Refresh.Current; g.Live() && c != seen.current && c != seen.tried || seen.redeemed && !g.Live() {
			t.Errorf("%s: redeemed %v, secret %x, want %x or %x", seen.id, g.Live(), c[:2], seen.current[:2], seen.tried[:2])
		}
		if g.Live() && len(g.Refresh.Retired) < seen.rotations {
			t.Errorf("%s: %d retired secrets, want %d", seen.id, len(g.Refresh.Retired), seen.rotations)
		}
	}
	a, err := s.Account(t.Context(), storagetest.NewAccount(w.name, time.Now()).Subject)
	if w.saved > 0 && (err != nil || a.Revision < w.saved || a.Revision > w.saved+1) {
		t.Errorf("account %s: %v, %v; %d saves were acknowledged", w.name, a, err, w.saved)
	}
}

// The server is killed in the middle of many sign-ins, three times over. What was
// acknowledged is there; what was not is there whole or not at all.
func TestServerIsKilledUnderLoad(t *testing.T) {
	t.Parallel()
	server := testpostgres.Start(t, testpostgres.Durable)
	s := openWith(t, Options{DSN: server.DSN()})
	var all []*worker
	for round := range 3 {
		var (
			wg   sync.WaitGroup
			done atomic.Int64
		)
		for i := range 8 {
			w := &worker{name: fmt.Sprint("w", round, "-", i), done: &done}
			all = append(all, w)
			wg.Go(func() {
				if err := w.run(t, s); isAnswer(err) {
					t.Errorf("%s: %v", w.name, err)
				}
			})
		}
		eventually(t, "there is load", func() bool { return done.Load() > 24 })
		server.Kill(t)
		wg.Wait()
		server.Restart(t)
	}
	conn := connect(t, server)
	changes := readFeed(t, s)
	grantsSeen := 0
	for _, w := range all {
		w.verify(t, s, changes)
		grantsSeen += len(w.kept) + len(w.revoked)
	}
	t.Logf("%d grants, %d changes", grantsSeen, len(changes))
	checkCounter(t, s, conn)
	checkFeed(t, s, conn)
	checkRecords(t, s, conn)
}

func readFeed(t *testing.T, s *Store) map[storage.Change]int {
	t.Helper()
	seen := map[storage.Change]int{}
	for after := uint64(0); ; {
		changes, next, err := s.Changes(t.Context(), after, 1000)
		ok(t, err)
		for _, c := range changes {
			seen[c]++
		}
		if len(changes) == 0 {
			return seen
		}
		after = next
	}
}

// checkRecords fails unless every column says what its record does.
func checkRecords(t *testing.T, s *Store, conn *pgx.Conn) {
	t.Helper()
	for _, c := range chests() {
		rows, err := conn.Query(t.Context(), "SELECT * FROM "+in(s, c.name))
		ok(t, err)
		n := 0
		for rows.Next() {
			got, err := rows.Values()
			ok(t, err)
			want, err := c.values(got[len(got)-1].([]byte))
			ok(t, err)
			for i := range want {
				if !sameColumn(got[i], want[i]) {
					t.Errorf("%s: column %s is %v, the record says %v", c.name, c.columns[i], got[i], want[i])
				}
			}
			n++
		}
		ok(t, rows.Err())
		t.Logf("%d rows of %s", n, c.name)
	}
}

func sameColumn(got, want any) bool {
	switch want := want.(type) {
	case []byte:
		return string(got.([]byte)) == string(want)
	case time.Time:
		return got.(time.Time).Equal(want.Truncate(time.Microsecond))
	}
	return got == want
}
