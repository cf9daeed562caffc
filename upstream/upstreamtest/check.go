// SPDX-License-Identifier: Apache-2.0

package upstreamtest

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/caddy-mcp/caddy-mcp-oauth/identity"
	"github.com/caddy-mcp/caddy-mcp-oauth/upstream"
)

var checkTests = group{
	"SameFacts":           testSameFacts,
	"ChangedFacts":        testChangedFacts,
	"Removed":             testRemoved,
	"TakenBack":           testTakenBack,
	"TakenBackFromOne":    testTakenBackFromOne,
	"NoToken":             testNoToken,
	"TokenOfAnother":      testTokenOfAnother,
	"TokenOfNobody":       testTokenOfNobody,
	"Troubles":            testCheckTroubles,
	"TooMany":             testCheckTooMany,
	"Hangs":               testCheckHangs,
	"NobodyThere":         testCheckNobodyThere,
	"GivenUp":             testCheckGivenUp,
	"Renews":              testRenews,
	"RenewalNotSaved":     testRenewalNotSaved,
	"RenewalThenTrouble":  testRenewalThenTrouble,
	"RenewalNotPossible":  testRenewalNotPossible,
	"Concurrent":          testConcurrentChecks,
	"LeavesTheTokenAlone": testCheckLeavesTheTokenAlone,
}

// known is a person who signed in and whose token was kept.
type known struct {
	who  Person
	last identity.Identity
	tok  *upstream.Token
}

// know signs a person in, whichever way there is.
func (e *env) know(who Person) known {
	e.Helper()
	if _, ok := e.Upstream.(upstream.Redirector); ok {
		in := e.signIn(who)
		return known{who, in.Identity, in.Token}
	}
	id, err := e.authenticate(e.Context(), e.loginOf(who), e.Password(who), "192.0.2.1")
	if err != nil {
		e.Fatalf("sign-in: %v", err)
	}
	return known{who: who, last: id}
}

// saver is the caller's side of a renewal.
type saver struct {
	e     *env
	mu    sync.Mutex
	saved []*upstream.Token
	// err is what saving ends with.
	err error
	// asked is how many requests there were when it was called.
	asked int
}

func (s *saver) save(t *upstream.Token) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t == nil || t.Access == "" {
		s.e.Error("saved a token that is none")
		return s.err
	}
	s.e.secrets.add(t.Access, t.Refresh, t.ID)
	kept := *t
	s.saved = append(s.saved, &kept)
	s.asked = s.e.asked()
	if s.e.used(t.Access) {
		s.e.Error("the new token was used before it was saved")
	}
	return s.err
}

// used says whether a token was shown to the provider.
func (e *env) used(access string) bool {
	return slices.ContainsFunc(e.Provider.Requests(), func(r Request) bool { return r.Bearer == access })
}

// check checks, and holds the outcome to what all outcomes promise.
func (e *env) check(ctx context.Context, k known, s *saver) (identity.Identity, error) {
	e.Helper()
	if s == nil {
		s = &saver{e: e}
	}
	id, err := e.checker().Check(ctx, k.last, k.tok, s.save)
	e.checkError(err)
	switch {
	case err != nil && !cmp.Equal(id, identity.Identity{}, cmpopts.EquateEmpty()):
		e.Errorf("the identity %+v together with the error %v", id, err)
	case err == nil:
		e.isPerson(id, k.who)
		if id.Subject() != k.last.Subject() {
			e.Errorf("subject %q, before the check %q", id.Subject(), k.last.Subject())
		}
	}
	return id, err
}

func testSameFacts(e *env) {
	k := e.know(Alice)
	for range 2 {
		id, err := e.check(e.Context(), k, nil)
		if err != nil {
			e.Fatal(err)
		}
		if diff := cmp.Diff(k.last, id, cmpopts.EquateEmpty()); diff != "" {
			e.Errorf("nothing changed, and yet (-before +after):\n%s", diff)
		}
	}
}

func testChangedFacts(e *env) {
	e.need("Change", e.Change != nil)
	k, other := e.know(Alice), e.know(Bob)
	e.Change(e.T, Alice)
	id, err := e.check(e.Context(), k, nil)
	if err != nil {
		e.Fatal(err)
	}
	if cmp.Equal(k.last, id, cmpopts.EquateEmpty()) {
		e.Errorf("the check did not see the change: %+v", id)
	}
	if id, err = e.check(e.Context(), other, nil); err != nil || !cmp.Equal(other.last, id, cmpopts.EquateEmpty()) {
		e.Errorf("somebody else changed: %+v, %v", id, err)
	}
}

func testRemoved(e *env) {
	e.need("Remove", e.Remove != nil)
	k, other := e.know(Alice), e.know(Bob)
	e.Remove(e.T, Alice)
	_, err := e.check(e.Context(), k, nil)
	e.refused(err, upstream.ReasonRevoked)
	if _, err = e.check(e.Context(), other, nil); err != nil {
		e.Errorf("somebody else: %v", err)
	}
}

func testTakenBack(e *env) {
	e.need("TakeBack", e.TakeBack != nil)
	k := e.know(Alice)
	e.TakeBack(e.T, Alice)
	_, err := e.check(e.Context(), k, nil)
	e.refused(err, upstream.ReasonRevoked)
}

// testTakenBackFromOne: what one person withdraws says nothing about another.
func testTakenBackFromOne(e *env) {
	e.need("TakeBack", e.TakeBack != nil)
	k := e.know(Bob)
	e.TakeBack(e.T, Alice)
	if _, err := e.check(e.Context(), k, nil); err != nil {
		e.Error(err)
	}
}

// testNoToken: none was kept, which is nobody's fault and proves nothing.
func testNoToken(e *env) {
	k := e.know(Alice)
	k.tok = nil
	_, err := e.check(e.Context(), k, nil)
	if e.checker().NeedsToken() {
		e.refused(err, upstream.ReasonSignInNeeded)
	} else if err != nil {
		e.Errorf("checks without token, and says %v", err)
	}
}

// testTokenOfAnother: the records were mixed up. Alice must not get Bob's groups,
// nor become Bob.
func testTokenOfAnother(e *env) {
	k, bob := e.know(Alice), e.know(Bob)
	e.need("tokens", k.tok != nil && bob.tok != nil)
	k.tok = bob.tok
	if id, err := e.check(e.Context(), k, nil); err == nil {
		e.Errorf("alice, with the token of bob, is %+v", id)
	}
}

func testTokenOfNobody(e *env) {
	e.need("tokens", e.checker().NeedsToken())
	k := e.know(Alice)
	for _, tok := range []*upstream.Token{
		{}, {Access: "made-up-token"}, {Access: "made\r\nX-Injected: up"}, {Access: "made-up-é"},
	} {
		k.tok = tok
		if id, err := e.check(e.Context(), k, nil); err == nil {
			e.Errorf("with the token %q alice is %+v", tok.Access, id)
		}
	}
}

// testCheckTroubles: a provider in trouble says nothing about anybody.
func testCheckTroubles(e *env) {
	e.eachPath(e.CheckPaths, Config{}, func(e *env, path string) {
		k := e.know(Alice)
		for _, tr := range troubles {
			e.Run(tr.name, func(t *testing.T) {
				e := e.on(t)
				e.Provider.Break(path, tr.fault)
				defer e.Provider.Heal()
				_, err := e.check(e.Context(), k, nil)
				e.refused(err, upstream.ReasonUnavailable)
				e.followedNothing()
			})
		}
		if _, err := e.check(e.Context(), k, nil); err != nil {
			e.Errorf("after the trouble: %v", err)
		}
	})
}

// testCheckTooMany: and when it wants to be asked again is passed on.
func testCheckTooMany(e *env) {
	e.eachPath(e.CheckPaths, Config{}, func(e *env, path string) {
		k := e.know(Alice)
		e.Provider.Break(path, tooMany)
		_, err := e.check(e.Context(), k, nil)
		e.refused(err, upstream.ReasonUnavailable)
		var r *upstream.Refusal
		if errors.As(err, &r) {
			if in := r.RetryAfter; in < retryAfter/2 || in > 2*retryAfter {
				e.Errorf("to be asked again in %s, the provider says in %s", in, retryAfter)
			}
		}
	})
}

func testCheckHangs(e *env) {
	e.eachPath(e.CheckPaths, Config{Timeout: hangTimeout}, func(e *env, path string) {
		k := e.know(Alice)
		e.Provider.Break(path, hang)
		began := time.Now()
		_, err := e.check(e.Context(), k, nil)
		e.refused(err, upstream.ReasonUnavailable)
		if took := time.Since(began); took > patience {
			e.Errorf("took %s, with a timeout of %s", took, hangTimeout)
		}
	})
}

func testCheckNobodyThere(e *env) {
	e.need("provider", e.Provider != nil && len(e.CheckPaths) > 0)
	k := e.know(Alice)
	e.Provider.Stop()
	_, err := e.check(e.Context(), k, nil)
	e.refused(err, upstream.ReasonUnavailable)
}

func testCheckGivenUp(e *env) {
	e.eachPath(e.CheckPaths, Config{}, func(e *env, path string) {
		k := e.know(Alice)
		reached := make(chan struct{}, Callers)
		e.Provider.Break(path, signalling(reached))
		ctx, cancel := context.WithCancel(e.Context())
		go func() { <-reached; cancel() }()
		began := time.Now()
		_, err := e.check(ctx, k, nil)
		cancel()
		e.isGivenUp(err, began)
	})
}

// testCheckLeavesTheTokenAlone: the token belongs to the caller.
func testCheckLeavesTheTokenAlone(e *env) {
	k := e.know(Alice)
	e.need("tokens", k.tok != nil)
	if e.Expire != nil && k.tok.Refresh != "" {
		e.Expire(e.T, Alice)
	}
	before := *k.tok
	if _, err := e.check(e.Context(), k, nil); err != nil {
		e.Fatal(err)
	}
	if *k.tok != before {
		e.Error("the check changed the token it was given")
	}
}

// testConcurrentChecks: of two people, through one value.
func testConcurrentChecks(e *env) {
	people := [2]known{e.know(Alice), e.know(Bob)}
	var wg sync.WaitGroup
	for i := range Callers {
		k := people[i%2]
		wg.Go(func() {
			id, err := e.checker().Check(e.Context(), k.last, k.tok, func(*upstream.Token) error { return nil })
			if err != nil || !cmp.Equal(k.last, id, cmpopts.EquateEmpty()) {
				e.Errorf("identity %+v, error %v", id, err)
			}
			for i := range id.Groups { // nobody else's
				id.Groups[i] = "changed"
			}
		})
	}
	wg.Wait()
}
