// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/caddy-mcp/caddy-mcp-oauth/gateway/web"
	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
	"github.com/caddy-mcp/caddy-mcp-oauth/token"
	"github.com/caddy-mcp/caddy-mcp-oauth/upstream"
)

// forwardable is the upstream token of one account, ready to be sent to a backend.
// It hangs on the account alone, so that no request finds another person's.
type forwardable struct {
	// ring opened it. After a change of keys it is opened again.
	ring *token.Ring
	// header is the value of Authorization, "" if there is no token.
	header string
	// In nanoseconds, zero for never: when it is to be renewed, when it may be tried
	// again after that failed, and when it is of no use any more.
	renewAt, retryAt, endsAt int64
}

// String hides the token from logs.
func (*forwardable) String() string { return "[redacted]" }

// endMargin is how long before its end a token is no longer sent: it has a way to go.
const endMargin = 10 * time.Second

// forwardableOf opens the token of an account.
func (st *State) forwardableOf(a *storage.Account, ring *token.Ring, now time.Time) *forwardable {
	tok := st.openToken(a)
	f := &forwardable{ring: ring}
	if tok == nil {
		return f
	}
	f.header = "Bearer " + tok.Access
	if tok.Expiry.IsZero() {
		return f
	}
	f.endsAt = nanos(tok.Expiry.Add(-endMargin))
	f.renewAt = f.endsAt
	if up := st.recheck.Load().upstreamOf(a.Identity); tok.Refresh != "" && up != nil && up.refresher != nil {
		f.renewAt = nanos(tok.Expiry.Add(-tokenMargin))
	}
	return f
}

// upstreamToken is the value of Authorization for the backend. A token is never sent
// past its end: where it cannot be renewed the answer is errTokenUpstream, which
// makes the client sign in again, and errUpstreamOutage while it may still be.
func (st *State) upstreamToken(ctx context.Context, a *liveAccount, ring *token.Ring) (string, error) {
	for tried := false; ; tried = true {
		now := st.now().UnixNano()
		f := a.forward.Load()
		if f == nil || f.ring != ring {
			var err error
			if f, err = st.loadForward(ctx, a, ring); err != nil {
				return "", err
			}
		}
		switch {
		case f.header == "":
			return "", errTokenUpstream
		case f.renewAt == 0 || now < f.renewAt:
			return f.header, nil
		}
		up := st.recheck.Load().upstreamOf(*a.facts.Load())
		renewable := f.renewAt < f.endsAt && up != nil && up.refresher != nil
		if renewable && now >= f.retryAt && !tried {
			st.askRenewal(ctx, up, a.subject, now >= f.endsAt)
			if now >= f.endsAt {
				continue
			}
		}
		switch {
		case now < f.endsAt:
			return f.header, nil
		case renewable:
			return "", errUpstreamOutage
		}
		return "", errTokenUpstream
	}
}

// askRenewal has the token renewed, and waits for it if there is none to go on with.
func (st *State) askRenewal(ctx context.Context, up *asked, subject string, wait bool) {
	for range 2 {
		e, covers := up.line.ask(subject, wantToken, wait)
		if !wait {
			return
		}
		e.wait(ctx)
		if covers || ctx.Err() != nil {
			return
		}
	}
}

// loadForward reads and opens the token, once for all requests that want it.
func (st *State) loadForward(ctx context.Context, a *liveAccount, ring *token.Ring) (*forwardable, error) {
	v, err, _ := st.live.fills.Do("token "+a.subject, func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeReadLimit)
		defer cancel()
		rec, err := st.store.Account(ctx, a.subject)
		switch {
		case errors.Is(err, storage.ErrNotFound):
			rec = &storage.Account{Subject: a.subject}
		case err != nil:
			return nil, fmt.Errorf("read account: %w", err)
		}
		st.showAccount(rec)
		f := st.forwardableOf(rec, ring, st.now())
		st.live.setForward(rec, f)
		return f, nil
	})
	if err != nil {
		return nil, err
	}
	return v.(*forwardable), nil
}

// setForward keeps an opened token with its account, unless a newer record is shown
// by now.
func (t *liveTable) setForward(rec *storage.Account, f *forwardable) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if a := t.accounts[rec.Subject]; a != nil && a.revision == rec.Revision {
		a.forward.Store(f)
	}
}

// delayForward puts the next renewal off.
func (t *liveTable) delayForward(rec *storage.Account, until time.Time) {
	t.changeForward(rec, func(f *forwardable) { f.retryAt = until.UnixNano() })
}

// noForward says that the token is of no use and cannot be renewed.
func (t *liveTable) noForward(rec *storage.Account) {
	t.changeForward(rec, func(f *forwardable) { f.header = "" })
}

func (t *liveTable) changeForward(rec *storage.Account, change func(*forwardable)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	a := t.accounts[rec.Subject]
	if a == nil || a.revision != rec.Revision {
		return
	}
	if f := a.forward.Load(); f != nil {
		next := *f
		change(&next)
		a.forward.Store(&next)
	}
}

// canForward reports whether the account has a token for a resource that forwards it,
// or one that can be renewed.
func (st *State) canForward(a *storage.Account) bool {
	tok := st.openToken(a)
	if tok == nil {
		return false
	}
	if live := st.live.account(a.Subject); live != nil {
		if f := live.forward.Load(); f != nil && f.header == "" {
			return false
		}
	}
	up := st.recheck.Load().upstreamOf(a.Identity)
	return !tok.ExpiresWithin(endMargin, st.now()) || tok.Refresh != "" && up != nil && up.refresher != nil
}

// forwards reports whether a resource of this issuer forwards upstream tokens.
func (s *Server) forwards(resource string) bool {
	g := s.byResource[resource]
	return g != nil && g.cfg.ForwardUpstreamToken
}

// forwardedTokens is what the consent page says about it: whose tokens the backend of
// a resource would get, and what they are good for.
func (s *Server) forwardedTokens(g *Guard) []web.ForwardedToken {
	if !g.cfg.ForwardUpstreamToken {
		return nil
	}
	var list []web.ForwardedToken
	for _, up := range s.cfg.Upstreams {
		if rd, ok := up.(upstream.Redirector); ok && s.leadsTo(g, up) { // the others have no tokens
			list = append(list, web.ForwardedToken{Upstream: up.Label(), Scopes: slices.Clone(rd.Scopes())})
		}
	}
	return list
}

// hasToken reports whether a sign-in brought what the resource needs.
func (s *Server) hasToken(resource string, tok *upstream.Token) bool {
	return !s.forwards(resource) || tok != nil && tok.Access != ""
}
