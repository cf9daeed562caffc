// SPDX-License-Identifier: Apache-2.0

package postgres

import (
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-mcp/caddy-mcp-oauth/caddymodule/internal/options"
)

// UnmarshalCaddyfile sets up the engine. Syntax:
//
//	storage postgres [<dsn>] {
//		dsn             <placeholder>|<url>
//		password        <placeholder>
//		schema          <name>
//		max_connections <number>
//	}
//
// The connection string goes behind `postgres` or into the block. It is required.
func (p *Postgres) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the name
	if d.NextArg() {
		p.DSN = d.Val()
	}
	if d.NextArg() {
		// Not repeated: it may be part of a connection string without quotes.
		return d.Err(`storage postgres takes one connection string; put quotes around one with spaces: "host=db dbname=auth"`)
	}
	err := options.Read(d, "storage postgres", options.Set{
		"dsn":             options.Single(&p.DSN),
		"password":        options.Single(&p.Password),
		"schema":          options.Single(&p.Schema),
		"max_connections": options.Number(&p.MaxConnections, 1),
	})
	if err == nil && p.DSN == "" {
		return d.Err("storage postgres: the connection string is missing; write storage postgres {env.DATABASE_URL}")
	}
	return err
}
