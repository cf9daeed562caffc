// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"path/filepath"
	"testing"

	"github.com/caddy-mcp/caddy-mcp-oauth/internal/testpostgres"
	"github.com/caddy-mcp/caddy-mcp-oauth/internal/testredis"
	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
	"github.com/caddy-mcp/caddy-mcp-oauth/storage/postgres"
	"github.com/caddy-mcp/caddy-mcp-oauth/storage/redis"
)

// store is a server that keeps what it acknowledged, and that a test may end.
type store interface {
	// dial connects to the server, wherever it listens.
	dial(ctx context.Context) (net.Conn, error)
	// line names the server in a Caddyfile, as something that listens at addr.
	line(addr string) string
	// stop ends it in an orderly way, kill as a power cut does. restart returns when
	// it answers again.
	stop(t *testing.T)
	kill(t *testing.T)
	restart(t *testing.T)
	// open lets the test look at the records.
	open(ctx context.Context) (storage.Store, error)
}

// onEachStore tells the same story with every store.
func onEachStore(t *testing.T, story func(t *testing.T, start func(*testing.T) store)) {
	t.Helper()
	onStores(t, map[string]func(*testing.T) store{"redis": startRedis, "postgres": startPostgres}, story)
}

func onStores(t *testing.T, stores map[string]func(*testing.T) store, story func(t *testing.T, start func(*testing.T) store)) {
	t.Helper()
	for name, start := range stores {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			story(t, start)
		})
	}
}

type redisStore struct{ server *testredis.Server }

// startRedis is a Redis as the documentation wants it.
func startRedis(t *testing.T) store {
	t.Helper()
	return redisStore{testredis.Start(t, testredis.AppendOnly("always"), testredis.Set("maxmemory-policy", "noeviction"))}
}

func (s redisStore) dial(ctx context.Context) (net.Conn, error) {
	return new(net.Dialer).DialContext(ctx, "tcp", s.server.Addr())
}
func (s redisStore) line(addr string) string { return "storage redis " + addr }
func (s redisStore) stop(*testing.T)         { s.server.Stop() }
func (s redisStore) kill(*testing.T)         { s.server.Kill() }
func (s redisStore) restart(*testing.T)      { s.server.Restart() }
func (s redisStore) open(ctx context.Context) (storage.Store, error) {
	return redis.Open(ctx, redis.Options{Addresses: []string{s.server.Addr()}})
}

type postgresStore struct{ server *testpostgres.Server }

func startPostgres(t *testing.T) store {
	t.Helper()
	return postgresStore{testpostgres.Start(t, testpostgres.Durable)}
}

func (s postgresStore) dial(ctx context.Context) (net.Conn, error) {
	return new(net.Dialer).DialContext(ctx, "unix", filepath.Join(s.server.Dir(), ".s.PGSQL.5432"))
}

func (s postgresStore) line(addr string) string {
	return fmt.Sprintf(`storage postgres "postgres://postgres@%s/postgres?sslmode=disable"`, addr)
}
func (s postgresStore) stop(t *testing.T)    { t.Helper(); s.server.Stop(t) }
func (s postgresStore) kill(t *testing.T)    { t.Helper(); s.server.Kill(t) }
func (s postgresStore) restart(t *testing.T) { t.Helper(); s.server.Restart(t) }
func (s postgresStore) open(ctx context.Context) (storage.Store, error) {
	return postgres.Open(ctx, postgres.Options{DSN: s.server.DSN()})
}

// pooledStore is PostgreSQL behind a PgBouncer that lends connections per transaction:
// no gateway is woken by a change, and all of them have to ask.
type pooledStore struct {
	postgresStore
	socket string
}

func startPooledPostgres(t *testing.T) store {
	t.Helper()
	s := pooledStore{postgresStore: postgresStore{testpostgres.Start(t, testpostgres.Durable)}}
	dsn, err := url.Parse(s.server.Pooler(t))
	if err != nil {
		t.Fatal(err)
	}
	s.socket = filepath.Join(dsn.Query().Get("host"), ".s.PGSQL."+dsn.Query().Get("port"))
	return s
}

func (s pooledStore) dial(ctx context.Context) (net.Conn, error) {
	return new(net.Dialer).DialContext(ctx, "unix", s.socket)
}

func (s pooledStore) line(addr string) string {
	return fmt.Sprintf(`storage postgres "postgres://postgres@%s/postgres?sslmode=disable&default_query_exec_mode=exec"`, addr)
}
