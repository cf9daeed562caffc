// SPDX-License-Identifier: Apache-2.0

// Package local signs in users that the operator lists in the configuration,
// for home use and a first try. Passwords are bcrypt hashes.
//
// Guessing is slowed, see Throttle. An account as such is never locked: whoever can
// be refused because of somebody else's attempts can be locked out by anybody. What
// protects the machine itself is that only so many hashes are computed at a time.
package local

import (
	"context"
	"slices"

	"golang.org/x/crypto/bcrypt"

	"github.com/caddy-mcp/caddy-mcp-oauth/identity"
	"github.com/caddy-mcp/caddy-mcp-oauth/upstream"
)

var _ upstream.PasswordChecker = (*Local)(nil)

// Local is a fixed list of users. It is safe for concurrent use.
type Local struct {
	name     string
	users    map[string]account
	maxCost  int
	throttle *Throttle
	// compare is bcrypt.CompareHashAndPassword; tests count its work.
	compare func(hash, password []byte) error
}

type account struct {
	hash     []byte
	cost     int
	identity identity.Identity
}

// facts is the identity, for the caller to do with as they like.
func (a account) facts() identity.Identity {
	id := a.identity
	id.Groups = slices.Clone(id.Groups)
	return id
}

// New checks the list, reporting all mistakes together.
func New(cfg Config) (*Local, error) {
	s, err := cfg.settle()
	if err != nil {
		return nil, err
	}
	throttle := cfg.Throttle
	if throttle == nil {
		throttle = NewThrottle(cfg.Now)
	}
	return &Local{
		name:     s.name,
		users:    s.users,
		maxCost:  s.maxCost,
		throttle: throttle,
		compare:  bcrypt.CompareHashAndPassword,
	}, nil
}

// Name implements upstream.Upstream.
func (l *Local) Name() string { return l.name }

// Kind implements upstream.Upstream.
func (l *Local) Kind() string { return identity.KindLocal }

// Label implements upstream.Upstream: "a password", or "a password (name)" where
// the list has a name of its own. It stands behind "with" on buttons and pages.
func (l *Local) Label() string {
	if l.name == identity.KindLocal {
		return "a password"
	}
	return "a password (" + l.name + ")"
}

// Authenticate implements upstream.PasswordChecker. Names are compared exactly.
// Throttled attempts are refused before any hashing, whether or not the
// password is right.
func (l *Local) Authenticate(ctx context.Context, name, password, from string) (identity.Identity, error) {
	attempt, err := l.throttle.begin(name, from)
	if err != nil {
		return identity.Identity{}, err
	}
	release, err := l.throttle.slots.acquire(ctx, attempt.stranger)
	if err != nil {
		l.throttle.undo(attempt)
		return identity.Identity{}, err
	}
	defer release()
	user, ok := l.check(name, password)
	if !ok {
		// Which of the two it was is nobody's business, the log's included.
		return identity.Identity{}, upstream.Refuse(upstream.ReasonWrongPassword, "unknown name or wrong password")
	}
	l.throttle.succeed(attempt)
	return user.facts(), nil
}
