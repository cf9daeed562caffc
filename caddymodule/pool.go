// SPDX-License-Identifier: Apache-2.0

package caddymodule

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-mcp/caddy-mcp-oauth/gateway"
	"github.com/caddy-mcp/caddy-mcp-oauth/identity"
	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
	"github.com/caddy-mcp/caddy-mcp-oauth/token"
)

// statePool holds what outlives a configuration, by StorageEngine.PoolKey. A
// reload loads the new configuration before it stops the old one, and a locked
// file cannot be opened twice.
var statePool = caddy.NewUsagePool()

// sharedState is one open state and the configurations that use it. During a
// reload there are two. The newest one's key ring is in effect; if it fails to
// start and goes away again, the older one's is restored.
type sharedState struct {
	key   string
	store storage.Store
	state *gateway.State
	logs  *logSwitch

	mu    sync.Mutex
	users []stateUser // the newest last
}

type stateUser struct {
	app     *App
	engine  StorageEngine
	ring    *token.Ring
	logger  *slog.Logger
	allowed func(resource string, id identity.Identity) bool
	recheck gateway.Recheck
	// maxStaleness is of stores that several gateways share.
	maxStaleness time.Duration
}

// acquireState opens the state or joins the one that is open.
func acquireState(engine StorageEngine, user stateUser) (*sharedState, error) {
	key := engine.PoolKey()
	v, _, err := statePool.LoadOrNew(key, func() (caddy.Destructor, error) {
		logs := newLogSwitch(user.logger)
		store, err := engine.Open(slog.New(logs))
		if err != nil {
			return nil, err
		}
		if err := checkKey(engine, func(ctx context.Context) error { return gateway.CheckKey(ctx, store, user.ring) }); err != nil {
			return nil, errors.Join(err, store.Close())
		}
		state := gateway.NewState(gateway.Options{
			Store: store, Ring: user.ring, Logger: slog.New(logs), Count: countEvent,
		})
		return &sharedState{key: key, store: store, state: state, logs: logs}, nil
	})
	if err != nil {
		return nil, err
	}
	shared := v.(*sharedState)
	shared.mu.Lock()
	defer shared.mu.Unlock()
	if err := shared.admit(engine, user); err != nil {
		_, releaseErr := statePool.Delete(key)
		return nil, errors.Join(err, releaseErr)
	}
	if len(shared.users) == 0 {
		shared.state.SetJudge(user.allowed)
	}
	user.engine = engine
	shared.users = append(shared.users, user)
	shared.follow(user)
	return shared, nil
}

// admit holds the keys of a configuration that joins against the store, which may have
// to be reached with its password. If that fails nothing has changed. Needs mu.
func (s *sharedState) admit(engine StorageEngine, user stateUser) error {
	s.reach(engine)
	err := checkKey(engine, func(ctx context.Context) error { return s.state.CheckKey(ctx, user.ring) })
	if n := len(s.users); err != nil && n > 0 {
		s.reach(s.users[n-1].engine)
	}
	return err
}

// reach has the store be reached as a configuration says.
func (s *sharedState) reach(engine StorageEngine) {
	if r, ok := engine.(StoreRefresher); ok {
		r.Refresh(s.store)
	}
}

// checkTime bounds the look at the keys a store was written with.
const checkTime = 30 * time.Second

// checkKey says what to do about a wrong key.
func checkKey(engine StorageEngine, check func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), checkTime)
	defer cancel()
	err := check(ctx)
	if !errors.Is(err, gateway.ErrWrongKey) {
		return err
	}
	advice := "encryption_key has to name it, as the first key or behind a new one"
	if file := engine.KeyFile(); file != "" {
		advice += "; a generated key is in the file " + file + ", which belongs to the state and must be restored with it"
	}
	return fmt.Errorf("%w: %s. To start empty, move the state away", err, advice)
}

// release gives the state back. The one who stays decides from now on: its keys
// are in effect, and the open streams that its policies do not allow end. The
// last one closes the state; requests that are still running fail closed.
func (s *sharedState) release(app *App) error {
	s.mu.Lock()
	s.users = slices.DeleteFunc(s.users, func(u stateUser) bool { return u.app == app })
	if n := len(s.users); n > 0 {
		newest := s.users[n-1]
		s.follow(newest)
		s.state.Rejudge(newest.allowed)
	}
	s.mu.Unlock()
	if _, err := statePool.Delete(s.key); err != nil {
		return fmt.Errorf("close state: %w", err)
	}
	return nil
}

// Destruct ends what nobody could revoke any more, and closes the store.
func (s *sharedState) Destruct() error {
	s.state.EndStreams()
	return s.state.Close()
}

// follow makes the state use the keys, the upstreams and the log of a configuration.
func (s *sharedState) follow(u stateUser) {
	s.reach(u.engine)
	s.state.SetRing(u.ring)
	s.state.SetRecheck(u.recheck)
	s.state.SetMaxStaleness(u.maxStaleness)
	s.logs.set(u.logger)
}

// exitWatcher ends all open streams when the process exits. It works on the
// whole pool and not on its own configuration: a stream that survived reloads
// belongs to one that is long gone.
type exitWatcher struct{}

// Handle implements caddyevents.Handler for the event "stopping".
func (exitWatcher) Handle(context.Context, caddy.Event) error {
	if caddy.Exiting() {
		endAllStreams()
	}
	return nil
}

func endAllStreams() {
	statePool.Range(func(_, v any) bool {
		if s, ok := v.(*sharedState); ok && s != nil {
			s.state.EndStreams()
		}
		return true
	})
}
