// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"log/slog"
	"testing"
	"time"

	"github.com/caddy-mcp/caddy-mcp-oauth/identity"
	"github.com/caddy-mcp/caddy-mcp-oauth/token"
)

// renewBed is a guard with a clock and the view of one token.
type renewBed struct {
	handClock

	t     *testing.T
	shelf *keyShelf
	guard *Guard
	view  *view
}

func newRenewBed(t *testing.T) *renewBed {
	t.Helper()
	b := &renewBed{t: t, shelf: &keyShelf{}}
	b.set(midPeriod)
	st := NewState(Options{Store: b.shelf, Ring: token.NewRing(token.Key{1}), Now: b.Now})
	log := slog.New(slog.DiscardHandler)
	rules := testPolicy(t, "any")
	b.guard = newGuard(st, testIssuer, &Resource{Path: "/mcp", Scopes: []string{"mcp"}, Policy: rules, IdentityHeaders: true}, log)
	facts := &identity.Identity{Upstream: "github", Kind: identity.KindGitHub, ID: "1"}
	tok := &liveToken{resource: testIssuer + "/mcp", grant: &liveGrant{account: &liveAccount{}}}
	b.view = newView(tok, rules, facts, log)
	return b
}

func (b *renewBed) identify() (string, error) {
	b.t.Helper()
	var a Admitted
	err := b.guard.identify(b.t.Context(), b.view, b.guard.st.now(), &a)
	return a.WithIdentity(nil).Get(headerAssertion), err
}

func (b *renewBed) want(same string) {
	b.t.Helper()
	got, err := b.identify()
	if err != nil || got != same {
		b.t.Errorf("%v: another one, %v", b.Now().Sub(midPeriod), err)
	}
}

// While one request signs, the others do not wait and do not sign: they go on with the
// last assertion as long as a backend has half a minute to look at it.
func TestOneSignsWhileOthersGoOn(t *testing.T) {
	t.Parallel()
	b := newRenewBed(t)
	first, err := b.identify()
	if err != nil || first == "" {
		t.Fatal(err)
	}
	b.set(midPeriod.Add(assertionReuse))
	b.view.renewing.Store(true) // somebody signs
	b.want(first)
	b.set(midPeriod.Add(assertionLast - time.Second))
	b.want(first)
	b.set(midPeriod.Add(assertionLast))
	second, err := b.identify()
	if err != nil || second == first {
		t.Errorf("an assertion with %v left was sent, %v", assertionLife-assertionLast, err)
	}
	b.want(second)
	b.view.renewing.Store(false)
	b.set(b.Now().Add(assertionReuse))
	third, err := b.identify()
	if err != nil || third == second || b.view.renewing.Load() {
		t.Errorf("not signed again: %v", err)
	}
}

// There is nothing to sign with any more. What was signed last is sent while it is good
// enough, and then nothing is.
func TestLastAssertionWithoutAKey(t *testing.T) {
	t.Parallel()
	b := newRenewBed(t)
	first, err := b.identify()
	if err != nil {
		t.Fatal(err)
	}
	b.shelf.down(errStoreAway)
	b.guard.st.SetRing(token.NewRing(token.Key{2})) // the signing key does not open with it
	b.set(midPeriod.Add(assertionReuse))
	b.want(first)
	b.want(first)
	b.set(midPeriod.Add(assertionLast))
	if got, err := b.identify(); err == nil || got != "" {
		t.Errorf("sent %q, %v", got, err)
	}
	b.shelf.down(nil)
	if got, err := b.identify(); err != nil || got == first {
		t.Errorf("after the outage: %v", err)
	}
}

// BenchmarkSignAssertion is what every request would cost if assertions were not kept.
func BenchmarkSignAssertion(b *testing.B) {
	shelf := &keyShelf{}
	st := newTestState(shelf)
	key, err := st.keys.of(testIssuer).signer(b.Context(), time.Now())
	if err != nil {
		b.Fatal(err)
	}
	p := &Principal{Subject: "github:1", Login: "octocat", Groups: []string{"acme", "acme/eng"}, ClientID: "c", Scope: "mcp", Resource: testIssuer + "/mcp"}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := key.sign(testIssuer, p, time.Now(), slog.New(slog.DiscardHandler)); err != nil {
			b.Fatal(err)
		}
	}
}
