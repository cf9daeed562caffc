// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/caddy-mcp/caddy-mcp-oauth/identity"
	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
	"github.com/caddy-mcp/caddy-mcp-oauth/upstream"
)

const (
	// errandLimit bounds an errand as a whole.
	errandLimit = 45 * time.Second
	// maxOvertaken is how often an errand begins anew because somebody else learnt
	// something newer meanwhile.
	maxOvertaken = 4
)

// visit is one look at one account by an errand.
type visit struct {
	st      *State
	rules   *recheckRules
	up      *asked
	started time.Time
	// account is what the store has, token its opened token.
	account *storage.Account
	token   *upstream.Token
	// broken is why the store could not do its part.
	broken error
}

// errOvertaken: somebody else stored a newer token, or other rules came into effect.
// The question is put again with what is true now.
var errOvertaken = errors.New("overtaken by something newer")

// run does an errand.
func (st *State) run(ctx context.Context, e *errand) {
	ctx, cancel := context.WithTimeout(ctx, errandLimit)
	defer cancel()
	for range maxOvertaken {
		if !errors.Is(st.attend(ctx, e), errOvertaken) {
			return
		}
	}
}

// attend looks at the account once. The store is asked first: another gateway may
// have asked the provider already.
func (st *State) attend(ctx context.Context, e *errand) error {
	now := st.now()
	rules := st.recheck.Load()
	a, err := st.store.Account(ctx, e.subject)
	switch {
	case errors.Is(err, storage.ErrNotFound):
		// Nothing to ask with is left. Only a sign-in brings it back.
		st.live.provedNothing(&storage.Account{Subject: e.subject}, true, now, firstPause)
		return nil
	case err != nil:
		return st.storeBroke(ctx, e.subject, fmt.Errorf("read account: %w", err))
	}
	st.showAccount(a)
	up := rules.upstreamOf(a.Identity)
	if up == nil || a.Identity.Subject() != e.subject {
		return nil
	}
	v := &visit{st: st, rules: rules, up: up, started: now, account: a, token: st.openToken(a)}
	if e.want&wantCheck != 0 && up.checker != nil && rules.interval > 0 && st.due(rules, a, now) {
		if err := v.check(ctx); errors.Is(err, errOvertaken) || errors.Is(err, errRevoked) {
			return err
		}
	}
	if e.want&wantToken != 0 {
		return v.renew(ctx)
	}
	return nil
}

// check asks the provider. The error is errOvertaken, or anything else where there
// is nothing more to be done for now; it was dealt with.
func (v *visit) check(ctx context.Context) error {
	if v.token == nil && v.up.checker.NeedsToken() {
		v.signInNeeded("no usable token is kept")
		return errNothingProved
	}
	ok, probe := v.up.line.health.begin(v.started)
	if !ok {
		return errNothingProved
	}
	var fresh identity.Identity
	err := v.ask(ctx, func() (err error) {
		fresh, err = v.up.checker.Check(ctx, v.account.Identity, v.token, func(t *upstream.Token) error {
			return v.saveRenewed(ctx, t)
		})
		if err == nil && (fresh.Subject() != v.account.Subject || fresh.Upstream != v.account.Identity.Upstream) {
			return upstream.Refuse(upstream.ReasonUnavailable, "the answer is about somebody else")
		}
		return err
	})
	switch err := v.judgeAnswer(ctx, probe, err); {
	case err == nil:
		return v.learn(ctx, fresh)
	case errors.Is(err, errRevoked):
		return v.revokeAll(ctx)
	case errors.Is(err, errSignInAsked):
		v.signInNeeded("the provider wants it")
		return errNothingProved
	case errors.Is(err, errNothingProved):
		// Longer than the upstream as a whole is left alone for, so that one account
		// about which there is never an answer does not take every turn.
		v.st.live.provedNothing(v.account, false, v.st.now(), v.rules.longestSilence()/2)
		return err
	default:
		return err
	}
}

// What an answer can mean besides that all is well.
var (
	errNothingProved = errors.New("nothing was proved")
	errRevoked       = errors.New("revoked at the provider")
	errSignInAsked   = errors.New("the provider asks for another sign-in")
)

// ask puts one question, with an eye on the clock: where an answer takes long,
// others go on without. A bug in an upstream must not end the process: nobody waits
// in this goroutine who would catch it.
func (v *visit) ask(ctx context.Context, question func() error) (err error) {
	slow := time.AfterFunc(patience, func() {
		if v.up.line.health.suspect(v.st.now()) {
			v.st.log.Warn("upstream is slow, the last decisions hold meanwhile", "upstream", v.up.Name())
		}
	})
	defer slow.Stop()
	defer func() {
		if p := recover(); p != nil {
			err = upstream.Refuse(upstream.ReasonUnavailable, "panic: %v", p)
		}
	}()
	if err := ctx.Err(); err != nil {
		return err
	}
	return question()
}

// judgeAnswer says what an answer proves, and keeps the books about the upstream.
func (v *visit) judgeAnswer(ctx context.Context, probe bool, err error) error {
	health := &v.up.line.health
	if v.broken != nil || err != nil && ctx.Err() != nil && !errors.Is(ctx.Err(), context.DeadlineExceeded) {
		health.abandoned(probe)
		if v.broken != nil && !errors.Is(v.broken, errOvertaken) {
			return v.st.storeBroke(ctx, v.account.Subject, v.broken)
		}
		return orNothing(v.broken)
	}
	refusal := asRefusal(err)
	if refusal != nil && !refusal.answers() {
		v.unavailable(refusal, probe)
		return errNothingProved
	}
	if health.answered() {
		v.st.log.Info("upstream answers again", "upstream", v.up.Name())
	}
	switch {
	case refusal == nil:
		return nil
	case refusal.Reason == upstream.ReasonRevoked:
		return errRevoked
	case refusal.Reason == upstream.ReasonSignInNeeded:
		return errSignInAsked
	}
	v.logUnproved(refusal)
	return errNothingProved
}

func orNothing(err error) error {
	if err == nil {
		return errNothingProved
	}
	return err
}

// answerRefused is a refusal as far as a check looks at it.
type answerRefused struct{ *upstream.Refusal }

// asRefusal returns nil for no error, and takes every other error for the provider
// not answering.
func asRefusal(err error) *answerRefused {
	refusal := (*upstream.Refusal)(nil)
	switch {
	case err == nil:
		return nil
	case errors.As(err, &refusal):
		return &answerRefused{refusal}
	}
	return &answerRefused{&upstream.Refusal{Reason: upstream.ReasonUnavailable, Err: err}}
}

// answers reports whether the provider spoke about this one person: it is there, and
// others can be asked about.
func (r *answerRefused) answers() bool {
	switch r.Reason {
	case upstream.ReasonRevoked, upstream.ReasonSignInNeeded:
		return true
	case upstream.ReasonInsufficientScope:
		return r.RetryAfter == 0
	}
	return false
}

// unavailable: the answer proved nothing, and that may be so for everybody.
func (v *visit) unavailable(refusal *answerRefused, probe bool) {
	v.logUnproved(refusal)
	all := refusal.Reason == upstream.ReasonMisconfigured
	if v.up.line.health.failed(v.st.now(), probe, refusal.RetryAfter, all) {
		v.st.log.Error("upstream gives no answer that proves anything, the last decisions hold",
			"upstream", v.up.Name(), "reason", string(refusal.Reason), "hold", v.rules.outage.String())
	}
}

func (v *visit) logUnproved(refusal *answerRefused) {
	v.st.count(EventUpstreamUnavailable)
	v.st.log.Warn("no answer about the account, what was known before holds", "subject", v.account.Subject,
		"upstream", v.up.Name(), "reason", string(refusal.Reason), "error", refusal.Error())
}

// signInNeeded: nothing is wrong, but the provider cannot be asked.
func (v *visit) signInNeeded(why string) {
	v.st.log.Info("account cannot be checked without another sign-in", "subject", v.account.Subject,
		"upstream", v.up.Name(), "cause", why)
	v.st.live.provedNothing(v.account, true, v.st.now(), v.rules.longestSilence())
}

// storeBroke: the errand ends, and is tried again a little later.
func (st *State) storeBroke(ctx context.Context, subject string, err error) error {
	if ctx.Err() == nil {
		st.count(EventStoreFailed)
		st.log.Error("store failed during a check", "subject", subject, "error", err)
	}
	st.live.askLater(subject, st.now().Add(firstPause))
	return errNothingProved
}

// showAccount makes a record visible, and ends what it no longer allows.
func (st *State) showAccount(a *storage.Account) {
	if st.live.show(a) {
		st.rejudgeSubject(a.Subject)
	}
}

func (st *State) rejudgeSubject(subject string) {
	if j := st.judge.Load(); j != nil {
		st.streams.rejudge(j.allowed, subject)
	}
}
