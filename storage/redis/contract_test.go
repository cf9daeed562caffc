// SPDX-License-Identifier: Apache-2.0

package redis_test

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/caddy-mcp/caddy-mcp-oauth/internal/testredis"
	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
	"github.com/caddy-mcp/caddy-mcp-oauth/storage/redis"
	"github.com/caddy-mcp/caddy-mcp-oauth/storage/storagetest"
)

func TestMain(m *testing.M) { os.Exit(testredis.Main(m)) }

func TestContract(t *testing.T) {
	t.Parallel()
	runContract(t, redis.Options{Addresses: []string{testredis.Shared(t).Addr()}})
}

// The same in a cluster, by a user who has no more than the rights that the documentation
// tells operators to give.
func TestContractInAClusterWithLeastRights(t *testing.T) {
	t.Parallel()
	server := testredis.Start(t, testredis.Cluster())
	rules := strings.Fields(strings.ReplaceAll(redis.LeastRights, "<prefix>", "test-*") + " +cluster|slots +cluster|shards")
	args := []any{"ACL", "SETUSER", "gateway", "reset", "on", ">pw"}
	for _, rule := range rules {
		args = append(args, rule)
	}
	server.Do(args...)
	t.Run("suite", func(t *testing.T) {
		runContract(t, redis.Options{Addresses: []string{server.Addr()}, Cluster: true, Username: "gateway", Password: "pw"})
	})
	for _, entry := range server.Do("ACL", "LOG", "100").([]any) {
		if text := fmt.Sprint(entry); !strings.Contains(text, "object info") && !strings.Contains(text, "object config") {
			t.Errorf("the user lacks a right: %s", text)
		}
	}
}

// runContract runs the suite against a server, with a prefix for each store.
func runContract(t *testing.T, base redis.Options) {
	t.Helper()
	var prefixes sync.Map // of the open stores
	open := func(t *testing.T, prefix string, c storagetest.Config) storage.Store {
		t.Helper()
		o := base
		o.Prefix, o.Now, o.MaxUnusedClients, o.SweepInterval = prefix, c.Now, c.MaxUnusedClients, -1
		st, err := redis.Open(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		prefixes.Store(st, prefix)
		t.Cleanup(func() { closeStore(t, st) })
		return st
	}
	prefixOf := func(st storage.Store) string {
		prefix, _ := prefixes.Load(st)
		return prefix.(string)
	}
	storagetest.Run(t, storagetest.Harness{
		Open: func(t *testing.T, c storagetest.Config) storage.Store {
			t.Helper()
			return open(t, testredis.Prefix(), c)
		},
		Reopen: func(t *testing.T, st storage.Store, c storagetest.Config) storage.Store {
			t.Helper()
			closeStore(t, st)
			return open(t, prefixOf(st), c)
		},
		Join: func(t *testing.T, st storage.Store, c storagetest.Config) storage.Store {
			t.Helper()
			return open(t, prefixOf(st), c)
		},
		Sweep: func(t *testing.T, st storage.Store) {
			t.Helper()
			if _, err := st.(*redis.Store).Sweep(t.Context()); err != nil {
				t.Error(err)
			}
		},
	})
}

func closeStore(t *testing.T, st storage.Store) {
	t.Helper()
	if err := st.Close(); err != nil && !errors.Is(err, storage.ErrClosed) {
		t.Errorf("close: %v", err)
	}
}
