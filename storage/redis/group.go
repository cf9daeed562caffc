// SPDX-License-Identifier: Apache-2.0

package redis

import (
	"context"
	"fmt"
	"slices"
	"strconv"

	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
)

// group lists the records of a table that belong to one other thing: the grants of a
// client. Each list is a set of its own.
type group[R storage.Record] struct {
	name string
	of   func(*R) key
}

// list names the list of one owner.
func (g group[R]) list(owner key) string { return g.name + ":" + string(owner) }

// Records are read and deleted in batches, so that no script holds the server up for
// long, however much belongs to one owner.
const (
	readBatch = 256
	dropBatch = 128
)

// readGroup returns the records of an owner that are not past their end. One that cannot
// be read is left out.
func (t table[R]) readGroup(ctx context.Context, s *Store, g group[R], owner key) ([]*R, error) {
	names, err := s.do(ctx, scriptMembers, string(t.kind), g.list(owner))
	if err != nil {
		return nil, err
	}
	var recs []*R
	for batch := range slices.Chunk(names, readBatch) {
		all, err := t.loadAll(ctx, s, keys(batch)...)
		if err != nil {
			return nil, err
		}
		for _, l := range all {
			if l.err != nil {
				continue
			}
			// A record that says that it belongs to another is no member.
			if rec, ok := t.live(l.found); ok && g.of(rec) == owner {
				recs = append(recs, rec)
			}
		}
	}
	return recs, nil
}

func keys(names []string) []key {
	out := make([]key, len(names))
	for i, name := range names {
		out[i] = key(name)
	}
	return out
}

// dropGroup deletes every record of an owner, expired ones and what cannot be read
// included, and calls each with what the feed is told of those that could be read.
func (t table[R]) dropGroup(ctx context.Context, s *Store, g group[R], owner key, each func(id string)) error {
	for {
		reply, err := s.do(ctx, scriptDropList, string(t.kind), g.list(owner), strconv.Itoa(dropBatch),
			flag(t.announced != nil), flag(s.wait.Replicas > 0))
		if err != nil {
			return err
		}
		if len(reply) == 0 {
			return fmt.Errorf("script %s answered too little", scriptDropList.name)
		}
		left, err := strconv.Atoi(reply[0])
		if err != nil {
			return fmt.Errorf("script %s: %w", scriptDropList.name, err)
		}
		for _, name := range reply[1:] {
			id, err := feedID(name)
			if err != nil {
				return err
			}
			each(id)
		}
		if left == 0 {
			return nil
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
}
