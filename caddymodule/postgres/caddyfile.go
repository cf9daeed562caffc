// SPDX-License-Identifier: Apache-2.0

package postgres

import (
	"errors"
	"fmt"
	"strconv"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
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
	var errs []error
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		if err := p.parseOption(d); err != nil {
			errs = append(errs, d.WrapErr(err))
		}
	}
	if len(errs) == 0 && p.DSN == "" {
		return d.Err("storage postgres: the connection string is missing; write storage postgres {env.DATABASE_URL}")
	}
	return errors.Join(errs...)
}

// parseOption reads one line of the block. It consumes the line whatever is wrong
// with it, so that all mistakes are reported together, and repeats no value.
func (p *Postgres) parseOption(d *caddyfile.Dispenser) error {
	name := d.Val()
	args := d.RemainingArgs()
	var target *string
	switch name {
	case "dsn":
		target = &p.DSN
	case "password":
		target = &p.Password
	case "schema":
		target = &p.Schema
	case "max_connections":
		return p.parseMaxConnections(args)
	default:
		return fmt.Errorf("storage postgres: unknown subdirective %q; known are dsn, max_connections, password, schema", name)
	}
	switch {
	case len(args) == 0 || args[0] == "":
		return fmt.Errorf("%s: the value is missing", name)
	case len(args) > 1:
		return fmt.Errorf("%s takes one value, several are given; put quotes around one with spaces", name)
	case *target != "":
		return fmt.Errorf("%s is given twice", name)
	}
	*target = args[0]
	return nil
}

func (p *Postgres) parseMaxConnections(args []string) error {
	if len(args) != 1 {
		return errors.New("max_connections takes one number")
	}
	if p.MaxConnections != 0 {
		return errors.New("max_connections is given twice")
	}
	n, err := strconv.Atoi(args[0])
	if err != nil || n < 1 {
		return fmt.Errorf("max_connections: %q is not a number of at least 1", args[0])
	}
	p.MaxConnections = n
	return nil
}
