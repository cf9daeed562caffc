// SPDX-License-Identifier: Apache-2.0

package upstreamtest

import (
	"regexp"
	"strings"
	"sync"
	"unicode"

	"github.com/google/go-cmp/cmp"

	"github.com/caddy-mcp/caddy-mcp-oauth/identity"
	"github.com/caddy-mcp/caddy-mcp-oauth/upstream"
)

var upstreamTests = group{"Names": testNames}

var signInTests = group{
	"Identity":     testIdentity,
	"TwoPeople":    testTwoPeople,
	"TokenIsThere": testTokenIsThere,
	"HintsAreText": testHints,
	"Concurrent":   testConcurrent,
}

var pathSegment = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]*$`)

func testNames(e *env) {
	u := e.Upstream
	if !pathSegment.MatchString(u.Name()) {
		e.Errorf("the name %q is no path segment", u.Name())
	}
	if k := u.Kind(); k != identity.KindGitHub && k != identity.KindOIDC && k != identity.KindLocal {
		e.Errorf("kind %q", k)
	}
	if l := u.Label(); l == "" || strings.ContainsFunc(l, unicode.IsControl) {
		e.Errorf("label %q", l)
	}
	for who, want := range e.People {
		if want.Upstream != u.Name() || want.Kind != u.Kind() || want.ID == "" {
			e.Errorf("the harness says that person %d is %+v", who, want)
		}
	}
	if e.People[Alice].ID == e.People[Bob].ID {
		e.Error("the harness has one person twice")
	}
}

// testIdentity: who signs in twice is the same both times, in every field.
func testIdentity(e *env) {
	first, second := e.signIn(Alice).Identity, e.signIn(Alice).Identity
	e.isPerson(first, Alice)
	if diff := cmp.Diff(first, second); diff != "" {
		e.Errorf("another identity the second time (-first +second):\n%s", diff)
	}
	e.checkSubject(first)
	if first.Email == "" && first.EmailVerified {
		e.Error("no address, and that verified")
	}
}

// checkSubject: backends key on it.
func (e *env) checkSubject(id identity.Identity) {
	e.Helper()
	subject := id.Subject()
	if !strings.HasPrefix(subject, id.Kind+":") || !strings.HasSuffix(subject, ":"+id.ID) {
		e.Errorf("the subject is %q", subject)
	}
	if id.Login != "" && id.Login != id.ID && strings.Contains(subject, ":"+id.Login) {
		e.Errorf("the subject %q has the login in it, which somebody else can have tomorrow", subject)
	}
	if strings.ContainsFunc(subject, unicode.IsControl) {
		e.Errorf("the subject %q has control characters", subject)
	}
}

func testTwoPeople(e *env) {
	alice, bob := e.signIn(Alice).Identity, e.signIn(Bob).Identity
	e.isPerson(alice, Alice)
	e.isPerson(bob, Bob)
	if alice.Subject() == bob.Subject() {
		e.Errorf("two people are one subject: %s", bob.Subject())
	}
}

// testTokenIsThere: who needs the token for the next check has to hand it out.
func testTokenIsThere(e *env) {
	in := e.signIn(Alice)
	if c, ok := e.Upstream.(upstream.Checker); ok && c.NeedsToken() && (in.Token == nil || in.Token.Access == "") {
		e.Error("checks need a token, and the sign-in came without one")
	}
	if in.Token != nil && in.Token.Access == "" {
		e.Error("a token without an access token")
	}
}

func testHints(e *env) {
	for _, h := range e.signIn(Alice).Hints {
		if h.Text == "" || strings.ContainsFunc(h.Text, unicode.IsControl) || strings.ContainsAny(h.Text, "<>") {
			e.Errorf("the hint %q is no plain sentence", h.Text)
		}
		e.keepsSecrets("a hint", h.Text+" "+h.URL)
	}
}

// atATime keeps clear of providers that have room for ten tokens per person.
const atATime = 8

// testConcurrent: one value signs many people in at a time, and mixes up none.
func testConcurrent(e *env) {
	for range Callers / atATime {
		var wg sync.WaitGroup
		for i := range atATime {
			who := Person(i % 2)
			a := e.approved(who) // one browser, which is not what is tested
			wg.Go(func() {
				in, err := e.redirector().Identify(e.Context(), a.callback, a.request.Verifier, a.request.RedirectURI)
				if err != nil {
					e.Errorf("sign-in: %v", err)
					return
				}
				e.isPerson(in.Identity, who)
			})
		}
		wg.Wait()
	}
	var wg sync.WaitGroup
	for range Callers {
		wg.Go(func() {
			r := e.newRequest()
			if to, err := e.redirector().AuthCodeURL(e.Context(), r); err != nil || !strings.Contains(to, r.State) {
				e.Errorf("AuthCodeURL %q, error %v", to, err)
			}
		})
	}
	wg.Wait()
}
