// SPDX-License-Identifier: Apache-2.0

package redis

import (
	"errors"
	"fmt"
	"testing"

	"github.com/caddy-mcp/caddy-mcp-oauth/internal/testredis"
	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
)

// A restore is killed, or its disk fails, when half of the records are there. The next
// start must not take them for the whole: of the codes and assertions that were used, the
// other half could be used again. Nor may a second restore be mixed with the first.
func TestHalfAnImportIsNotOpened(t *testing.T) {
	t.Parallel()
	server := testredis.Start(t)
	source := openWith(t, Options{Addresses: []string{server.Addr()}, Prefix: "source"})
	for i := range 2 * importBatch {
		createLive(t, source, fmt.Sprint("grant ", i))
	}
	o := Options{Addresses: []string{server.Addr()}, Prefix: "target"}
	s := openWith(t, o)
	gone := errors.New("the disk is gone")
	n := 0
	err := s.Import(t.Context(), func(yield func(storage.Entry, error) bool) {
		for e, err := range source.Export(t.Context()) {
			if n++; n > importBatch+10 {
				yield(storage.Entry{}, gone)
				return
			}
			if n == 1 {
				if second := s.Import(t.Context(), source.Export(t.Context())); !errors.Is(second, storage.ErrNotEmpty) {
					t.Errorf("a second import at the same time: %v", second)
				}
			}
			if !yield(e, err) {
				return
			}
		}
	})
	if !errors.Is(err, gone) {
		t.Fatal(err)
	}
	err = openError(t, o)
	if !errors.Is(err, ErrDamaged) {
		t.Errorf("opened after half an import: %v", err)
	}
	wantText(t, err.Error(), "import did not come to its end", "{target}:")

	server.Do("FLUSHALL")
	openWith(t, o)
}

// One that came to its end leaves nothing behind.
func TestAnImportIsOpened(t *testing.T) {
	t.Parallel()
	server := testredis.Start(t)
	source := openWith(t, Options{Addresses: []string{server.Addr()}, Prefix: "source"})
	createLive(t, source, "grant")
	o := Options{Addresses: []string{server.Addr()}, Prefix: "target"}
	if err := openWith(t, o).Import(t.Context(), source.Export(t.Context())); err != nil {
		t.Fatal(err)
	}
	if _, err := openWith(t, o).Grant(t.Context(), issuer, "grant"); err != nil {
		t.Error(err)
	}
}
