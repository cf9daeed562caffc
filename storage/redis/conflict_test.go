// SPDX-License-Identifier: Apache-2.0

package redis

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
)

func zed(score float64, member string) redis.Z { return redis.Z{Score: score, Member: member} }

// Many gateways learn something about the same user at once. Each of them gets through,
// and that in bounded time: nobody starves while others go round.
func TestAStormOnOneRecordEnds(t *testing.T) {
	t.Parallel()
	s, _ := open(t)
	const callers, times = 64, 2
	var (
		wg      sync.WaitGroup
		failed  atomic.Int64
		longest atomic.Int64
	)
	for range callers {
		wg.Go(func() {
			for range times {
				begin := time.Now()
				switch err := s.SaveAccount(t.Context(), &storage.Account{Subject: "github:1"}); {
				case errors.Is(err, ErrBusy): // the machine may be
					failed.Add(1)
				case err != nil:
					t.Error(err)
				}
				if took := int64(time.Since(begin)); took > longest.Load() {
					longest.Store(took)
				}
			}
		})
	}
	wg.Wait()
	a, err := s.Account(t.Context(), "github:1")
	ok(t, err)
	if want := uint64(callers*times) - uint64(failed.Load()); a.Revision != want {
		t.Errorf("revision %d after %d saves", a.Revision, want)
	}
	if failed.Load() > callers*times/4 {
		t.Errorf("%d of %d got through", callers*times-failed.Load(), callers*times)
	}
	t.Logf("longest wait: %s", time.Duration(longest.Load()))
}

// Each conflict leads to another look, and each look to another step.
func TestAConflictIsSeen(t *testing.T) {
	t.Parallel()
	s, _ := open(t)
	const subject = "github:1"
	var seen []uint64
	err := accounts.update(t.Context(), s, keyOf(subject), func(old *storage.Account, _ time.Time) (step[storage.Account], error) {
		revision := uint64(0)
		if old != nil {
			revision = old.Revision
		}
		if seen = append(seen, revision); len(seen) <= 3 { // another gateway is faster
			ok(t, s.SaveAccount(t.Context(), &storage.Account{Subject: subject}))
		}
		return putAccount(&storage.Account{Subject: subject, Token: "mine"}, revision+1), nil
	})
	ok(t, err)
	a, err := s.Account(t.Context(), subject)
	ok(t, err)
	if !slices.Equal(seen, []uint64{0, 1, 2, 3}) || a.Revision != 4 || a.Token != "mine" {
		t.Errorf("seen %v, then %+v", seen, a)
	}
}

// A caller that nobody lets through gives up in the end, and says so.
func TestAStormThatDoesNotEnd(t *testing.T) {
	t.Parallel()
	s, _ := open(t)
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	k := keyOf("github:1")
	err := s.perform(ctx, "fight", func(ctx context.Context) error {
		return accounts.update(ctx, s, k, func(*storage.Account, time.Time) (step[storage.Account], error) {
			if err := s.SaveAccount(ctx, &storage.Account{Subject: "github:1"}); err != nil {
				return step[storage.Account]{}, err
			}
			return putAccount(&storage.Account{Subject: "github:1"}, 1), nil
		})
	})
	if !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, ErrBusy) {
		t.Errorf("got %v", err)
	}
}

func TestPausesGrowToABound(t *testing.T) {
	t.Parallel()
	for n := range 100 {
		begin := time.Now()
		if n > 6 {
			n += 1000
		}
		ctx, cancel := context.WithCancel(t.Context())
		if n > 10 {
			cancel()
			wantErr(t, pause(ctx, n), context.Canceled)
		} else {
			ok(t, pause(ctx, n))
		}
		cancel()
		if took := time.Since(begin); took > 30*time.Second {
			t.Errorf("pause %d took %s", n, took)
		}
	}
}

// The scripts are gone from the server, as after a restart or SCRIPT FLUSH by somebody
// else: nobody notices.
func TestForgottenScripts(t *testing.T) {
	t.Parallel()
	s, _ := open(t)
	var wg sync.WaitGroup
	stop := make(chan struct{})
	wg.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				if err := s.client.ScriptFlush(t.Context()).Err(); err != nil {
					t.Error(err)
				}
			}
		}
	})
	for range 50 {
		ok(t, s.SaveAccount(t.Context(), &storage.Account{Subject: "github:1"}))
	}
	close(stop)
	wg.Wait()
}
