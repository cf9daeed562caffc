// SPDX-License-Identifier: Apache-2.0

package bolt_test

import (
	"errors"
	"path/filepath"
	"sync"
	"testing"

	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
	"github.com/caddy-mcp/caddy-mcp-oauth/storage/bolt"
	"github.com/caddy-mcp/caddy-mcp-oauth/storage/storagetest"
)

func TestContract(t *testing.T) {
	t.Parallel()
	var paths sync.Map // of the open stores
	open := func(t *testing.T, path string, c storagetest.Config) storage.Store {
		t.Helper()
		st, err := bolt.Open(path, bolt.Options{Now: c.Now, MaxUnusedClients: c.MaxUnusedClients})
		if err != nil {
			t.Fatal(err)
		}
		paths.Store(st, path)
		t.Cleanup(func() { closeStore(t, st) })
		return st
	}
	storagetest.Run(t, storagetest.Harness{
		Open: func(t *testing.T, c storagetest.Config) storage.Store {
			t.Helper()
			return open(t, filepath.Join(t.TempDir(), "state.db"), c)
		},
		Reopen: func(t *testing.T, st storage.Store, c storagetest.Config) storage.Store {
			t.Helper()
			closeStore(t, st)
			path, _ := paths.Load(st)
			return open(t, path.(string), c)
		},
	})
}

func closeStore(t *testing.T, st storage.Store) {
	t.Helper()
	if err := st.Close(); err != nil && !errors.Is(err, storage.ErrClosed) {
		t.Errorf("close: %v", err)
	}
}
