// SPDX-License-Identifier: Apache-2.0

package bolt

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
	"github.com/caddy-mcp/caddy-mcp-oauth/storage/storagetest"
)

// put is a call that writes one key.
func put(name string) func(*writeTx) error {
	return func(w *writeTx) error {
		w.changed = true
		return w.tx.Bucket(bucketMeta).Put([]byte(name), []byte("x"))
	}
}

func has(t *testing.T, s *Store, name string) bool {
	t.Helper()
	found := false
	if err := s.db.View(func(tx *bbolt.Tx) error {
		found = tx.Bucket(bucketMeta).Get([]byte(name)) != nil
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return found
}

// hold keeps the writer busy until release is called. What is queued meanwhile
// ends up in the next transaction.
func hold(t *testing.T, s *Store) (release func()) {
	t.Helper()
	started, end, done := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	go func() {
		done <- s.committer.do(context.Background(), func(*writeTx) error {
			close(started)
			<-end
			return nil
		})
	}()
	<-started
	return func() {
		close(end)
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

// queue starts calls and returns once all of them wait for the writer.
func queue(t *testing.T, s *Store, ctx context.Context, fns ...func(*writeTx) error) <-chan result {
	t.Helper()
	results := make(chan result, len(fns))
	for i, fn := range fns {
		before := queued(s)
		go func() { results <- result{i, s.committer.do(ctx, fn)} }()
		for queued(s) == before {
			if t.Context().Err() != nil {
				t.Fatal("a call is not queued")
			}
		}
	}
	return results
}

type result struct {
	call int
	err  error
}

func queued(s *Store) int {
	s.committer.mu.Lock()
	defer s.committer.mu.Unlock()
	return len(s.committer.queue)
}

func collect(results <-chan result, n int) []error {
	errs := make([]error, n)
	for range n {
		r := <-results
		errs[r.call] = r.err
	}
	return errs
}

func TestCallsThatWaitShareACommit(t *testing.T) {
	t.Parallel()
	s, _ := open(t, tempPath(t))
	before := transactions(t, s)
	release := hold(t, s)
	var fns []func(*writeTx) error
	for i := range 100 {
		fns = append(fns, put(fmt.Sprint("key", i)))
	}
	results := queue(t, s, t.Context(), fns...)
	release()
	for i, err := range collect(results, len(fns)) {
		if err != nil || !has(t, s, fmt.Sprint("key", i)) {
			t.Errorf("call %d: error %v, or its write is missing", i, err)
		}
	}
	if got := transactions(t, s) - before; got != 1 {
		t.Errorf("%d commits for 100 calls that waited together, want 1", got)
	}
}

func TestALongQueueIsSplit(t *testing.T) {
	t.Parallel()
	s, _ := open(t, tempPath(t))
	before := transactions(t, s)
	release := hold(t, s)
	var fns []func(*writeTx) error
	for i := range maxGroup + 1 {
		fns = append(fns, put(fmt.Sprint("key", i)))
	}
	results := queue(t, s, t.Context(), fns...)
	release()
	collect(results, len(fns))
	if got := transactions(t, s) - before; got != 2 {
		t.Errorf("%d commits for %d calls, want 2", got, len(fns))
	}
}

func TestACallThatFailsFailsAlone(t *testing.T) {
	t.Parallel()
	boom := errors.New("boom")
	tests := map[string]struct {
		fail func(w *writeTx) error
		want error
	}{
		"error": {func(w *writeTx) error { return errors.Join(put("half")(w), boom) }, boom},
		"panic": {func(w *writeTx) error { _ = put("half")(w); panic("page 7 is no leaf") }, ErrDamaged},
		"nil pointer": {func(w *writeTx) error {
			_ = put("half")(w)
			return w.tx.Bucket([]byte("missing")).Put([]byte("k"), nil)
		}, ErrDamaged},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, _ := open(t, tempPath(t))
			release := hold(t, s)
			results := queue(t, s, t.Context(), put("before"), tt.fail, put("after"), tt.fail, put("last"))
			release()
			errs := collect(results, 5)
			for i, want := range []error{nil, tt.want, nil, tt.want, nil} {
				if !errors.Is(errs[i], want) {
					t.Errorf("call %d: error %v, want %v", i, errs[i], want)
				}
			}
			if !has(t, s, "before") || !has(t, s, "after") || !has(t, s, "last") || has(t, s, "half") {
				t.Error("the others' writes are missing, or half of the failed one is there")
			}
			if err := s.committer.do(t.Context(), put("next")); err != nil {
				t.Errorf("the store is of no use afterwards: %v", err)
			}
		})
	}
}

// A flood of requests that find nothing must not cost a disk sync each.
func TestCallsThatChangeNothingWriteNothing(t *testing.T) {
	t.Parallel()
	path := tempPath(t)
	s, clock := open(t, path)
	fill(t, s, clock.Now(), 1, "")
	const id = "0aa"
	redemption := storagetest.NewRedemption(id)
	repeat := func() error {
		_, err := s.RotateRefresh(t.Context(), issuer, id, storage.Rotation{Presented: redemption.Refresh, Successor: storage.Hash{1}, TTL: time.Hour, Grace: time.Minute})
		return err
	}
	_, err := s.RedeemCode(t.Context(), issuer, id, redemption)
	session := storagetest.NewSession(issuer, id, clock.Now())
	if err := errors.Join(
		err, repeat(), s.KeepClient(t.Context(), issuer, id),
		s.CreateSession(t.Context(), session), s.RememberOnce(t.Context(), issuer, storage.Hash{1}, time.Minute),
	); err != nil {
		t.Fatal(err)
	}
	clock.Advance(50 * time.Second)
	before, _ := os.ReadFile(path)
	for name, verb := range map[string]func() error{
		"rotate an unknown grant": func() error { _, err := s.RotateRefresh(t.Context(), issuer, "x", storage.Rotation{}); return err },
		"replay a code":           func() error { _, err := s.RedeemCode(t.Context(), issuer, id, redemption); return err },
		"redeem a wrong code":     func() error { _, err := s.RedeemCode(t.Context(), issuer, id, storage.Redemption{}); return err },
		"take an unknown request": func() error { _, err := s.TakePending(t.Context(), issuer, storage.Hash{}); return err },
		"keep an unknown client":  func() error { return s.KeepClient(t.Context(), issuer, "x") },
		"create a taken client":   func() error { return s.CreateClient(t.Context(), storagetest.NewClient(issuer, id, clock.Now())) },
		"create a taken grant":    func() error { return s.CreateGrant(t.Context(), storagetest.NewGrant(issuer, id, clock.Now())) },
		"create a taken session":  func() error { return s.CreateSession(t.Context(), session) },
		"touch an unknown session": func() error {
			return s.TouchSession(t.Context(), issuer, storage.Hash{}, time.Hour)
		},
		"use an id again":         func() error { return s.RememberOnce(t.Context(), issuer, storage.Hash{1}, time.Hour) },
		"use an id without a ttl": func() error { return s.RememberOnce(t.Context(), issuer, storage.Hash{2}, 0) },
	} {
		if err := verb(); !outcome(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, err = s.DeleteClient(t.Context(), issuer, "x")
	if err := errors.Join(
		err, repeat(), s.RevokeGrant(t.Context(), issuer, "x"), s.KeepClient(t.Context(), issuer, id),
		s.TouchSession(t.Context(), issuer, session.ID, time.Hour), s.DeleteSession(t.Context(), issuer, storage.Hash{}),
		s.DeleteConsents(t.Context(), issuer, "x"),
	); err != nil {
		t.Error(err)
	}
	if n, err := s.Sweep(t.Context()); n != 0 || err != nil {
		t.Error(n, err)
	}
	after, _ := os.ReadFile(path)
	if string(before) != string(after) {
		t.Error("the file changed")
	}
}

func TestAContextThatEndsInTheQueueKeepsTheCallFromRunning(t *testing.T) {
	t.Parallel()
	s, _ := open(t, tempPath(t))
	release := hold(t, s)
	ctx, cancel := context.WithCancel(t.Context())
	gone := queue(t, s, ctx, put("gone"))
	stays := queue(t, s, t.Context(), put("stays"))
	cancel()
	if r := <-gone; !errors.Is(r.err, context.Canceled) {
		t.Errorf("got error %v", r.err)
	}
	release()
	if r := <-stays; r.err != nil {
		t.Error(r.err)
	}
	if has(t, s, "gone") || !has(t, s, "stays") {
		t.Error("the cancelled call was run, or the other was not")
	}
}

// The disk hangs. A caller whose request ended must get away.
func TestAContextThatEndsDuringTheCommitFreesTheCaller(t *testing.T) {
	t.Parallel()
	s, _ := open(t, tempPath(t))
	ctx, cancel := context.WithCancel(t.Context())
	end := make(chan struct{})
	err := s.committer.do(ctx, func(w *writeTx) error {
		cancel()
		<-end
		return put("late")(w)
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got error %v", err)
	}
	close(end)
	if err := s.committer.do(t.Context(), func(*writeTx) error { return nil }); err != nil {
		t.Error(err)
	}
	if !has(t, s, "late") {
		t.Error("a call that had begun was not finished")
	}
}

func TestCloseAnswersWhatItAccepted(t *testing.T) {
	t.Parallel()
	path := tempPath(t)
	s, _ := open(t, path)
	release := hold(t, s)
	fns := make([]func(*writeTx) error, 3*maxGroup)
	for i := range fns {
		fns[i] = put(fmt.Sprint("key", i))
	}
	results := queue(t, s, t.Context(), fns...)
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	for { // until Close refuses newcomers
		s.committer.mu.Lock()
		closed := s.committer.closed
		s.committer.mu.Unlock()
		if closed {
			break
		}
	}
	if err := s.committer.do(t.Context(), put("late")); !errors.Is(err, storage.ErrClosed) {
		t.Errorf("got error %v, want %v", err, storage.ErrClosed)
	}
	release()
	for _, err := range collect(results, len(fns)) {
		if err != nil {
			t.Error(err)
		}
	}
	wg.Wait()
	s, _ = open(t, path)
	for i := range fns {
		if !has(t, s, fmt.Sprint("key", i)) {
			t.Fatalf("call %d was accepted and is missing", i)
		}
	}
	if has(t, s, "late") {
		t.Error("a refused call was run")
	}
}
