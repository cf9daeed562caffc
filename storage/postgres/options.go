// SPDX-License-Identifier: Apache-2.0

package postgres

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
)

const (
	// DefaultSchema is where the tables lie.
	DefaultSchema = "mcp_oauth"
	// DefaultMaxConnections is how many connections a gateway uses at most, besides
	// one that listens and one that reads changes. They share the commits of the server, so more help only
	// where more callers wait at once.
	DefaultMaxConnections = 10

	applicationName = "caddy-mcp-oauth"
	connectTimeout  = 5 * time.Second
	// pingTimeout is how long a connection that was idle may take to show that it
	// still is one.
	pingTimeout = 2 * time.Second
)

// Options of Open. DSN is required; the zero value of all others is right for
// production.
type Options struct {
	// DSN says where the database is, as a URL or as keywords and values; see
	// pgxpool.ParseConfig. What it leaves out comes from the PG… environment
	// variables of libpq. Behind a pooler that works per transaction it needs
	// default_query_exec_mode=exec.
	DSN string
	// Password is asked for every new connection, in place of the one in the DSN,
	// so that a password may change while the server runs. Nil keeps the DSN's.
	Password func() (string, error)
	// Schema is where the tables lie, DefaultSchema if empty. Two sets of gateways
	// that know nothing of each other may share a database with a schema each.
	Schema string
	// MaxConnections replaces DefaultMaxConnections and pool_max_conns of the DSN
	// where positive.
	MaxConnections int
	// Now replaces the clock of the server, for tests.
	Now func() time.Time
	// Logger receives what has no caller to return it to. Nil discards it.
	Logger *slog.Logger
	// SweepInterval is the time between background sweeps, one minute if zero.
	// Negative means none: Sweep has to be called.
	SweepInterval time.Duration
	// MaxUnusedClients replaces storage.MaxUnusedClients where positive.
	MaxUnusedClients int
}

func (o Options) withDefaults() Options {
	if o.Schema == "" {
		o.Schema = DefaultSchema
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.SweepInterval == 0 {
		o.SweepInterval = time.Minute
	}
	if o.MaxUnusedClients <= 0 {
		o.MaxUnusedClients = storage.MaxUnusedClients
	}
	return o
}

// Target says which state the options name: servers, database and schema, never
// a user or a password. The error says what is wrong with the DSN.
func (o Options) Target() (string, error) {
	o = o.withDefaults()
	config, err := o.poolConfig()
	if err != nil {
		return "", clean(err)
	}
	c := config.ConnConfig
	servers := []string{fmt.Sprintf("%s:%d", c.Host, c.Port)}
	for _, f := range c.Fallbacks {
		// The same server comes again for a connection without TLS.
		if server := fmt.Sprintf("%s:%d", f.Host, f.Port); !slices.Contains(servers, server) {
			servers = append(servers, server)
		}
	}
	// Names of databases and schemas may have a slash in them.
	return fmt.Sprintf("%s/%s/%s", strings.Join(servers, ","), url.PathEscape(c.Database), url.PathEscape(o.Schema)), nil
}

// poolConfig reads the DSN. It does not touch the network.
func (o Options) poolConfig() (*pgxpool.Config, error) {
	if err := checkSchemaName(o.Schema); err != nil {
		return nil, err
	}
	if o.DSN == "" {
		return nil, advise("the connection string is empty; write postgres://user@host/database")
	}
	config, err := pgxpool.ParseConfig(o.DSN)
	if err != nil {
		return nil, errDSN(err)
	}
	switch plain, err := pgx.ParseConfig(o.DSN); {
	case o.MaxConnections > 0:
		config.MaxConns = int32(min(o.MaxConnections, 10_000))
	case err == nil && plain.RuntimeParams["pool_max_conns"] == "":
		config.MaxConns = DefaultMaxConnections
	}
	config.MinConns = min(config.MinConns, config.MaxConns)
	c := config.ConnConfig
	if c.RuntimeParams["application_name"] == "" {
		c.RuntimeParams["application_name"] = applicationName
	}
	if c.ConnectTimeout == 0 {
		c.ConnectTimeout = connectTimeout
	}
	if config.PingTimeout == 0 {
		config.PingTimeout = pingTimeout
	}
	c.ValidateConnect = wantWritable(c.ValidateConnect)
	return config, nil
}

// login is how new connections authenticate.
type login struct {
	user, password string
	// current replaces password where it is not nil.
	current func() (string, error)
}

func (o Options) login(config *pgxpool.Config) *login {
	return &login{user: config.ConnConfig.User, password: config.ConnConfig.Password, current: o.Password}
}

// apply is a pgxpool.Config.BeforeConnect.
func (l *login) apply(c *pgx.ConnConfig) (err error) {
	c.User, c.Password = l.user, l.password
	if l.current == nil {
		return nil
	}
	if c.Password, err = l.current(); err != nil {
		return advise("password: %v", err)
	}
	return nil
}

// SetLogin has new connections authenticate as other options of the same database
// say, for a role or a password that is exchanged without a restart. Connections that
// are there stay. If the connection string cannot be read nothing changes.
func (s *Store) SetLogin(o Options) error {
	config, err := o.withDefaults().poolConfig()
	if err != nil {
		return clean(err)
	}
	s.login.Store(o.login(config))
	return nil
}

// errDSN says what is wrong with a connection string without repeating any of it:
// in one that cannot be read nobody can tell where the password is.
func errDSN(err error) error {
	const syntax = "the connection string cannot be read; write postgres://user@host/database?sslmode=verify-full or " +
		"host=… dbname=… user=…, with special characters in a URL percent-encoded"
	var parse *pgconn.ParseConfigError
	if errors.As(err, &parse) {
		return advice(syntax)
	}
	return advise("%s (a pool_ option has an impossible value)", syntax)
}

// checkSchemaName refuses names that PostgreSQL would cut off or reserve.
func checkSchemaName(name string) error {
	if len(name) > 63 {
		return advise("schema name of %d bytes; PostgreSQL allows 63", len(name))
	}
	if len(name) >= 3 && name[:3] == "pg_" {
		return advise(`schema names that begin with "pg_" belong to PostgreSQL`)
	}
	for _, r := range name {
		if r == 0 || r == '\uFFFD' {
			return advise("schema name with characters that are no text")
		}
	}
	return nil
}

// connector makes a connection outside of the pool.
type connector func(context.Context) (*pgx.Conn, error)

func connectorOf(config *pgxpool.Config) connector {
	return func(ctx context.Context) (*pgx.Conn, error) {
		c := config.ConnConfig.Copy()
		if config.BeforeConnect != nil {
			if err := config.BeforeConnect(ctx, c); err != nil {
				return nil, err
			}
		}
		return pgx.ConnectConfig(ctx, c)
	}
}
