// SPDX-License-Identifier: Apache-2.0

// Package redis is the Redis and Valkey engine as a Caddy module. It is not part of the
// default build, so that this does not link the driver:
//
//	xcaddy build --with github.com/caddy-mcp/caddy-mcp-oauth \
//		--with github.com/caddy-mcp/caddy-mcp-oauth/caddymodule/redis
package redis

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-mcp/caddy-mcp-oauth/caddymodule"
	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
	"github.com/caddy-mcp/caddy-mcp-oauth/storage/redis"
)

func init() { caddy.RegisterModule(Redis{}) }

// Redis keeps the state (registered clients, accounts, grants) in Redis 6.2 or newer, or
// in Valkey, for several gateways that serve the same sites. All of them need the same
// `encryption_key`.
//
// How much survives a crash is up to the server. Caddy warns at the start of what puts
// state at risk; best is `appendonly yes` with `appendfsync always` and `maxmemory-policy
// noeviction`. With `appendfsync everysec`, the server's default, a crash of its machine
// forgets the last second: a sign-in or a revocation that was acknowledged in it, and a
// refresh token that was renewed in it signs its user out.
//
// Caddy does not start without the server. An outage later on heals by itself: tokens
// that were verified before are served for `max_staleness`, all else is answered 503.
//
// All keys lie in one slot of a cluster, so a cluster makes the state available but does
// not spread it. Do not move that slot while gateways are running.
type Redis struct {
	// Address of the server, `host:port` or `unix//path/to/socket`. Several are nodes of a
	// cluster, or the sentinels if sentinel_master is set. The port is 6379 if it is left
	// out, and 26379 for sentinels. Placeholders are possible. Default: `localhost:6379`.
	Address []string `json:"address,omitempty"`
	// Username of an ACL user. Default: the user `default` of the server.
	Username string `json:"username,omitempty"`
	// Password of the user. Write a placeholder, `{env.NAME}` or `{file./path}`: a literal
	// value is shown by the admin API. With another password in a new configuration, new
	// connections use that one.
	Password string `json:"password,omitempty"`
	// DB is the number of the database. A cluster has only 0. Default: 0.
	DB int `json:"db,omitempty"`
	// TLS encrypts the connection. Default: in the clear, for servers on this machine or in
	// a network that nobody else is in.
	TLS *TLS `json:"tls,omitempty"`
	// SentinelMaster is the name of the primary that the sentinels at address watch.
	SentinelMaster string `json:"sentinel_master,omitempty"`
	// SentinelUsername and SentinelPassword are for the sentinels themselves, where they
	// have some.
	SentinelUsername string `json:"sentinel_username,omitempty"`
	SentinelPassword string `json:"sentinel_password,omitempty"`
	// Cluster says that a single address is of a cluster. Several are without it.
	Cluster bool `json:"cluster,omitempty"`
	// Prefix of all keys, which are named `{prefix}:…`. Deployments that share a database
	// need one each. Default: `mcp_oauth`.
	Prefix string `json:"prefix,omitempty"`
	// Wait asks for confirmation by replicas.
	Wait *Wait `json:"wait,omitempty"`

	options redis.Options // placeholders resolved
}

// Wait is how many replicas must have a write before it is acknowledged. It makes it
// unlikely that a failover forgets what was acknowledged, but not impossible: Redis may
// promote a replica that was not among them. With too few in time the answer is 503,
// although the write is there and may stay.
type Wait struct {
	// Replicas that must confirm.
	Replicas int `json:"replicas"`
	// Timeout after which a write counts as not confirmed, at most 10s. Default: 1s.
	Timeout caddy.Duration `json:"timeout,omitempty"`
}

// CaddyModule returns the Caddy module information.
func (Redis) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "mcp_oauth.storage.redis",
		New: func() caddy.Module { return new(Redis) },
	}
}

// PoolKey says which state this is: servers, database and prefix. How one gets in there
// is not part of it.
func (r *Redis) PoolKey() string {
	o := r.options
	addresses := slices.Sorted(slices.Values(o.Addresses))
	parts := []string{"redis", strings.Join(addresses, ","), o.SentinelMaster, strconv.Itoa(o.DB), o.Prefix}
	for i, p := range parts {
		parts[i] = strconv.Quote(p)
	}
	return strings.Join(parts, " ")
}

// KeyFile is empty: all gateways need the same key, so the operator sets it.
func (r *Redis) KeyFile() string { return "" }

// startTimeout is how long Open waits for the server. A configuration is loaded while the
// old one still serves, but the first one keeps everybody waiting.
const startTimeout = 15 * time.Second

// Open connects to the server and checks it.
func (r *Redis) Open(logger *slog.Logger) (storage.Store, error) {
	o := r.options
	o.Logger = logger
	store, err := redis.Open(context.Background(), o)
	if err != nil {
		return nil, fmt.Errorf("storage %w", err)
	}
	return store, nil
}

// Refresh has a store that an older configuration opened use the credentials of this one.
func (r *Redis) Refresh(store storage.Store) {
	if s, ok := store.(*redis.Store); ok {
		s.SetCredentials(r.options.Username, r.options.Password)
	}
}

var (
	_ caddy.Provisioner         = (*Redis)(nil)
	_ caddyfile.Unmarshaler     = (*Redis)(nil)
	_ caddymodule.StorageEngine = (*Redis)(nil)
)
