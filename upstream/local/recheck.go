// SPDX-License-Identifier: Apache-2.0

package local

import (
	"context"

	"github.com/caddy-mcp/caddy-mcp-oauth/identity"
	"github.com/caddy-mcp/caddy-mcp-oauth/upstream"
)

var _ upstream.Checker = (*Local)(nil)

// NeedsToken implements upstream.Checker: the list is the truth.
func (l *Local) NeedsToken() bool { return false }

// Check implements upstream.Checker. Who is no longer on the list is gone; groups
// and address are those of now. The password is not looked at: whoever changes one
// to shut somebody out has to revoke their grants as well.
func (l *Local) Check(
	_ context.Context, last identity.Identity, _ *upstream.Token, _ func(*upstream.Token) error,
) (identity.Identity, error) {
	if last.Upstream != l.name || last.Kind != identity.KindLocal {
		return identity.Identity{}, upstream.Refuse(upstream.ReasonInvalid, "not a user of the list %s", l.name)
	}
	user, ok := l.users[last.ID]
	if !ok {
		return identity.Identity{}, upstream.Refuse(upstream.ReasonRevoked, "the user is no longer on the list %s", l.name)
	}
	return user.facts(), nil
}
