// SPDX-License-Identifier: Apache-2.0

package redis

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/caddy-mcp/caddy-mcp-oauth/internal/testredis"
	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
)

func save(t testing.TB, s *Store, subject string) {
	t.Helper()
	ok(t, s.SaveAccount(t.Context(), &storage.Account{Subject: subject}))
}

func headOf(t testing.TB, s *Store) uint64 {
	t.Helper()
	head, err := s.Head(t.Context())
	ok(t, err)
	return head
}

// Somebody emptied the database under running gateways. They must not go on with what
// they hold in memory, and they can begin anew.
func TestAFlushIsNoticed(t *testing.T) {
	t.Parallel()
	server := testredis.Start(t)
	s := openAt(t, server)
	save(t, s, "github:1")
	head := headOf(t, s)
	server.Do("FLUSHALL")
	_, _, err := s.Changes(t.Context(), head, 10)
	wantErr(t, err, storage.ErrMissed)
	for i := range 5 { // and also when there are changes again
		save(t, s, fmt.Sprint("github:", i))
		_, _, err = s.Changes(t.Context(), head, 10)
		wantErr(t, err, storage.ErrMissed)
	}
	if again := headOf(t, s); again <= head {
		t.Errorf("the head went from %d to %d", head, again)
	}
	save(t, s, "github:new")
	checkDatabase(t, s)
	openWith(t, Options{Addresses: []string{server.Addr()}, Prefix: s.meta[1 : len(s.meta)-len("}:meta")]})
}

// The database was restored from a backup, or a replica took over that had not seen the
// latest changes. Then it went on, past the number that gateways had reached. A number
// says nothing: the changes under it are others.
func TestAnotherHistoryIsNoticed(t *testing.T) {
	t.Parallel()
	server := testredis.Start(t, testredis.Set("save", "3600 1"))
	s := openAt(t, server)
	save(t, s, "github:1")
	server.Do("SAVE")
	saved := headOf(t, s)
	for range 3 {
		save(t, s, "github:2")
	}
	head := headOf(t, s)
	server.Kill()
	server.Restart()
	eventually(t, func() error { _, err := s.Head(t.Context()); return err })
	if _, _, err := s.Changes(t.Context(), head, 10); !errors.Is(err, storage.ErrMissed) {
		t.Errorf("before the head is back there: %v", err)
	}
	for range 3 {
		save(t, s, "github:3")
	}
	if now := headOf(t, s); now>>nonceBits != head>>nonceBits {
		t.Fatalf("the test is wrong: the head is %s and was %s", entryID(now), entryID(head))
	}
	if _, _, err := s.Changes(t.Context(), head, 10); !errors.Is(err, storage.ErrMissed) {
		t.Errorf("at the same number: %v", err)
	}
	save(t, s, "github:3")
	if _, _, err := s.Changes(t.Context(), head, 10); !errors.Is(err, storage.ErrMissed) {
		t.Errorf("past the same number: %v", err)
	}
	// Who had seen no more than what was saved missed nothing.
	if changes, _, err := s.Changes(t.Context(), saved, 10); err != nil || len(changes) != 4 {
		t.Errorf("%v, %v", changes, err)
	}
}

func TestAFeedThatIsGone(t *testing.T) {
	t.Parallel()
	s, _ := open(t)
	before := headOf(t, s)
	save(t, s, "github:1")
	ok(t, s.client.Del(t.Context(), s.named("feed")).Err())
	_, _, err := s.Changes(t.Context(), before, 10)
	wantErr(t, err, storage.ErrMissed)
	ok(t, s.client.HDel(t.Context(), s.meta, "head", "low").Err())
	_, _, err = s.Changes(t.Context(), before, 10)
	wantErr(t, err, storage.ErrMissed)
	save(t, s, "github:2")
	if _, _, err := s.Changes(t.Context(), headOf(t, s), 10); err != nil {
		t.Error(err)
	}
}

// A feed of many changes is dropped step by step, and each step notes how far it got.
func TestTrimmingALongFeed(t *testing.T) {
	t.Parallel()
	s, clock := open(t)
	from := headOf(t, s)
	const n = 3*sweepBatch + 7
	for i := range n {
		save(t, s, fmt.Sprint("github:", i%5))
	}
	middle := headOf(t, s)
	clock.Advance(storage.FeedRetention / 2)
	save(t, s, "github:late")
	clock.Advance(storage.FeedRetention/2 + time.Second)
	_, err := s.Sweep(t.Context())
	ok(t, err)
	if length, err := s.client.XLen(t.Context(), s.named("feed")).Result(); err != nil || length != 1 {
		t.Errorf("%d changes are left, %v", length, err)
	}
	_, _, err = s.Changes(t.Context(), from, 10)
	wantErr(t, err, storage.ErrMissed)
	changes, next, err := s.Changes(t.Context(), middle, 10)
	if err != nil || len(changes) != 1 || changes[0].ID != "github:late" {
		t.Errorf("%v, %v", changes, err)
	}
	if changes, _, err := s.Changes(t.Context(), next, 10); err != nil || len(changes) != 0 {
		t.Errorf("%v, %v", changes, err)
	}
}

func TestAPageOfTheFeedIsBounded(t *testing.T) {
	t.Parallel()
	s, _ := open(t)
	from := headOf(t, s)
	for range 3 {
		save(t, s, "github:1")
	}
	for limit, want := range map[int]int{-1: 1, 0: 1, 2: 2, 1 << 40: 3} {
		if changes, _, err := s.Changes(t.Context(), from, limit); err != nil || len(changes) != want {
			t.Errorf("limit %d: %d changes, %v", limit, len(changes), err)
		}
	}
}

// The connection that listens breaks, and the change comes while the server is away from
// this gateway. It is woken all the same, once it is back.
func TestWaitOutlivesARestart(t *testing.T) {
	t.Parallel()
	server := testredis.Start(t, testredis.AppendOnly("always"))
	s, other := openAt(t, server), openAt(t, server)
	other.meta = s.meta
	head := headOf(t, s)
	done := make(chan time.Duration, 1)
	go func() {
		begin := time.Now()
		s.Wait(t.Context(), head, time.Minute)
		done <- time.Since(begin)
	}()
	eventually(t, func() error { // it listens
		if n := server.Do("CLIENT", "LIST").(string); !contains(n, "cmd=xread") {
			return errors.New(n)
		}
		return nil
	})
	server.Kill()
	server.Restart()
	eventually(t, func() error { return other.SaveAccount(t.Context(), &storage.Account{Subject: "github:1"}) })
	if took := <-done; took > 50*time.Second {
		t.Errorf("it took %s", took)
	}
}

// While the server is away, whoever waits waits: it must not spin.
func TestWaitDuringAnOutage(t *testing.T) {
	t.Parallel()
	server := testredis.Start(t)
	s := openAt(t, server)
	head := headOf(t, s)
	server.Stop()
	begin := time.Now()
	s.Wait(t.Context(), head, 500*time.Millisecond)
	if took := time.Since(begin); took < 400*time.Millisecond || took > 30*time.Second {
		t.Errorf("it took %s", took)
	}
}

// A hundred who wait hold one connection and not a hundred, which would leave none for
// the verbs.
func TestWaitersShareAConnection(t *testing.T) {
	t.Parallel()
	server := testredis.Start(t)
	s := openAt(t, server)
	head := headOf(t, s)
	const n = 100
	done := make(chan struct{}, n)
	for range n {
		go func() {
			s.Wait(t.Context(), head, time.Minute)
			done <- struct{}{}
		}()
	}
	eventually(t, func() error {
		s.watch.mu.Lock()
		defer s.watch.mu.Unlock()
		if s.watch.waiting != n || !s.watch.running {
			return fmt.Errorf("%d wait", s.watch.waiting)
		}
		return nil
	})
	begin := time.Now()
	createLive(t, s, "grant")
	if took := time.Since(begin); took > 30*time.Second {
		t.Errorf("verbs had to wait for %s", took)
	}
	save(t, s, "github:1")
	for range n {
		<-done
	}
}

func TestWaitEndsWithClose(t *testing.T) {
	t.Parallel()
	server := testredis.Start(t)
	s := openAt(t, server)
	head := headOf(t, s)
	done := make(chan struct{})
	go func() {
		s.Wait(t.Context(), head, time.Hour)
		close(done)
	}()
	eventually(t, func() error {
		s.watch.mu.Lock()
		defer s.watch.mu.Unlock()
		if !s.watch.running {
			return errors.New("nobody listens")
		}
		return nil
	})
	begin := time.Now()
	ok(t, s.Close())
	<-done
	if took := time.Since(begin); took > 30*time.Second {
		t.Errorf("close took %s", took)
	}
	s.Wait(t.Context(), head, time.Hour) // of a closed store: at once
}
