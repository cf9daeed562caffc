// SPDX-License-Identifier: Apache-2.0

package upstreamtest

import (
	"errors"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/caddy-mcp/caddy-mcp-oauth/upstream"
)

// expired is a person whose access token has come to its end.
func (e *env) expired(who Person) known {
	e.Helper()
	e.need("Expire", e.Expire != nil)
	k := e.know(who)
	e.need("refresh tokens", k.tok != nil && k.tok.Refresh != "")
	e.Expire(e.T, who)
	return k
}

// testRenews: the caller gets the new token before anybody else sees it, and it is
// the one that the next check works with.
func testRenews(e *env) {
	k := e.expired(Alice)
	s := &saver{e: e}
	id, err := e.check(e.Context(), k, s)
	if err != nil {
		e.Fatal(err)
	}
	if diff := cmp.Diff(k.last, id, cmpopts.EquateEmpty()); diff != "" {
		e.Errorf("nothing changed, and yet (-before +after):\n%s", diff)
	}
	if len(s.saved) != 1 {
		e.Fatalf("saved %d tokens, want one", len(s.saved))
	}
	renewed := s.saved[0]
	if renewed.Access == k.tok.Access || renewed.Refresh == "" {
		e.Error("what was saved is not new, or cannot be renewed again")
	}
	if !e.used(renewed.Access) {
		e.Error("the new token was not used for the check")
	}
	again := &saver{e: e}
	if _, err := e.check(e.Context(), known{Alice, id, renewed}, again); err != nil || len(again.saved) > 0 {
		e.Errorf("with the new token: renewed %d times, error %v", len(again.saved), err)
	}
}

// testRenewalNotSaved: the store is down. The old token may be worthless already, so
// going on would lose the person for the sake of one check.
func testRenewalNotSaved(e *env) {
	k := e.expired(Alice)
	s := &saver{e: e, err: errors.New("the store is down")}
	_, err := e.check(e.Context(), k, s)
	if err == nil {
		e.Fatal("the check went on")
	}
	if !errors.Is(err, s.err) {
		e.Errorf("the cause is lost: %v", err)
	}
	e.refused(err, upstream.ReasonUnavailable)
	if len(s.saved) != 1 || e.asked() != s.asked {
		e.Errorf("saved %d times; %d requests after it failed", len(s.saved), e.asked()-s.asked)
	}
}

// testRenewalThenTrouble: renewed, and then the provider breaks down. The token was
// saved all the same.
func testRenewalThenTrouble(e *env) {
	k := e.expired(Alice)
	e.need("CheckPaths", len(e.CheckPaths) > 0)
	s := &saver{e: e}
	broken := func(t *upstream.Token) error {
		err := s.save(t)
		for _, path := range e.CheckPaths {
			e.Provider.Break(path, answer(500, "text/html", inBody))
		}
		return err
	}
	id, err := e.checker().Check(e.Context(), k.last, k.tok, broken)
	e.checkError(err)
	e.refused(err, upstream.ReasonUnavailable)
	if id.ID != "" {
		e.Errorf("identity %+v", id)
	}
	e.Provider.Heal()
	if len(s.saved) != 1 {
		e.Fatalf("saved %d times", len(s.saved))
	}
	if _, err := e.check(e.Context(), known{Alice, k.last, s.saved[0]}, nil); err != nil {
		e.Errorf("with the token that was saved: %v", err)
	}
}

// testRenewalNotPossible: the token is at its end and there is nothing to renew it
// with. Only the person can help, and has done nothing wrong.
func testRenewalNotPossible(e *env) {
	k := e.expired(Alice)
	ended := *k.tok
	ended.Refresh = ""
	k.tok = &ended
	s := &saver{e: e}
	_, err := e.check(e.Context(), k, s)
	e.refused(err, upstream.ReasonSignInNeeded)
	if len(s.saved) > 0 {
		e.Error("saved a token that nobody issued")
	}
}
