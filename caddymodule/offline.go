// SPDX-License-Identifier: Apache-2.0

package caddymodule

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"

	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"

	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
	"github.com/caddy-mcp/caddy-mcp-oauth/token"
)

// offlineState is the store and the keys of a configuration that is not running.
type offlineState struct {
	config string
	app    *App
	ring   *token.Ring
	store  storage.Store
}

// openOffline opens the store that a configuration file describes, for commands.
// Nothing else of the configuration is loaded.
func openOffline(ctx context.Context, config, adapter string) (*offlineState, error) {
	app, err := loadOffline(ctx, config, adapter)
	if err != nil {
		return nil, err
	}
	ring, err := app.ring()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", config, err)
	}
	store, err := app.engine.Open(app.logger)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", config, err)
	}
	return &offlineState{config: config, app: app, ring: ring, store: store}, nil
}

// finish closes a store that was filled, and gives back the space that filling it
// left behind.
func (o *offlineState) finish() error {
	if err := o.store.Close(); err != nil {
		return err
	}
	if engine, ok := o.app.engine.(Compacter); ok {
		if _, _, err := engine.Compact(); err != nil {
			return fmt.Errorf("everything was written, but the file could not be made smaller: %w", err)
		}
	}
	return nil
}

// archive is the store as something that can be exported and imported.
func (o *offlineState) archive() (storage.Archive, error) {
	a, ok := o.store.(storage.Archive)
	if !ok {
		return nil, fmt.Errorf("%s: %T has no export", o.config, o.store)
	}
	return a, nil
}

// loadOffline provisions what of the app opens the store: engine and keys.
func loadOffline(ctx context.Context, config, adapter string) (*App, error) {
	raw, _, _, err := caddycmd.LoadConfig(config, adapter)
	if err != nil {
		return nil, err
	}
	var cfg struct {
		Apps map[string]json.RawMessage `json:"apps"`
	}
	if err := json.Unmarshal(raw, &cfg); err != nil {
		return nil, fmt.Errorf("%s: %w", config, err)
	}
	if cfg.Apps[appName] == nil {
		return nil, fmt.Errorf("%s: it does not use %s", config, appName)
	}
	app := new(App)
	if err := json.Unmarshal(cfg.Apps[appName], app); err != nil {
		return nil, fmt.Errorf("%s: %w", config, err)
	}
	// What an engine warns of, a command should say, too.
	app.logger = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	guests, cancel := caddy.NewContext(caddy.Context{Context: ctx})
	defer cancel()
	err = errors.Join(app.loadStorage(guests), app.settleKeys(&app.settings))
	if err == nil && len(app.settings.keys) == 0 && app.engine.KeyFile() == "" {
		err = errNoKey
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", config, err)
	}
	return app, nil
}
