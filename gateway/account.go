// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"context"
	"errors"
	"fmt"

	"github.com/caddy-mcp/caddy-mcp-oauth/identity"
	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
	"github.com/caddy-mcp/caddy-mcp-oauth/upstream"
)

// saveAccount stores what a sign-in showed: fresh facts, and the newest token if it
// is kept, nil if not. It shows them to the grants in use. What they no longer allow
// ends, open streams included, and where the provider took it away, for good. allowed
// is what rules say for which the sign-in looked up the facts, nil for the judge.
func (st *State) saveAccount(
	ctx context.Context, allowed func(string, identity.Identity) bool, id identity.Identity, tok *upstream.Token,
) error {
	ctx, cancel := finish(ctx)
	defer cancel()
	a := &storage.Account{
		Subject: id.Subject(), Identity: id, CheckedAt: st.now(), Token: st.sealToken(id.Subject(), tok), Revision: 1,
	}
	old, err := st.store.Account(ctx, a.Subject)
	switch {
	case errors.Is(err, storage.ErrNotFound):
	case err != nil:
		return fmt.Errorf("read account: %w", err)
	default:
		a.Revision = old.Revision + 1
		denied, err := st.deniedGrants(ctx, allowed, old.Identity, id)
		if err == nil {
			err = st.revokeGrants(ctx, denied)
		}
		if err != nil {
			return err
		}
	}
	if err := st.store.SaveAccount(ctx, a); err != nil {
		return fmt.Errorf("save account: %w", err)
	}
	if st.live.showSaved(a) {
		st.rejudgeSubject(a.Subject)
	}
	return nil
}

// keepsToken reports whether the token of a sign-in at this issuer is kept.
func (s *Server) keepsToken(id identity.Identity) bool {
	for _, r := range s.cfg.Resources {
		if r.ForwardUpstreamToken {
			return true
		}
	}
	return s.st.recheck.Load().keeps(id)
}

// currentAccount is the account of a subject, checked lately enough to give
// something to the person: tokens, or a code. It answers ErrNotFound for none, a
// refusedToken where only another sign-in helps, and errUpstreamOutage.
func (st *State) currentAccount(ctx context.Context, subject string) (*storage.Account, error) {
	a, err := st.store.Account(ctx, subject)
	if err != nil {
		return nil, err
	}
	rules := st.recheck.Load()
	up := rules.checkerOf(a.Identity)
	if up == nil || st.isFresh(rules, a) {
		return a, nil
	}
	if now := st.now(); !rules.leftAlone(st.live.silence(a).retryAt, now) {
		st.awaitCheck(ctx, up, subject, age(nanos(a.CheckedAt), now) < rules.outage)
		if a, err = st.store.Account(ctx, subject); err != nil {
			return nil, err
		}
	}
	if age(nanos(a.CheckedAt), st.now()) < rules.outage {
		return a, nil
	}
	if st.live.silence(a).signIn || up.checker.NeedsToken() && st.openToken(a) == nil {
		return nil, errTokenSignIn
	}
	st.count(EventUpstreamOutage)
	return nil, errUpstreamOutage
}

// outdated is for a grant without an account: what it says of the person is as old as
// itself, and nothing can be learnt.
func (st *State) outdated(g *storage.Grant) bool {
	rules := st.recheck.Load()
	return rules.checkerOf(g.Identity) != nil && age(nanos(g.CreatedAt), st.now()) >= rules.outage
}

func (st *State) isFresh(rules *recheckRules, a *storage.Account) bool {
	now := st.now()
	return !a.CheckedAt.After(now.Add(clockSkew)) && age(nanos(a.CheckedAt), now) < rules.interval
}
