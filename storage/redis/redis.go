// SPDX-License-Identifier: Apache-2.0

// Package redis keeps the state of several gateways in Redis 6.2 or newer, or Valkey:
// one server, one with replicas behind Sentinel, or a cluster.
//
// Every verb is one Lua script, or one that reads, a step in Go, and one that stores the
// result if the record is still the same; see table.update. All keys of a deployment
// share one hash tag and so one slot: a cluster serves it, but does not spread it. The
// clock of records is the server's.
//
// What Redis promises is what its operator configured, see Open.
package redis

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
)

// Options of Open. Addresses has to be set; the zero value of all else is right for
// production.
type Options struct {
	// Addresses are host:port, or the path of a unix socket. One is a single server;
	// several are the seeds of a cluster, or the sentinels where SentinelMaster is set.
	Addresses []string
	// Username of an ACL user, the default user if empty.
	Username string
	Password string
	// DB is the number of the database. A cluster has only 0.
	DB int
	// TLS is how to connect, in the clear if nil.
	TLS *tls.Config
	// SentinelMaster is the name of the primary that Sentinel watches.
	SentinelMaster string
	// SentinelUsername and SentinelPassword are for the sentinels themselves.
	SentinelUsername string
	SentinelPassword string
	// Cluster says that a single address is of a cluster.
	Cluster bool
	// Prefix of all keys, DefaultPrefix if empty. Deployments that share a database need
	// one each.
	Prefix string
	// Wait asks for confirmation by replicas.
	Wait Wait
	// StartTimeout is how long Open tries to reach a server, ten seconds if zero.
	StartTimeout time.Duration

	// Now is the clock, that of the server if nil.
	Now func() time.Time
	// Logger receives what has no caller to return it to, warnings of Open above all. Nil
	// discards it.
	Logger *slog.Logger
	// SweepInterval is the time between background sweeps, one minute if zero. Negative
	// means none: Sweep has to be called.
	SweepInterval time.Duration
	// MaxUnusedClients replaces storage.MaxUnusedClients where positive.
	MaxUnusedClients int
}

func (o Options) withDefaults() Options {
	if o.Prefix == "" {
		o.Prefix = DefaultPrefix
	}
	if o.Wait.Replicas > 0 && o.Wait.Timeout == 0 {
		o.Wait.Timeout = time.Second
	}
	if o.StartTimeout == 0 {
		o.StartTimeout = 10 * time.Second
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

// Store is a storage.Store, storage.Feed and storage.Archive in Redis. Any number of
// Stores may work on the same keys.
type Store struct {
	client      redis.UniversalClient
	credentials credentials
	meta        string
	wait        Wait
	now         func() time.Time
	log         *slog.Logger
	maxUnused   int

	watch watch

	mu     sync.RWMutex
	closed bool
	// calls are verbs under way, background is what runs between them.
	calls, background sync.WaitGroup
	// stopped is done when the store is closed.
	stopped context.Context //nolint:containedctx // of the store
	stop    context.CancelFunc
}

var (
	_ storage.Store   = (*Store)(nil)
	_ storage.Feed    = (*Store)(nil)
	_ storage.Archive = (*Store)(nil)
)

// Open connects to the server and checks that it can be worked with: its version, the
// rights of the user, and what lies under the prefix. It fails if no server answers
// within StartTimeout; an outage later on heals by itself, and until then every verb
// fails. See ErrVersion, ErrForeign and ErrRights.
//
// How much of what was acknowledged survives a crash or a failover is up to the server.
// Open warns through the logger of what puts it at risk: no persistence, an fsync that
// comes later, eviction, replicas that lag behind.
func Open(ctx context.Context, options Options) (*Store, error) {
	o := options.withDefaults()
	if err := o.Check(); err != nil {
		return nil, fmt.Errorf("redis: %w", err)
	}
	s := &Store{meta: metaKey(o.Prefix), wait: o.Wait, now: o.Now, log: o.Logger, maxUnused: o.MaxUnusedClients}
	s.credentials.set(o.Username, o.Password)
	s.client = connect(o, &s.credentials)
	s.stopped, s.stop = context.WithCancel(context.Background())
	if err := s.prepare(ctx, o); err != nil {
		s.stop()
		return nil, fmt.Errorf("redis: open %s: %w", o.target(), errors.Join(err, s.client.Close()))
	}
	s.startSweeper(o.SweepInterval)
	return s, nil
}

// Check reports what can be known to be wrong without a server.
func (o Options) Check() error {
	o = o.withDefaults()
	if len(o.Addresses) == 0 {
		return errors.New("no address is given")
	}
	if o.DB < 0 || o.DB > 0 && o.cluster() {
		return fmt.Errorf("database %d: a cluster has only database 0, and no server one below", o.DB)
	}
	if o.Cluster && o.SentinelMaster != "" {
		return errors.New("a server is either of a cluster or watched by sentinels")
	}
	return errors.Join(checkPrefix(o.Prefix), o.Wait.check())
}

// Close waits for the calls that are under way, and disconnects. A second Close answers
// storage.ErrClosed like every other later call.
func (s *Store) Close() error {
	s.mu.Lock()
	closed := s.closed
	s.closed = true
	s.mu.Unlock()
	if closed {
		return storage.ErrClosed
	}
	s.stop()
	s.calls.Wait()
	err := s.client.Close()
	s.background.Wait()
	if err != nil {
		return fmt.Errorf("redis: close: %w", err)
	}
	return nil
}

// verbTimeout bounds a verb whose caller sets no earlier end.
const verbTimeout = 15 * time.Second

// run is the frame of every verb: not after Close, not with a context that is done, and
// with an end.
func run[T any](ctx context.Context, s *Store, verb string, fn func(context.Context) (T, error)) (T, error) {
	var nothing T
	s.mu.RLock()
	if s.closed {
		s.mu.RUnlock()
		return nothing, storage.ErrClosed
	}
	s.calls.Add(1)
	s.mu.RUnlock()
	defer s.calls.Done()

	if err := ctx.Err(); err != nil {
		return nothing, explain(ctx, verb, err)
	}
	ctx, cancel := context.WithTimeout(ctx, verbTimeout)
	defer cancel()
	result, err := fn(ctx)
	if err != nil {
		return nothing, explain(ctx, verb, err)
	}
	return result, nil
}

// perform is run for verbs without a result.
func (s *Store) perform(ctx context.Context, verb string, fn func(context.Context) error) error {
	_, err := run(ctx, s, verb, func(ctx context.Context) (struct{}, error) { return struct{}{}, fn(ctx) })
	return err
}
