// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
	"github.com/caddy-mcp/caddy-mcp-oauth/token"
	"github.com/caddy-mcp/caddy-mcp-oauth/upstream"
)

// tokenRecord is the associated data of a sealed token: one that was put into
// another account's record, or another kind of record, does not open.
func tokenRecord(subject string) string { return string(storage.KindAccount) + " " + subject }

// sealToken returns the form at rest, "" for nil.
func (st *State) sealToken(subject string, tok *upstream.Token) string {
	if tok == nil || tok.Access == "" {
		return ""
	}
	plain, err := json.Marshal(tok)
	if err != nil { // not with these fields
		st.log.Error("upstream token could not be encoded", "subject", subject)
		return ""
	}
	return st.ring.Load().Seal(token.PurposeUpstreamToken, plain, tokenRecord(subject))
}

// openToken returns the token of an account, or nil: there is none, it is another
// account's, or the key that sealed it is gone. All of these mean that the person
// has to sign in for one.
func (st *State) openToken(a *storage.Account) *upstream.Token {
	if a.Token == "" {
		return nil
	}
	plain, err := st.ring.Load().Open(token.PurposeUpstreamToken, a.Token, tokenRecord(a.Subject))
	if err != nil {
		return nil
	}
	var tok upstream.Token
	if err := json.Unmarshal(plain, &tok); err != nil || tok.Access == "" {
		return nil
	}
	return &tok
}

// sameToken compares what acts for the user. Two times none are the same.
func sameToken(a, b *upstream.Token) bool {
	if a == nil || b == nil {
		return a == b
	}
	return subtle.ConstantTimeCompare([]byte(a.Access), []byte(b.Access)) == 1 &&
		subtle.ConstantTimeCompare([]byte(a.Refresh), []byte(b.Refresh)) == 1
}

// keptToken is the token of an account as it is stored the next time: not at all if
// nothing needs it, and sealed with the key in use.
func (st *State) keptToken(rules *recheckRules, a *storage.Account) string {
	if !rules.keeps(a.Identity) {
		return ""
	}
	return st.resealed(a)
}

// resealed is the sealed token of an account under the key in use. One that does not
// open stays as it is: the key may come back.
func (st *State) resealed(a *storage.Account) string {
	if a.Token == "" || st.ring.Load().Current(a.Token) {
		return a.Token
	}
	if tok := st.openToken(a); tok != nil {
		return st.sealToken(a.Subject, tok)
	}
	return a.Token
}

// saveRenewed stores a token that replaces the one of this visit, which the provider
// may have ended already: it must not be lost because somebody stored something else
// about the account meanwhile, and must not replace the token of a newer sign-in.
func (v *visit) saveRenewed(ctx context.Context, tok *upstream.Token) error {
	ctx, cancel := finish(ctx)
	defer cancel()
	for range maxOvertaken {
		next := *v.account
		next.Token = v.st.sealToken(next.Subject, tok)
		err := v.st.replaceAccount(ctx, &next)
		if err == nil {
			next.Revision++
			v.account, v.token = &next, tok
			return nil
		}
		if !errors.Is(err, storage.ErrChanged) {
			v.broken = fmt.Errorf("replace account: %w", err)
			return v.broken
		}
		newer, err := v.st.store.Account(ctx, v.account.Subject)
		if err != nil {
			v.broken = fmt.Errorf("read account: %w", err)
			return v.broken
		}
		if !sameToken(v.st.openToken(newer), v.token) {
			break
		}
		v.account = newer
	}
	v.broken = errOvertaken
	return v.broken
}

// tokenMargin is how long before its end a token is renewed.
const tokenMargin = 2 * time.Minute

// renew exchanges a token that ends soon, if that is possible.
func (v *visit) renew(ctx context.Context) error {
	now := v.st.now()
	if v.token == nil || v.token.Refresh == "" || v.up.refresher == nil || !v.token.ExpiresWithin(tokenMargin, now) {
		return nil
	}
	ok, probe := v.up.line.health.begin(now)
	if !ok {
		v.st.live.delayForward(v.account, now.Add(firstPause))
		return nil
	}
	var renewed *upstream.Token
	err := v.ask(ctx, func() (err error) {
		renewed, err = v.up.refresher.Refresh(ctx, v.token)
		if err == nil && (renewed == nil || renewed.Access == "") {
			return upstream.Refuse(upstream.ReasonUnavailable, "the renewed token is empty")
		}
		return err
	})
	switch err := v.judgeAnswer(ctx, probe, err); {
	case errors.Is(err, errRevoked), errors.Is(err, errSignInAsked):
		return v.tokenDead(ctx)
	case err != nil:
		v.st.live.delayForward(v.account, v.st.now().Add(firstPause))
		return err
	}
	if err := v.saveRenewed(ctx, renewed); err != nil && !errors.Is(err, errOvertaken) {
		return v.st.storeBroke(ctx, v.account.Subject, err)
	}
	return nil
}

// tokenDead: the provider no longer renews it. That says nothing about the person,
// but without a token nothing can be forwarded until they sign in again.
func (v *visit) tokenDead(ctx context.Context) error {
	newest, err := v.stillNewest(ctx)
	switch {
	case err != nil:
		return v.st.storeBroke(ctx, v.account.Subject, fmt.Errorf("read account: %w", err))
	case newest == nil:
		return errOvertaken
	}
	v.st.log.Info("upstream token can no longer be renewed", "subject", v.account.Subject, "upstream", v.up.Name())
	v.st.live.noForward(newest)
	return nil
}
