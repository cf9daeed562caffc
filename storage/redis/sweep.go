// SPDX-License-Identifier: Apache-2.0

package redis

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
)

// sweepBatch is how many records one script of the sweeper looks at: few enough that a
// sign-in that comes meanwhile does not notice.
const sweepBatch = 128

// Sweep deletes every expired record and every change that has been in the feed for
// longer than storage.FeedRetention, and returns how many records there were. It is what
// the background sweeper does at each interval; nothing but memory depends on it. Any
// number may run at once.
func (s *Store) Sweep(ctx context.Context) (int, error) {
	total := 0
	var errs []error
	for _, kind := range kinds {
		n, err := s.sweepKind(ctx, kind)
		total += n
		errs = append(errs, err)
	}
	return total, errors.Join(append(errs, s.trim(ctx))...)
}

func (s *Store) sweepKind(ctx context.Context, kind storage.Kind) (int, error) {
	total, stay := 0, 0
	for {
		n, err := s.numbers(ctx, "sweep", scriptSweep, string(kind), strconv.Itoa(sweepBatch), strconv.Itoa(stay))
		if err != nil {
			return total, err
		}
		looked, stayed, gone := n[0], n[1], n[2]
		stay += stayed
		total += gone
		if looked < sweepBatch {
			return total, nil
		}
	}
}

func (s *Store) trim(ctx context.Context) error {
	for {
		n, err := s.numbers(ctx, "trim feed", scriptTrim, strconv.Itoa(sweepBatch), strconv.Itoa(int(storage.FeedRetention/time.Second)))
		if err != nil || n[0] < sweepBatch {
			return err
		}
	}
}

// numbers runs one script of the sweeper, as a verb: between two of them others get in,
// and Close does.
func (s *Store) numbers(ctx context.Context, verb string, sc *script, args ...string) ([3]int, error) {
	return run(ctx, s, verb, func(ctx context.Context) (n [3]int, err error) {
		reply, err := s.do(ctx, sc, args...)
		if err != nil {
			return n, err
		}
		if len(reply) > len(n) {
			return n, fmt.Errorf("script %s answered too much", sc.name)
		}
		for i, text := range reply {
			if n[i], err = strconv.Atoi(text); err != nil {
				return n, fmt.Errorf("script %s: %w", sc.name, err)
			}
		}
		return n, nil
	})
}

// startSweeper sweeps at once, for a server that is restarted often would otherwise never,
// and then at every interval until Close, a little later or earlier each time so that
// several gateways do not sweep together.
func (s *Store) startSweeper(interval time.Duration) {
	if interval < 0 {
		return
	}
	s.background.Go(func() {
		for s.stopped.Err() == nil {
			s.sweepAndLog()
			sleep(s.stopped, jitter(interval))
		}
	})
}

// jitter returns between three and five quarters of d.
func jitter(d time.Duration) time.Duration {
	const steps = 1 << 16
	r, err := randomBelow(steps)
	if err != nil {
		return d
	}
	return d/4*3 + time.Duration(float64(d/2)*float64(r)/steps)
}

func (s *Store) sweepAndLog() {
	n, err := s.Sweep(s.stopped)
	switch {
	case s.stopped.Err() != nil, errors.Is(err, storage.ErrClosed):
	case err != nil:
		s.log.Error("sweeping expired records failed", "deleted", n, "error", err)
	case n > 0:
		s.log.Debug("swept expired records", "deleted", n)
	}
}
