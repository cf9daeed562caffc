// SPDX-License-Identifier: Apache-2.0

package caddymodule

import (
	"context"
	"errors"
	"log/slog"
	"testing"

	"github.com/caddy-mcp/caddy-mcp-oauth/gateway"
	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
	"github.com/caddy-mcp/caddy-mcp-oauth/token"
)

// remoteStore is a store that lets one password in, and can be away.
type remoteStore struct {
	memoryEngine
	wanted, used string
	away         bool
}

var errNotReached = errors.New("the store is not reached")

func (s *remoteStore) Keys(ctx context.Context, issuer string) ([]*storage.Key, error) {
	if s.away || s.used != s.wanted {
		return nil, errNotReached
	}
	return s.memoryEngine.Keys(ctx, issuer)
}

func (s *remoteStore) ReplaceKey(_ context.Context, k *storage.Key) error {
	s.keys = []*storage.Key{k}
	return nil
}

// remoteEngine is one configuration of it.
type remoteEngine struct {
	*remoteStore
	password string
}

func (e *remoteEngine) PoolKey() string { return e.remoteStore.PoolKey() }

func (e *remoteEngine) Open(*slog.Logger) (storage.Store, error) {
	e.used = e.password
	return e.remoteStore, nil
}

func (e *remoteEngine) Refresh(storage.Store) { e.used = e.password }

func userWith(keys ...byte) stateUser {
	var all []token.Key
	for _, k := range keys {
		all = append(all, token.Key{k})
	}
	return stateUser{app: new(App), ring: token.NewRing(all[0], all[1:]...), logger: slog.New(slog.DiscardHandler), allowed: judge(nil)}
}

// The store is away, and the operator changes the configuration all the same: to serve
// longer without it, or another site. Nothing of that needs the store.
func TestAReloadWhileTheStoreIsAway(t *testing.T) {
	engine := &remoteEngine{remoteStore: new(remoteStore)}
	first, second := userWith(1), userWith(1)
	shared, err := acquireState(engine, first)
	if err != nil {
		t.Fatal(err)
	}
	engine.away = true
	if _, err := acquireState(engine, second); err != nil {
		t.Fatalf("with the same key: %v", err)
	}
	if _, err := acquireState(engine, userWith(2, 1)); !errors.Is(err, errNotReached) {
		t.Errorf("with another key, which cannot be held against the store: %v", err)
	}
	for _, u := range []stateUser{second, first} {
		if err := shared.release(u.app); err != nil {
			t.Fatal(err)
		}
	}
	if engine.closed != 1 {
		t.Errorf("closed %d times", engine.closed)
	}
}

// The server was restarted with another password, and the configuration is reloaded
// with that. The running one no longer gets in, so the new password has to be in use
// before the store is asked anything; and the old one again if the reload fails.
func TestAReloadWithTheNewPassword(t *testing.T) {
	store := new(remoteStore)
	store.wanted = "old"
	older, newer := &remoteEngine{store, "old"}, &remoteEngine{store, "new"}
	first := userWith(1)
	shared, err := acquireState(older, first)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := acquireState(newer, userWith(2, 1)); !errors.Is(err, errNotReached) || store.used != "old" {
		t.Errorf("with a password that is wrong: %v, and %q is in use", err, store.used)
	}
	store.wanted = "new"
	if _, err := acquireState(newer, userWith(3)); !errors.Is(err, gateway.ErrWrongKey) || store.used != "old" {
		t.Errorf("with a key that is wrong: %v, and %q is in use", err, store.used)
	}
	second := userWith(2, 1)
	if _, err := acquireState(newer, second); err != nil || store.used != "new" {
		t.Fatalf("%v, and %q is in use", err, store.used)
	}
	if err := errors.Join(shared.release(first.app), shared.release(second.app)); err != nil {
		t.Fatal(err)
	}
}
