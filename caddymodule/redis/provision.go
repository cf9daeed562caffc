// SPDX-License-Identifier: Apache-2.0

package redis

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"

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
	var errs []error
	for option, text := range map[string]struct {
		raw    string
		target *string
		secret bool
	}{
		"username":          {r.Username, &o.Username, false},
		"password":          {r.Password, &o.Password, true},
		"sentinel_master":   {r.SentinelMaster, &o.SentinelMaster, false},
		"sentinel_username": {r.SentinelUsername, &o.SentinelUsername, false},
		"sentinel_password": {r.SentinelPassword, &o.SentinelPassword, true},
		"prefix":            {r.Prefix, &o.Prefix, false},
	} {
		if text.secret && text.raw != "" && !strings.Contains(text.raw, "{") {
			logger.Warn("secret is written into the configuration, where the admin API shows it; use {env.NAME} or {file./path}",
				"option", option)
		}
		v, err := expand(option, text.raw)
		*text.target = v
		errs = append(errs, err)
	}
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
		v, err := expand("address", raw)
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

// placeholder matches what may be repeated in an error: a brace may as well belong to a
// secret that somebody wrote down literally.
var placeholder = regexp.MustCompile(`\{(?:env|file)\.[^{}]+\}`)

// expand resolves placeholders. An unset variable or an unreadable file is an error, never
// an empty value.
func expand(option, raw string) (string, error) {
	v, err := caddy.NewReplacer().ReplaceOrErr(raw, true, true)
	if err == nil {
		return v, nil
	}
	if used := placeholder.FindAllString(raw, -1); len(used) > 0 {
		return "", fmt.Errorf("%s: %s is not set, empty or not readable", option, strings.Join(used, " or "))
	}
	return "", fmt.Errorf("%s: contains a placeholder that does not exist; use {env.NAME} or {file./path}", option)
}
