// SPDX-License-Identifier: Apache-2.0

package upstreamtest

import (
	"testing"
	"time"

	"github.com/caddy-mcp/caddy-mcp-oauth/upstream"
)

var refreshTests = group{
	"Refreshes":     testRefreshes,
	"NothingToUse":  testNothingToRefresh,
	"TakenBack":     testRefreshTakenBack,
	"Removed":       testRefreshRemoved,
	"MadeUp":        testRefreshMadeUp,
	"Troubles":      testRefreshTroubles,
	"Hangs":         testRefreshHangs,
	"NobodyThere":   testRefreshNobodyThere,
	"TokenIsACopy":  testRefreshLeavesTheTokenAlone,
	"TwoPeopleStay": testRefreshOfTwo,
}

// renewable is a person whose token can be renewed.
func (e *env) renewable(who Person) known {
	e.Helper()
	k := e.know(who)
	e.need("refresh tokens", k.tok != nil && k.tok.Refresh != "")
	return k
}

func (e *env) refresh(tok *upstream.Token) (*upstream.Token, error) {
	e.Helper()
	next, err := e.refresher().Refresh(e.Context(), tok)
	e.checkError(err)
	switch {
	case err != nil && next != nil:
		e.Errorf("a token together with the error %v", err)
	case err == nil && next == nil:
		e.Fatal("neither a token nor an error")
	case err == nil:
		e.secrets.add(next.Access, next.Refresh, next.ID)
	}
	return next, err
}

func testRefreshes(e *env) {
	k := e.renewable(Alice)
	for range 3 {
		next, err := e.refresh(k.tok)
		if err != nil {
			e.Fatal(err)
		}
		if next.Access == "" || next.Access == k.tok.Access || next.Refresh == "" {
			e.Fatal("not a new token, or one that cannot be renewed")
		}
		k.tok = next
		if _, ok := e.Upstream.(upstream.Checker); ok {
			if _, err := e.check(e.Context(), k, nil); err != nil {
				e.Errorf("check with the new token: %v", err)
			}
		}
	}
}

func testNothingToRefresh(e *env) {
	_, err := e.refresh(nil)
	e.refused(err, upstream.ReasonSignInNeeded)
	_, err = e.refresh(&upstream.Token{Access: "only-an-access-token"})
	e.refused(err, upstream.ReasonSignInNeeded)
}

func testRefreshTakenBack(e *env) {
	k := e.renewable(Alice)
	e.need("TakeBack", e.TakeBack != nil)
	e.TakeBack(e.T, Alice)
	_, err := e.refresh(k.tok)
	e.refused(err, upstream.ReasonRevoked)
}

func testRefreshRemoved(e *env) {
	k := e.renewable(Alice)
	e.need("Remove", e.Remove != nil)
	e.Remove(e.T, Alice)
	_, err := e.refresh(k.tok)
	e.refused(err, upstream.ReasonRevoked)
}

func testRefreshMadeUp(e *env) {
	e.renewable(Alice)
	for _, made := range []string{"made-up", "made\r\nup", "é", "a&grant_type=client_credentials"} {
		if next, err := e.refresh(&upstream.Token{Access: "x", Refresh: made}); err == nil {
			e.Errorf("%q is worth a token: %v", made, next)
		}
	}
}

func testRefreshTroubles(e *env) {
	e.renewable(Alice)
	e.eachPath(e.RefreshPaths, Config{}, func(e *env, path string) {
		for _, tr := range troubles {
			e.Run(tr.name, func(t *testing.T) {
				e := e.on(t)
				k := e.know(Bob) // the one before may be used up
				e.Provider.Break(path, tr.fault)
				defer e.Provider.Heal()
				_, err := e.refresh(k.tok)
				e.refused(err, upstream.ReasonUnavailable)
				e.followedNothing()
			})
		}
	})
}

func testRefreshHangs(e *env) {
	e.renewable(Alice)
	e.eachPath(e.RefreshPaths, Config{Timeout: hangTimeout}, func(e *env, path string) {
		k := e.know(Alice)
		e.Provider.Break(path, hang)
		began := time.Now()
		_, err := e.refresh(k.tok)
		e.refused(err, upstream.ReasonUnavailable)
		if took := time.Since(began); took > patience {
			e.Errorf("took %s, with a timeout of %s", took, hangTimeout)
		}
	})
}

func testRefreshNobodyThere(e *env) {
	k := e.renewable(Alice)
	e.Provider.Stop()
	_, err := e.refresh(k.tok)
	e.refused(err, upstream.ReasonUnavailable)
}

func testRefreshLeavesTheTokenAlone(e *env) {
	k := e.renewable(Alice)
	before := *k.tok
	if _, err := e.refresh(k.tok); err != nil {
		e.Fatal(err)
	}
	if *k.tok != before {
		e.Error("the token that was given was changed")
	}
}

func testRefreshOfTwo(e *env) {
	alice, bob := e.renewable(Alice), e.renewable(Bob)
	for _, k := range []known{alice, bob, alice, bob}[:2] {
		next, err := e.refresh(k.tok)
		if err != nil {
			e.Fatal(err)
		}
		k.tok = next
		if _, ok := e.Upstream.(upstream.Checker); ok {
			if _, err := e.check(e.Context(), k, nil); err != nil {
				e.Error(err)
			}
		}
	}
}
