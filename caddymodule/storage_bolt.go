// SPDX-License-Identifier: Apache-2.0

package caddymodule

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-mcp/caddy-mcp-oauth/caddymodule/internal/options"
	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
	"github.com/caddy-mcp/caddy-mcp-oauth/storage/bolt"
)

func init() { caddy.RegisterModule(Bolt{}) }

// Bolt keeps the state (registered clients, accounts, grants) in one bbolt file
// on the local disk. It is the default and right for one machine: nothing else
// to run, and nothing that was acknowledged is lost by a crash.
//
// The file is created with mode 0600 and locked while Caddy runs, so a second
// Caddy on the same machine needs a path of its own. Do not put it on a network
// file system.
type Bolt struct {
	// Path of the file. Placeholders are possible. Default:
	// `mcp_oauth/state.db` in Caddy's data directory.
	Path string `json:"path,omitempty"`

	path string
}

// CaddyModule returns the Caddy module information.
func (Bolt) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  storageNamespace + ".bolt",
		New: func() caddy.Module { return new(Bolt) },
	}
}

// Provision settles the path. It does not look at the file.
func (b *Bolt) Provision(caddy.Context) error {
	path := filepath.Join(caddy.AppDataDir(), "mcp_oauth", "state.db")
	if b.Path != "" {
		var err error
		if path, err = options.Expand("storage bolt", b.Path); err != nil {
			return err
		}
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return fmt.Errorf("storage bolt: %w", err)
	}
	b.path = abs
	return nil
}

// PoolKey is the absolute path: one file is opened once, whatever other options
// say.
func (b *Bolt) PoolKey() string { return "bolt:" + b.path }

// Compact implements Compacter.
func (b *Bolt) Compact() (before, after int64, err error) { return bolt.Compact(b.path) }

// HasState implements StateHolder. The key is made before the file.
func (b *Bolt) HasState() bool {
	info, err := os.Stat(b.path)
	return err == nil && info.Size() > 0
}

// KeyFile lies beside the state, which is of no use without it.
func (b *Bolt) KeyFile() string { return b.path + ".key" }

// Open opens or creates the file and its directory.
func (b *Bolt) Open(logger *slog.Logger) (storage.Store, error) {
	if err := os.MkdirAll(filepath.Dir(b.path), 0o700); err != nil {
		return nil, fmt.Errorf("storage bolt: %w", err)
	}
	store, err := bolt.Open(b.path, bolt.Options{Logger: logger})
	if err != nil {
		return nil, fmt.Errorf("storage bolt %s: %w; if another Caddy uses this file, "+
			"change the running one with `caddy reload` instead of starting a second one", b.path, err)
	}
	return store, nil
}

// UnmarshalCaddyfile sets up the engine. Syntax:
//
//	storage bolt [<path>]
func (b *Bolt) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the name
	if d.NextArg() {
		b.Path = d.Val()
		if b.Path == "" {
			return d.WrapErr(errors.New("storage bolt: the path is empty"))
		}
	}
	const syntax = "storage bolt [<path>]"
	if d.NextArg() {
		return d.Errf("unexpected %q; the syntax is %s", d.Val(), syntax)
	}
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		return d.Errf("no block is possible here; the syntax is %s", syntax)
	}
	return nil
}

var (
	_ caddy.Provisioner     = (*Bolt)(nil)
	_ caddyfile.Unmarshaler = (*Bolt)(nil)
	_ Compacter             = (*Bolt)(nil)
	_ StateHolder           = (*Bolt)(nil)
	_ StorageEngine         = (*Bolt)(nil)
)
