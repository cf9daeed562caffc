// SPDX-License-Identifier: Apache-2.0

package postgres

import (
	"strings"
	"testing"
)

// Two configurations with one target share one open store. What does not say which
// state it is must not be part of it, and a password never.
func TestTarget(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ dsn, schema, want string }{
		{"postgres://gateway:s3cret@db.example.com/auth", "", "db.example.com:5432/auth/mcp_oauth"},
		{"postgres://other:s3cret@db.example.com:5432/auth?sslmode=disable&pool_max_conns=3", "mcp_oauth", "db.example.com:5432/auth/mcp_oauth"},
		{"host=db.example.com dbname=auth user=gateway password=s3cret sslmode=prefer", "", "db.example.com:5432/auth/mcp_oauth"},
		{"postgres://gateway@one,two:5433/auth?sslmode=prefer", "other", "one:5432,two:5433/auth/other"},
		{"postgres://gateway@/auth?host=/run/postgresql", "", "/run/postgresql:5432/auth/mcp_oauth"},
		{"host=db dbname=auth/a sslmode=disable", "b", "db:5432/auth%2Fa/b"}, // not the state of the next one
		{"host=db dbname=auth sslmode=disable", "a/b", "db:5432/auth/a%2Fb"},
	} {
		got, err := Options{DSN: tc.dsn, Schema: tc.schema}.Target()
		if err != nil || got != tc.want {
			t.Errorf("%s: %q, %v; want %q", tc.dsn, got, err, tc.want)
		}
	}
}

func TestConnectionStringsThatCannotBeRead(t *testing.T) {
	t.Parallel()
	for _, dsn := range []string{
		"", "postgres://gateway:s3cret with space@db:port/x", "postgres://gateway:s3cret%zz@db/x", "s3cret", "host=db password='s3cret",
		"postgres://gateway:s3cret@db/x?sslmode=s3cret", "postgres://gateway:s3cret@db/x?pool_max_conns=s3cret", "host=db connect_timeout=s3cret",
		"postgres://gateway:s3cret@db/x?sslrootcert=/nowhere/s3cret",
	} {
		_, err := Options{DSN: dsn}.Target()
		if err == nil {
			t.Errorf("%q was read", dsn)
			continue
		}
		wantNoSecret(t, err)
		if !strings.Contains(err.Error(), "postgres://user@host/database") {
			t.Errorf("error %q does not say how to write it", err)
		}
	}
}

func TestPoolSize(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		dsn  string
		max  int
		want int32
	}{
		{"postgres://u@h/d", 0, DefaultMaxConnections},
		{"postgres://u@h/d?pool_max_conns=3", 0, 3},
		{"postgres://u@h/d?pool_max_conns=3&pool_min_conns=2", 1, 1},
		{"postgres://u@h/d", 50, 50},
	} {
		config, err := Options{DSN: tc.dsn, MaxConnections: tc.max}.withDefaults().poolConfig()
		ok(t, err)
		if config.MaxConns != tc.want || config.MinConns > config.MaxConns {
			t.Errorf("%s: %d to %d connections, want %d", tc.dsn, config.MinConns, config.MaxConns, tc.want)
		}
		if config.ConnConfig.RuntimeParams["application_name"] != applicationName {
			t.Errorf("%s: the connections have no name", tc.dsn)
		}
	}
}
