// SPDX-License-Identifier: Apache-2.0

// Package postgres is the Caddy module that keeps the state of mcp_oauth in
// PostgreSQL. It is a package of its own, so that only a build that asks for it
// carries the driver:
//
//	xcaddy build --with github.com/caddy-mcp/caddy-mcp-oauth \
//		--with github.com/caddy-mcp/caddy-mcp-oauth/caddymodule/postgres
package postgres

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-mcp/caddy-mcp-oauth/caddymodule"
	"github.com/caddy-mcp/caddy-mcp-oauth/caddymodule/internal/options"
	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
	engine "github.com/caddy-mcp/caddy-mcp-oauth/storage/postgres"
)

func init() { caddy.RegisterModule(Postgres{}) }

// openTimeout bounds the start: connecting, waiting for another gateway that
// updates the schema, and doing so.
const openTimeout = 30 * time.Second

// Postgres keeps the state (registered clients, accounts, grants) in a PostgreSQL
// database, version 13 or newer, for several gateways that serve the same sites.
// `encryption_key` has to be set, to the same value on every machine.
//
// The tables are made at the first start, in a schema of their own. The role needs
// `CREATE` on the database for that, or `USAGE` and `CREATE` on a schema that was
// made for it. A role that only reads and writes (`USAGE` on the schema; `SELECT`,
// `INSERT`, `UPDATE` and `DELETE` on its tables) is enough once the tables are
// there and up to date.
//
// What was acknowledged is in the database when the answer goes out. It is as safe
// as the database's commits: with `synchronous_commit` or `fsync` off a crash of the
// database server loses some of it, and so does a failover to an asynchronous
// standby. While the database is away, sign-ins and refreshes are answered with 503;
// it is used again as soon as it is back, without a restart.
//
// Behind a pooler that lends connections per transaction, such as PgBouncer, add
// `default_query_exec_mode=exec` to the connection string. Other gateways then learn
// of revocations by asking every two seconds, as they do whenever notifications
// do not come, and not at once.
type Postgres struct {
	// DSN says where the database is: `postgres://user@host:5432/database` with
	// options as a query, or `host=… dbname=… user=…`. Write a placeholder,
	// `{env.NAME}` or `{file./path}`, if it contains a password: a literal value is
	// shown by the admin API. Across a network add `sslmode=verify-full`. Several
	// hosts are tried in turn until one takes writes. What is left out comes from
	// libpq's environment variables, `PGPASSWORD` among them.
	DSN string `json:"dsn,omitempty"`
	// Password of the role, in place of one in the DSN. Write a placeholder. It is
	// resolved anew for every connection, so a file may change while Caddy runs.
	Password string `json:"password,omitempty"`
	// Schema is where the tables lie. Default: `mcp_oauth`.
	Schema string `json:"schema,omitempty"`
	// MaxConnections is how many connections this process uses at most, besides one
	// that listens for changes and one that reads them. Default: `pool_max_conns` of the DSN, or 10.
	MaxConnections int `json:"max_connections,omitempty"`

	options engine.Options // placeholders resolved
	target  string
}

// CaddyModule returns the Caddy module information.
func (Postgres) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "mcp_oauth.storage.postgres",
		New: func() caddy.Module { return new(Postgres) },
	}
}

// Provision resolves placeholders and checks everything that can be known without
// the network.
func (p *Postgres) Provision(ctx caddy.Context) error {
	logger := ctx.Slogger()
	if p.DSN == "" {
		return errors.New("storage postgres: dsn is missing; write storage postgres {env.DATABASE_URL}")
	}
	if p.MaxConnections < 0 {
		return fmt.Errorf("storage postgres: max_connections is %d", p.MaxConnections)
	}
	p.options = engine.Options{MaxConnections: p.MaxConnections}
	var errs [3]error
	p.options.DSN, errs[0] = options.Expand("dsn", p.DSN)
	p.options.Schema, errs[1] = options.Expand("schema", p.Schema)
	if p.Password != "" {
		p.options.Password, errs[2] = passwordSource(p.Password)
	}
	if err := errors.Join(errs[:]...); err != nil {
		return fmt.Errorf("storage postgres: %w", err)
	}
	warnOfLiterals(logger, p.DSN, p.Password)
	var err error
	if p.target, err = p.options.Target(); err != nil {
		return fmt.Errorf("storage postgres: %w", err)
	}
	return nil
}

// PoolKey names servers, database and schema: one state is opened once, whoever
// signs in to the database.
func (p *Postgres) PoolKey() string { return "postgres:" + p.target }

// KeyFile is none: a key that is made on one machine is of no use to the others.
func (p *Postgres) KeyFile() string { return "" }

// Refresh has a store that an older configuration opened use the role and the password
// of this one.
func (p *Postgres) Refresh(store storage.Store) {
	if s, ok := store.(*engine.Store); ok {
		_ = s.SetLogin(p.options) // Provision has read them
	}
}

// Open connects and brings the schema up to date.
func (p *Postgres) Open(logger *slog.Logger) (storage.Store, error) {
	ctx, cancel := context.WithTimeout(context.Background(), openTimeout)
	defer cancel()
	o := p.options
	o.Logger = logger
	store, err := engine.Open(ctx, o)
	if err != nil {
		return nil, fmt.Errorf("storage postgres %s: %w", p.target, err)
	}
	return store, nil
}

var (
	_ caddy.Provisioner          = (*Postgres)(nil)
	_ caddyfile.Unmarshaler      = (*Postgres)(nil)
	_ caddymodule.StorageEngine  = (*Postgres)(nil)
	_ caddymodule.StoreRefresher = (*Postgres)(nil)
)
