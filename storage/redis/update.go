// SPDX-License-Identifier: Apache-2.0

package redis

import (
	"context"
	"time"

	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
)

// step is what becomes of a record. The zero step leaves it.
type step[R storage.Record] struct {
	// put is stored in its place.
	put *R
	// drop deletes it.
	drop bool
	// announce tells the feed.
	announce bool
}

// update changes one record. fn sees it with the time, nil if there is none or it is past
// its end, and says what becomes of it and what the caller is answered once that is done.
// The change is made if the record is still the one fn saw, byte for byte; else fn sees
// the new one.
func (t table[R]) update(ctx context.Context, s *Store, k key, fn func(rec *R, now time.Time) (step[R], error)) error {
	started := time.Now()
	for n := 0; ; n++ {
		f, err := t.load(ctx, s, k)
		if err != nil {
			return err
		}
		rec, live := t.live(f)
		next, answer := fn(rec, f.now)
		if next.put == nil && !next.drop {
			if answer == nil {
				answer = s.fence(ctx)
			}
			return answer
		}
		done, err := t.commit(ctx, s, k, f, live, next)
		switch {
		case err != nil:
			return err
		case done:
			return answer
		case time.Since(started) > retryFor:
			return ErrBusy
		}
		if err := pause(ctx, n); err != nil {
			return err
		}
	}
}

// commit stores a step. It returns false if the record is no longer what was found.
func (t table[R]) commit(ctx context.Context, s *Store, k key, f found[R], live bool, next step[R]) (bool, error) {
	value, announced := "", ""
	named := f.rec
	if next.put != nil {
		data, err := f.form.Rewrite(next.put)
		if err != nil {
			return false, err
		}
		value, named = t.value(next.put, data), next.put
	}
	if next.announce {
		announced = feedName(t.announced(named))
	}
	reply, err := s.call(ctx, scriptCommit, string(t.kind), string(k), f.stored, value, flag(live), announced)
	switch {
	case err != nil:
		return false, err
	case len(reply) == 1 && reply[0] == "conflict":
		return false, nil
	case len(reply) == 1 && reply[0] == "ok":
		return true, nil
	default:
		return false, refusal(reply)
	}
}
