// SPDX-License-Identifier: Apache-2.0

package redis

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
)

// A position is the id of an entry in a stream, "<number>-<random>", in one integer. The
// number goes up by one with each change. The random part tells histories apart: after a
// failover or a restore the server may count other changes with the same numbers, and
// whoever has seen the old ones must not go on as if nothing had happened.
const nonceBits = 20

// position reads the id of an entry.
func position(id string) (uint64, error) {
	left, right, _ := strings.Cut(id, "-")
	number, err := strconv.ParseUint(left, 10, 64-nonceBits)
	if err != nil {
		return 0, fmt.Errorf("%w: position %.40q of the feed", ErrDamaged, id)
	}
	random, err := strconv.ParseUint(right, 10, nonceBits)
	if err != nil {
		return 0, fmt.Errorf("%w: position %.40q of the feed", ErrDamaged, id)
	}
	return number<<nonceBits | random, nil
}

// entryID is the id of the entry at a position.
func entryID(position uint64) string {
	return fmt.Sprintf("%d-%d", position>>nonceBits, position&(1<<nonceBits-1))
}

// Head implements storage.Feed.
func (s *Store) Head(ctx context.Context) (uint64, error) {
	return run(ctx, s, "read head of feed", func(ctx context.Context) (uint64, error) {
		reply, err := s.do(ctx, scriptHead)
		if err != nil {
			return 0, err
		}
		return position(strings.Join(reply, " "))
	})
}

// maxChanges bounds one answer.
const maxChanges = 1000

// Changes implements storage.Feed. ErrMissed is also the answer to a position that this
// server never had, as after a FLUSHALL, a restore, or a failover that lost changes.
func (s *Store) Changes(ctx context.Context, after uint64, limit int) (changes []storage.Change, next uint64, err error) {
	err = s.perform(ctx, "read feed", func(ctx context.Context) error {
		reply, err := s.do(ctx, scriptChanges, entryID(after), strconv.Itoa(min(max(limit, 1), maxChanges)))
		if err != nil {
			return err
		}
		changes, next, err = parseChanges(reply, after)
		return err
	})
	if err != nil {
		return nil, 0, err
	}
	return changes, next, nil
}

func parseChanges(reply []string, after uint64) ([]storage.Change, uint64, error) {
	if len(reply)%3 != 0 {
		return nil, 0, fmt.Errorf("%d fields of changes", len(reply))
	}
	next := after
	var changes []storage.Change
	for ; len(reply) > 0; reply = reply[3:] {
		at, err := position(reply[0])
		if err != nil {
			return nil, 0, err
		}
		id, err := feedID(reply[2])
		if err != nil {
			return nil, 0, err
		}
		next = at
		changes = append(changes, storage.Change{Kind: storage.ChangeKind(reply[1]), ID: id})
	}
	return changes, next, nil
}
