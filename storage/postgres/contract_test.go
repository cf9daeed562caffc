// SPDX-License-Identifier: Apache-2.0

package postgres_test

import (
	"errors"
	"sync"
	"testing"

	"github.com/caddy-mcp/caddy-mcp-oauth/internal/testpostgres"
	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
	"github.com/caddy-mcp/caddy-mcp-oauth/storage/postgres"
	"github.com/caddy-mcp/caddy-mcp-oauth/storage/storagetest"
)

func TestContract(t *testing.T) {
	t.Parallel()
	storagetest.Run(t, harness(t))
}

// harness gives every store a schema of its own on one server.
func harness(t *testing.T) storagetest.Harness {
	t.Helper()
	dsn := testpostgres.Shared(t).DSN()
	stock := newSchemas(t)
	var schemas sync.Map // of the open stores
	open := func(t *testing.T, schema string, c storagetest.Config) storage.Store {
		t.Helper()
		st, err := postgres.Open(t.Context(), postgres.Options{
			DSN: dsn + "&application_name=" + schema, Schema: schema, MaxConnections: 4, Now: c.Now, SweepInterval: -1, MaxUnusedClients: c.MaxUnusedClients,
		})
		if err != nil {
			t.Fatal(err)
		}
		schemas.Store(st, schema)
		t.Cleanup(func() { closeStore(t, st) })
		return st
	}
	again := func(t *testing.T, st storage.Store, c storagetest.Config) storage.Store {
		t.Helper()
		schema, _ := schemas.Load(st)
		return open(t, schema.(string), c)
	}
	return storagetest.Harness{
		Open: func(t *testing.T, c storagetest.Config) storage.Store {
			t.Helper()
			return open(t, stock.take(t), c)
		},
		Reopen: func(t *testing.T, st storage.Store, c storagetest.Config) storage.Store {
			t.Helper()
			closeStore(t, st)
			return again(t, st, c)
		},
		Join: again,
		Sweep: func(t *testing.T, st storage.Store) {
			t.Helper()
			if _, err := st.(*postgres.Store).Sweep(t.Context()); err != nil {
				t.Fatal(err)
			}
		},
	}
}

func closeStore(t *testing.T, st storage.Store) {
	t.Helper()
	if err := st.Close(); err != nil && !errors.Is(err, storage.ErrClosed) {
		t.Errorf("close: %v", err)
	}
}
