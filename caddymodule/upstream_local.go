// SPDX-License-Identifier: Apache-2.0

package caddymodule

import (
	"errors"
	"log/slog"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-mcp/caddy-mcp-oauth/caddymodule/internal/options"
	"github.com/caddy-mcp/caddy-mcp-oauth/identity"
	"github.com/caddy-mcp/caddy-mcp-oauth/policy"
	"github.com/caddy-mcp/caddy-mcp-oauth/upstream"
	"github.com/caddy-mcp/caddy-mcp-oauth/upstream/local"
)

func init() { caddy.RegisterModule(Local{}) }

// Local lets the users listed here sign in with a password, for home use and a
// first try. Guessing is slowed down; nobody can lock somebody else out.
type Local struct {
	// Name of this upstream, needed only where there are several lists. Default:
	// `local`.
	Name string `json:"name,omitempty"`
	// Users are the people who can sign in.
	Users []LocalUser `json:"users,omitempty"`

	config local.Config // placeholders resolved
	// throttled is the key in throttlePool once the module has its place there.
	throttled string
}

// throttlePool keeps the count of guesses over reloads, by the name of the upstream.
var throttlePool = caddy.NewUsagePool()

// throttle is a local.Throttle in the pool. There is nothing to release.
type throttle struct{ *local.Throttle }

func (throttle) Destruct() error { return nil }

// LocalUser is one user of the list.
type LocalUser struct {
	// Name is what the user types, and the stable identity: renaming a user makes
	// a new one.
	Name string `json:"name"`
	// Hash is the bcrypt hash of the password, as `caddy hash-password` prints
	// it. Placeholders are possible.
	Hash string `json:"hash"`
	// Email of the user. You vouch for it: it counts as verified.
	Email string `json:"email,omitempty"`
	// Groups of the user, for `allow group:…` and the X-Forwarded-Groups header.
	Groups []string `json:"groups,omitempty"`
}

// CaddyModule returns the Caddy module information.
func (Local) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  upstreamNamespace + ".local",
		New: func() caddy.Module { return new(Local) },
	}
}

// Provision resolves placeholders and checks the list.
func (l *Local) Provision(caddy.Context) error {
	l.config = local.Config{Name: l.Name}
	var errs []error
	for _, u := range l.Users {
		hash, err := options.Expand("password of user "+u.Name, u.Hash)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		l.config.Users = append(l.config.Users, local.User{Name: u.Name, Hash: hash, Email: u.Email, Groups: u.Groups})
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	if _, err := local.New(l.config); err != nil {
		return err
	}
	name := l.Ref().Name
	v, _, err := throttlePool.LoadOrNew(name, func() (caddy.Destructor, error) {
		return throttle{local.NewThrottle(nil)}, nil
	})
	if err != nil {
		return err
	}
	l.throttled, l.config.Throttle = name, v.(throttle).Throttle
	return nil
}

// Cleanup gives up the place in the pool. A reload takes its own before.
func (l *Local) Cleanup() error {
	if l.throttled == "" {
		return nil
	}
	_, err := throttlePool.Delete(l.throttled)
	return err
}

// Ref names the upstream for allow rules.
func (l *Local) Ref() policy.Ref {
	return policy.Ref{Name: orDefault(l.Name, identity.KindLocal), Kind: identity.KindLocal}
}

// Build makes the upstream. The list is all there is to know about its users.
func (l *Local) Build(policy.Needs, *slog.Logger) (upstream.Upstream, error) {
	return local.New(l.config)
}

// UnmarshalCaddyfile sets up the upstream. Syntax:
//
//	local [<name>] {
//		user <name> <bcrypt-hash> [<email>] [<groups...>]
//	}
//
// The third argument is the e-mail address if it contains an @.
func (l *Local) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the kind
	if d.NextArg() {
		l.Name = d.Val()
	}
	if d.NextArg() {
		return d.Errf("local takes at most one name, unexpected %q", d.Val())
	}
	return options.Read(d, "local", options.Set{"user": l.unmarshalUser})
}

func (l *Local) unmarshalUser(d *caddyfile.Dispenser) error {
	args := d.RemainingArgs()
	if len(args) < 2 {
		return errors.New("user: write user <name> <bcrypt-hash> [<email>] [<groups...>]; the hash comes from `caddy hash-password`")
	}
	u := LocalUser{Name: args[0], Hash: args[1]}
	rest := args[2:]
	if len(rest) > 0 && strings.Contains(rest[0], "@") {
		u.Email, rest = rest[0], rest[1:]
	}
	if len(rest) > 0 {
		u.Groups = rest
	}
	l.Users = append(l.Users, u)
	return nil
}

var (
	_ caddy.Provisioner     = (*Local)(nil)
	_ caddy.CleanerUpper    = (*Local)(nil)
	_ caddyfile.Unmarshaler = (*Local)(nil)
	_ UpstreamProvider      = (*Local)(nil)
)
