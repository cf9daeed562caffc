// SPDX-License-Identifier: Apache-2.0

package redis

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-mcp/caddy-mcp-oauth/caddymodule/internal/options"
)

// UnmarshalCaddyfile sets up the engine. Syntax:
//
//	storage redis [<address...>] {
//		address           <host[:port]|unix//path...>
//		username          <name>
//		password          <placeholder>
//		db                <number>
//		tls {
//			ca                 <file...>
//			server_name        <name>
//			client_certificate <certificate file> <key file>
//		}
//		sentinel_master   <name>
//		sentinel_username <name>
//		sentinel_password <placeholder>
//		cluster
//		prefix            <text>
//		wait              <replicas> [<timeout>]
//	}
//
// tls without a block trusts the authorities of the system.
func (r *Redis) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the name
	r.Address = d.RemainingArgs()
	if slices.Contains(r.Address, "") {
		return d.Err("storage redis: the address is empty")
	}
	return options.Read(d, "storage redis", options.Set{
		"address":           options.List(&r.Address),
		"username":          options.Single(&r.Username),
		"password":          options.Single(&r.Password),
		"db":                r.parseDB,
		"tls":               r.parseTLS,
		"sentinel_master":   options.Single(&r.SentinelMaster),
		"sentinel_username": options.Single(&r.SentinelUsername),
		"sentinel_password": options.Single(&r.SentinelPassword),
		"cluster":           r.parseCluster,
		"prefix":            options.Single(&r.Prefix),
		"wait":              r.parseWait,
	})
}

func (r *Redis) parseDB(d *caddyfile.Dispenser) error {
	var n int
	if err := options.Number(&n, 0)(d); err != nil {
		return err
	}
	r.DB = n
	return nil
}

func (r *Redis) parseTLS(d *caddyfile.Dispenser) error {
	if r.TLS != nil {
		return errors.New("tls is given twice")
	}
	r.TLS = new(TLS)
	return options.Read(d, "tls", options.Set{
		"ca":          options.List(&r.TLS.CA),
		"server_name": options.Single(&r.TLS.ServerName),
		"client_certificate": func(d *caddyfile.Dispenser) error {
			if r.TLS.ClientCertificate != "" {
				return errors.New("client_certificate is given twice")
			}
			if !d.Args(&r.TLS.ClientCertificate, &r.TLS.ClientKey) {
				return errors.New("client_certificate: write client_certificate <certificate file> <key file>")
			}
			return nil
		},
	})
}

func (r *Redis) parseCluster(*caddyfile.Dispenser) error {
	if r.Cluster {
		return errors.New("cluster is given twice")
	}
	r.Cluster = true
	return nil
}

func (r *Redis) parseWait(d *caddyfile.Dispenser) error {
	const syntax = "wait: write wait <replicas> [<timeout>], such as wait 1 500ms"
	args := d.RemainingArgs()
	if len(args) < 1 || len(args) > 2 {
		return errors.New(syntax)
	}
	if r.Wait != nil {
		return errors.New("wait is given twice")
	}
	n, err := strconv.Atoi(args[0])
	if err != nil || n < 1 {
		return fmt.Errorf("wait: %q is no number of replicas; %s", args[0], strings.TrimPrefix(syntax, "wait: "))
	}
	r.Wait = &Wait{Replicas: n}
	if len(args) == 1 {
		return nil
	}
	timeout, err := caddy.ParseDuration(args[1])
	if err != nil || timeout <= 0 {
		return fmt.Errorf("wait: %q is no duration; %s", args[1], strings.TrimPrefix(syntax, "wait: "))
	}
	r.Wait.Timeout = caddy.Duration(timeout)
	return nil
}
