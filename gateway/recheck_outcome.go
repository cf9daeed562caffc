// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/caddy-mcp/caddy-mcp-oauth/identity"
	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
	"github.com/caddy-mcp/caddy-mcp-oauth/upstream"
)

// learn stores what a check found. Grants end before the account says why: after a
// crash in between, the next check finds the old facts and does it again.
func (v *visit) learn(ctx context.Context, fresh identity.Identity) error {
	st := v.st
	if st.recheck.Load() != v.rules {
		return errOvertaken // perhaps asked for less than the rules of now need
	}
	ctx, cancel := finish(ctx)
	defer cancel()
	switch newer, err := v.revokeDenied(ctx, fresh); {
	case err != nil:
		// Known to be out, and the store does not take it: at least nothing more is
		// let through here.
		known := *v.account
		known.Identity = fresh
		return v.couldNotStore(ctx, &known, err)
	case newer:
		return nil
	}
	for range maxOvertaken {
		next := *v.account
		next.Identity, next.CheckedAt, next.Token = fresh, v.started, st.keptToken(v.rules, v.account)
		err := st.replaceAccount(ctx, &next)
		if !errors.Is(err, storage.ErrChanged) {
			next.Revision++
			v.account = &next
			return v.storeDone(ctx, err)
		}
		newer, err := st.store.Account(ctx, v.account.Subject)
		if err != nil {
			return v.storeDone(ctx, err)
		}
		v.account = newer
		if v.isNewer(newer) {
			st.showAccount(newer)
			return nil
		}
		// Only its token is another one.
	}
	return nil
}

// couldNotStore makes what is known count here, and has the errand done again later.
func (v *visit) couldNotStore(ctx context.Context, known *storage.Account, err error) error {
	v.st.live.override(known)
	v.st.rejudgeSubject(known.Subject)
	return v.st.storeBroke(ctx, known.Subject, err)
}

// isNewer reports whether a record holds what was learnt after our question: somebody
// signed in, or another gateway asked at the same time.
func (v *visit) isNewer(a *storage.Account) bool {
	return !a.CheckedAt.Before(v.started) && !a.CheckedAt.After(v.st.now().Add(clockSkew))
}

// revokeDenied ends what the answer takes away. It is true if the answer is not the
// newest. The grants are listed before that is looked at, so that those of a sign-in
// that comes meanwhile are not among them.
func (v *visit) revokeDenied(ctx context.Context, fresh identity.Identity) (newer bool, err error) {
	st := v.st
	denied, err := st.deniedGrants(ctx, v.rules.allowed, v.account.Identity, fresh)
	if err != nil || len(denied) == 0 {
		return false, err
	}
	now, err := st.store.Account(ctx, v.account.Subject)
	if err != nil {
		return false, fmt.Errorf("read account: %w", err)
	}
	if v.isNewer(now) {
		st.showAccount(now)
		return true, nil
	}
	return false, st.revokeGrants(ctx, denied)
}

func (v *visit) storeDone(ctx context.Context, err error) error {
	if err != nil {
		return v.st.storeBroke(ctx, v.account.Subject, fmt.Errorf("replace account: %w", err))
	}
	return nil
}

// replaceAccount stores a record that was read before and shows it.
func (st *State) replaceAccount(ctx context.Context, a *storage.Account) error {
	if err := st.store.ReplaceAccount(ctx, a); err != nil {
		return err
	}
	shown := *a
	shown.Revision++
	st.showAccount(&shown)
	return nil
}

// deniedGrants are the grants that the old facts of a person allowed and the new ones
// do not: the provider took something away. Where the rules changed instead, neither
// is allowed, and the grant is kept for when they change back. allowed may be nil for
// the judge of now.
func (st *State) deniedGrants(
	ctx context.Context, allowed func(string, identity.Identity) bool, old, fresh identity.Identity,
) ([]*storage.Grant, error) {
	if j := st.judge.Load(); allowed == nil && j != nil {
		allowed = j.allowed
	}
	if allowed == nil || sameFacts(old, fresh) {
		return nil, nil
	}
	grants, err := st.store.GrantsOf(ctx, fresh.Subject())
	if err != nil {
		return nil, fmt.Errorf("list grants: %w", err)
	}
	return slices.DeleteFunc(grants, func(g *storage.Grant) bool {
		return !allowed(g.Resource, old) || allowed(g.Resource, fresh)
	}), nil
}

// revokeGrants ends what the provider took away.
func (st *State) revokeGrants(ctx context.Context, denied []*storage.Grant) error {
	for _, g := range denied {
		if err := st.revokeOf(ctx, g, "no_longer_allowed"); err != nil {
			return err
		}
	}
	if len(denied) > 0 {
		st.count(EventUpstreamDenied)
	}
	return nil
}

// revokeOf ends a grant for what the provider said, and leaves the audit line.
func (st *State) revokeOf(ctx context.Context, g *storage.Grant, reason string) error {
	if err := st.revokeGrant(ctx, g.Issuer, g.ID); err != nil {
		return fmt.Errorf("revoke grant: %w", err)
	}
	st.log.Warn("grant revoked after a check at the provider", "subject", g.Subject, "resource", g.Resource,
		"client_id", g.ClientID, "reason", reason)
	return nil
}

// revokeAll ends everything of a person who is gone, suspended, or who took the
// application's access back. Only an answer about the newest token counts: the
// provider drops old ones on its own, and a sign-in may have brought a new one. The
// grants are listed before the token is looked at, so that those of a sign-in that
// comes meanwhile are not among them.
func (v *visit) revokeAll(ctx context.Context) error {
	st, subject := v.st, v.account.Subject
	ctx, cancel := finish(ctx)
	defer cancel()
	grants, err := st.store.GrantsOf(ctx, subject)
	if err != nil {
		return st.storeBroke(ctx, subject, fmt.Errorf("list grants: %w", err))
	}
	newest, err := v.stillNewest(ctx)
	switch {
	case err != nil:
		return st.storeBroke(ctx, subject, fmt.Errorf("read account: %w", err))
	case newest == nil:
		return errOvertaken
	}
	// Never checked, as far as anybody can tell: what was overlooked is refused.
	newest.Token, newest.CheckedAt = "", time.Time{}
	for _, g := range grants {
		if err := st.revokeOf(ctx, g, string(upstream.ReasonRevoked)); err != nil {
			return v.couldNotStore(ctx, newest, err)
		}
	}
	if err := st.forgetPerson(ctx, subject, grants); err != nil {
		return v.couldNotStore(ctx, newest, err)
	}
	switch err := st.replaceAccount(ctx, newest); {
	case errors.Is(err, storage.ErrChanged):
		return errOvertaken
	case err != nil:
		return v.couldNotStore(ctx, newest, fmt.Errorf("replace account: %w", err))
	}
	st.count(EventUpstreamDenied)
	st.log.Warn("account revoked at the provider, all its access ended", "subject", subject,
		"upstream", v.up.Name(), "grants", len(grants))
	return errRevoked
}

// renewalTime is how long another gateway may take from renewing a token, which
// ends the one we used, to storing it.
const renewalTime = 2 * time.Second

// stillNewest returns the account if the token that was asked with is still the one
// it has, and nil if not.
func (v *visit) stillNewest(ctx context.Context) (*storage.Account, error) {
	if v.token != nil && v.token.Refresh != "" {
		timer := time.NewTimer(renewalTime)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	a, err := v.st.store.Account(ctx, v.account.Subject)
	if err != nil {
		return nil, err
	}
	if !sameToken(v.st.openToken(a), v.token) || a.CheckedAt.After(v.account.CheckedAt) {
		return nil, nil
	}
	return a, nil
}

// forgetPerson ends the browser sessions and the remembered consents of a person.
func (st *State) forgetPerson(ctx context.Context, subject string, grants []*storage.Grant) error {
	if err := st.store.DeleteSessions(ctx, subject); err != nil {
		return fmt.Errorf("delete sessions: %w", err)
	}
	for _, issuer := range st.knownIssuers(grants) {
		if err := st.store.DeleteConsents(ctx, issuer, subject); err != nil {
			return fmt.Errorf("delete consents: %w", err)
		}
	}
	return nil
}

// knownIssuers are those of the configurations of this process and of the grants.
func (st *State) knownIssuers(grants []*storage.Grant) []string {
	var list []string
	for issuer := range st.issuers.Range {
		list = append(list, issuer.(string)) //nolint:forcetypeassert // nothing else is in there
	}
	for _, g := range grants {
		if !slices.Contains(list, g.Issuer) {
			list = append(list, g.Issuer)
		}
	}
	return list
}
