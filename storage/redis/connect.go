// SPDX-License-Identifier: Apache-2.0

package redis

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// Bounds of one attempt. A sign-in that waits longer has lost its user.
const (
	dialTimeout = 3 * time.Second
	readTimeout = 3 * time.Second
	// dialAttempts are made for one call, dialPause apart.
	dialAttempts = 2
	dialPause    = 50 * time.Millisecond
	maxIdle      = 5 * time.Minute
)

// cluster reports whether the addresses are of a cluster.
func (o Options) cluster() bool {
	return o.SentinelMaster == "" && (o.Cluster || len(o.Addresses) > 1)
}

// target names the server for errors: never with a password.
func (o Options) target() string {
	at := strings.Join(o.Addresses, ", ")
	if o.SentinelMaster != "" {
		return fmt.Sprintf("the primary %q of the sentinels %s", o.SentinelMaster, at)
	}
	return at
}

// credentials are asked for by every new connection.
type credentials struct{ current atomic.Pointer[[2]string] }

func (c *credentials) set(username, password string) { c.current.Store(&[2]string{username, password}) }

func (c *credentials) get(context.Context) (username, password string, err error) {
	both := c.current.Load()
	return both[0], both[1], nil
}

// SetCredentials changes how new connections authenticate, for a password that is
// exchanged without a restart. Connections there are stay: Redis does not ask again.
func (s *Store) SetCredentials(username, password string) { s.credentials.set(username, password) }

// connect makes the client, which connects when it is used. It never sends a command
// twice, see Store.call.
func connect(o Options, c *credentials) redis.UniversalClient {
	tameDriver()
	read := readTimeout + o.Wait.Timeout
	switch {
	case o.SentinelMaster != "":
		return redis.NewFailoverClient(&redis.FailoverOptions{
			MasterName: o.SentinelMaster, SentinelAddrs: o.Addresses,
			SentinelUsername: o.SentinelUsername, SentinelPassword: o.SentinelPassword,
			CredentialsProviderContext: c.get, DB: o.DB, TLSConfig: o.TLS,
			MaxRetries: -1, DialTimeout: dialTimeout, DialerRetries: dialAttempts, DialerRetryTimeout: dialPause,
			ReadTimeout: read, WriteTimeout: readTimeout, ConnMaxIdleTime: maxIdle,
			ContextTimeoutEnabled: true, DisableIdentity: true, PipelinePoolSize: -1,
		})
	case o.cluster():
		return redis.NewClusterClient(&redis.ClusterOptions{
			Addrs: o.Addresses, CredentialsProviderContext: c.get, TLSConfig: o.TLS,
			MaxRetries: -1, DialTimeout: dialTimeout, DialerRetries: dialAttempts, DialerRetryTimeout: dialPause,
			ReadTimeout: read, WriteTimeout: readTimeout, ConnMaxIdleTime: maxIdle,
			ContextTimeoutEnabled: true, DisableIdentity: true, PipelinePoolSize: -1,
			DisableRoutingPolicies: true, MaintNotificationsConfig: noNotifications(),
		})
	default:
		return redis.NewClient(&redis.Options{
			Addr: o.Addresses[0], CredentialsProviderContext: c.get, DB: o.DB, TLSConfig: o.TLS,
			MaxRetries: -1, DialTimeout: dialTimeout, DialerRetries: dialAttempts, DialerRetryTimeout: dialPause,
			ReadTimeout: read, WriteTimeout: readTimeout, ConnMaxIdleTime: maxIdle,
			ContextTimeoutEnabled: true, DisableIdentity: true, PipelinePoolSize: -1,
			MaintNotificationsConfig: noNotifications(),
		})
	}
}

// noNotifications keeps the driver from asking for what only one vendor's servers know.
func noNotifications() *maintnotifications.Config {
	return &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
}

// tameDriver keeps the driver from writing to standard error. What it would say comes
// back from the verbs as errors.
var tameDriver = sync.OnceFunc(func() { redis.SetLogger(driverLog{}) })

type driverLog struct{}

func (driverLog) Printf(ctx context.Context, text string, args ...any) {
	slog.DebugContext(ctx, "message of the redis driver", "text", fmt.Sprintf(text, args...))
}
