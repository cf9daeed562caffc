// SPDX-License-Identifier: Apache-2.0

package redis

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-mcp/caddy-mcp-oauth/caddymodule/internal/options"
	"github.com/caddy-mcp/caddy-mcp-oauth/storage/redis"
)

// Provision resolves placeholders and reads the files of tls. It does not connect.
func (r *Redis) Provision(ctx caddy.Context) error {
	o, err := r.resolve(ctx.Slogger())
	if err == nil {
		err = o.Check()
	}
	if err != nil {
		return fmt.Errorf("storage redis: %w", err)
	}
	r.options = o
	return nil
}

func (r *Redis) resolve(logger *slog.Logger) (redis.Options, error) {
	o := redis.Options{DB: r.DB, Cluster: r.Cluster, StartTimeout: startTimeout}
	errs := make([]error, 6)
	o.Username, errs[0] = options.Expand("username", r.Username)
	o.Password, errs[1] = options.ExpandSecret(logger, "password", r.Password)
	o.SentinelMaster, errs[2] = options.Expand("sentinel_master", r.SentinelMaster)
	o.SentinelUsername, errs[3] = options.Expand("sentinel_username", r.SentinelUsername)
	o.SentinelPassword, errs[4] = options.ExpandSecret(logger, "sentinel_password", r.SentinelPassword)
	o.Prefix, errs[5] = options.Expand("prefix", r.Prefix)
	if o.Username != "" && o.Password == "" {
		errs = append(errs, errors.New("username: a user needs a password"))
	}
	if o.Prefix == "" {
		o.Prefix = redis.DefaultPrefix
	}
	if r.Wait != nil {
		o.Wait = redis.Wait{Replicas: r.Wait.Replicas, Timeout: time.Duration(r.Wait.Timeout)}
	}
	var err error
	if o.Addresses, err = r.addresses(o.SentinelMaster != ""); err != nil {
		errs = append(errs, err)
	}
	if o.TLS, err = r.TLS.config(); err != nil {
		errs = append(errs, err)
	}
	return o, errors.Join(errs...)
}

// addresses resolves where the servers are.
func (r *Redis) addresses(sentinels bool) ([]string, error) {
	if len(r.Address) == 0 {
		if sentinels {
			return nil, errors.New("address: write the addresses of the sentinels")
		}
		return []string{"localhost:6379"}, nil
	}
	port := "6379"
	if sentinels {
		port = "26379"
	}
	var all []string
	var errs []error
	for _, raw := range r.Address {
		v, err := options.Expand("address", raw)
		if err == nil {
			v, err = parseAddress(v, port)
		}
		errs = append(errs, err)
		all = append(all, v)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	for i, a := range all {
		if len(all) > 1 && strings.HasPrefix(a, "/") {
			return nil, errors.New("address: a unix socket stands alone")
		}
		if slices.Contains(all[:i], a) {
			return nil, fmt.Errorf("address: %s is listed twice", a)
		}
	}
	return all, nil
}

// parseAddress reads host:port, host, or a unix socket as Caddy writes it. A URL may hold a
// password, so what is no address is not repeated.
func parseAddress(raw, port string) (string, error) {
	if path, found := strings.CutPrefix(raw, "unix/"); found {
		raw = path
	}
	if strings.HasPrefix(raw, "/") {
		return raw, nil
	}
	if strings.ContainsAny(raw, "/@ ") {
		return "", errors.New("address: write host:port or unix//path; user, password, database and tls have options of their own")
	}
	host, given, err := net.SplitHostPort(raw)
	if err != nil {
		host, given = strings.TrimSuffix(strings.TrimPrefix(raw, "["), "]"), port
		if strings.Contains(host, ":") && net.ParseIP(host) == nil {
			return "", errors.New("address: write host:port")
		}
	}
	if host == "" || given == "" {
		return "", errors.New("address: the host or the port is empty")
	}
	if n, err := net.LookupPort("tcp", given); err != nil || n == 0 {
		return "", fmt.Errorf("address: %.40q is no port", given)
	}
	return net.JoinHostPort(host, given), nil
}
