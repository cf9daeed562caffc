// SPDX-License-Identifier: Apache-2.0

package redis

import (
	"context"
	"fmt"
	"iter"
	"slices"

	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
)

// shelf is a table without its type of record, for the archive.
type shelf interface {
	// contents returns the encoded records at some keys that are not past their end.
	contents(ctx context.Context, s *Store, keys []key) ([][]byte, error)
	// shelve returns key and stored form of an encoded record.
	shelve(data []byte) (key, string, error)
}

var shelves = map[storage.Kind]shelf{
	storage.KindClient: clients, storage.KindPending: pendings, storage.KindAccount: accounts, storage.KindGrant: grants,
	storage.KindSession: sessions, storage.KindConsent: consents, storage.KindOnce: usedIDs, storage.KindKey: signingKeys,
}

func (t table[R]) contents(ctx context.Context, s *Store, keys []key) ([][]byte, error) {
	all, err := t.loadAll(ctx, s, keys...)
	if err != nil {
		return nil, err
	}
	var out [][]byte
	for _, l := range all {
		if l.err != nil {
			return nil, l.err
		}
		if _, ok := t.live(l.found); !ok {
			continue
		}
		data, err := content(l.stored)
		if err != nil {
			return nil, err
		}
		out = append(out, data)
	}
	return out, nil
}

func (t table[R]) shelve(data []byte) (key, string, error) {
	rec, _, err := storage.Decode[R](data)
	if err != nil {
		return "", "", fmt.Errorf("%s: %w", t.kind, err)
	}
	return t.key(rec), t.value(rec, data), nil
}

// Export implements storage.Archive. The store is in use meanwhile: each record is as it
// was at some moment. It keeps the key of every record in memory, about a hundred bytes.
// A record that cannot be read ends it, so that nobody takes a part for the whole.
func (s *Store) Export(ctx context.Context) iter.Seq2[storage.Entry, error] {
	return func(yield func(storage.Entry, error) bool) {
		for _, kind := range kinds {
			for batch, err := range s.keysOf(ctx, kind) {
				if err != nil {
					yield(storage.Entry{}, err)
					return
				}
				records, err := run(ctx, s, "export", func(ctx context.Context) ([][]byte, error) {
					return shelves[kind].contents(ctx, s, batch)
				})
				if err != nil {
					yield(storage.Entry{}, err)
					return
				}
				for _, data := range records {
					if !yield(storage.Entry{Kind: kind, Data: data}, nil) {
						return
					}
				}
			}
		}
	}
}

// keysOf yields the keys of all records of a kind, each once. A key that is there from
// beginning to end is among them, however its record changes.
func (s *Store) keysOf(ctx context.Context, kind storage.Kind) iter.Seq2[[]key, error] {
	return func(yield func([]key, error) bool) {
		seen := map[key]bool{}
		for cursor := uint64(0); ; {
			var names []string
			next, err := run(ctx, s, "export", func(ctx context.Context) (next uint64, err error) {
				names, next, err = s.client.ZScan(ctx, s.named("ends:"+string(kind)), cursor, "", readBatch).Result()
				return next, err
			})
			if err != nil {
				yield(nil, err)
				return
			}
			for batch := range slices.Chunk(fresh(names, seen), readBatch) {
				if !yield(batch, nil) {
					return
				}
			}
			if cursor = next; cursor == 0 {
				return
			}
		}
	}
}

// fresh returns the members of a ZSCAN, which come with their scores, that were not seen.
func fresh(members []string, seen map[key]bool) []key {
	var out []key
	for i := 0; i < len(members); i += 2 {
		if k := key(members[i]); !seen[k] {
			seen[k] = true
			out = append(out, k)
		}
	}
	return out
}

// importBatch bounds one script of Import.
const importBatch = 64

// Import implements storage.Archive. Gateways that work on the same keys meanwhile begin
// anew when it ends. Until then, and for ever where it does not come to its end, nobody
// opens them: half of the users would be signed out, and of what was used once a part
// could be used again.
func (s *Store) Import(ctx context.Context, entries iter.Seq2[storage.Entry, error]) error {
	begin := []string{"begin"}
	for _, kind := range kinds {
		begin = append(begin, string(kind))
	}
	if err := s.importStage(ctx, begin); err != nil {
		return err
	}
	put := []string{"put"}
	for entry, err := range entries {
		if err != nil {
			return fmt.Errorf("redis: import: %w", err)
		}
		shelf, ok := shelves[entry.Kind]
		if !ok {
			return fmt.Errorf("redis: import: %w: a record of kind %.40q", storage.ErrFormat, entry.Kind)
		}
		k, value, err := shelf.shelve(entry.Data)
		if err != nil {
			return fmt.Errorf("redis: import: %w", err)
		}
		put = append(put, string(entry.Kind), string(k), value)
		if len(put) > 3*importBatch {
			if err := s.importStage(ctx, put); err != nil {
				return err
			}
			put = []string{"put"}
		}
	}
	if err := s.importStage(ctx, put); err != nil {
		return err
	}
	return s.importStage(ctx, []string{"end"})
}

func (s *Store) importStage(ctx context.Context, args []string) error {
	return s.perform(ctx, "import", func(ctx context.Context) error {
		err := s.done(ctx, scriptImport, args...)
		if err == storage.ErrExists { //nolint:errorlint // the bare value is what the script answered
			return storage.ErrNotEmpty
		}
		return err
	})
}
