// SPDX-License-Identifier: Apache-2.0

package redis

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
)

// table is one kind of record. Its records change by scripts only, which keep the lists
// they are on in step.
type table[R storage.Record] struct {
	kind    storage.Kind
	key     func(*R) key
	expired func(*R, time.Time) bool
	// end is when the sweeper may take a record; false means never.
	end func(*R) (time.Time, bool)
	// age is since when a record counts against a limit. Nil where there is none.
	age    func(*R) (time.Time, bool)
	groups []group[R]
	// announced is what the feed calls a record. Nil where it is not told of them.
	announced func(*R) string
}

// found is what lies at a key.
type found[R storage.Record] struct {
	// stored is the whole of it, "" for nothing, and rec what it says.
	stored string
	rec    *R
	form   storage.Form[R]
	// now is the time of the read.
	now time.Time
}

// live returns the record unless there is none or it is past its end.
func (t table[R]) live(f found[R]) (*R, bool) {
	if f.rec == nil || t.expired(f.rec, f.now) {
		return nil, false
	}
	return f.rec, true
}

// load reads what lies at a key.
func (t table[R]) load(ctx context.Context, s *Store, k key) (found[R], error) {
	all, err := t.loadAll(ctx, s, k)
	if err != nil {
		return found[R]{}, err
	}
	if all[0].err != nil {
		return found[R]{}, all[0].err
	}
	return all[0].found, nil
}

// loaded is what lies at one of several keys, or why it cannot be read.
type loaded[R storage.Record] struct {
	found[R]
	err error
}

// loadAll reads what lies at several keys, at one moment.
func (t table[R]) loadAll(ctx context.Context, s *Store, keys ...key) ([]loaded[R], error) {
	args := []string{string(t.kind)}
	for _, k := range keys {
		args = append(args, string(k))
	}
	reply, err := s.call(ctx, scriptLoad, args...)
	if err != nil {
		return nil, err
	}
	if len(reply) != len(keys)+1 {
		return nil, fmt.Errorf("%d answers to %d keys", len(reply)-1, len(keys))
	}
	now, err := parseStamp(reply[0])
	if err != nil {
		return nil, err
	}
	all := make([]loaded[R], len(keys))
	for i, stored := range reply[1:] {
		all[i].stored, all[i].now = stored, now
		if stored != "" {
			all[i].rec, all[i].form, all[i].err = t.decode(keys[i], stored)
		}
	}
	return all, nil
}

// decode reads a stored record and wants it to be the one of its key.
func (t table[R]) decode(k key, stored string) (rec *R, form storage.Form[R], err error) {
	data, err := content(stored)
	if err != nil {
		return nil, form, fmt.Errorf("%s: %w", t.kind, err)
	}
	rec, form, err = storage.Decode[R](data)
	if err != nil {
		return nil, form, fmt.Errorf("%s: %w", t.kind, err)
	}
	if t.key(rec) != k {
		return nil, form, fmt.Errorf("%s: %w (a record lies under another one's key)", t.kind, ErrDamaged)
	}
	return rec, form, nil
}

// get is the whole of a verb that reads one record.
func (t table[R]) get(ctx context.Context, s *Store, verb string, k key) (*R, error) {
	return run(ctx, s, verb, func(ctx context.Context) (*R, error) {
		f, err := t.load(ctx, s, k)
		if err != nil {
			return nil, err
		}
		rec, ok := t.live(f)
		if !ok {
			return nil, storage.ErrNotFound
		}
		return rec, nil
	})
}

// insert stores a new record, storage.ErrExists if its key is taken. One past its end
// does not hold the key.
func (t table[R]) insert(ctx context.Context, s *Store, rec *R) error {
	data, err := storage.Encode(rec)
	if err != nil {
		return err
	}
	args := []string{
		string(t.kind), string(t.key(rec)), t.value(rec, data),
		strconv.Itoa(s.maxUnused), strconv.Itoa(int(storage.UnusedClientMinAge / time.Second)),
	}
	for {
		reply, err := s.call(ctx, scriptInsert, args...)
		switch {
		case err != nil:
			return err
		case len(reply) == 1 && reply[0] == "ok":
			return nil
		case len(reply) != 1 || reply[0] != "again":
			return refusal(reply)
		case ctx.Err() != nil:
			return ctx.Err()
		}
	}
}

// drop deletes what lies at a key, if anything does, readable or not. An announced name
// goes to the feed if there was something.
func (t table[R]) drop(ctx context.Context, s *Store, k key, announced string) error {
	return s.done(ctx, scriptDrop, string(t.kind), string(k), announced, flag(s.wait.Replicas > 0))
}

func flag(on bool) string {
	if on {
		return "1"
	}
	return "0"
}
