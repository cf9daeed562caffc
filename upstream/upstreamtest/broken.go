// SPDX-License-Identifier: Apache-2.0

package upstreamtest

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/caddy-mcp/caddy-mcp-oauth/upstream"
)

var brokenTests = group{
	"Troubles":     testSignInTroubles,
	"TooMany":      testSignInTooMany,
	"Hangs":        testSignInHangs,
	"NobodyThere":  testNobodyThere,
	"GivenUp":      testGivenUp,
	"GivenUpAtAll": testGivenUpBefore,
}

// eachPath runs a subtest per path, each in a world of its own.
func (e *env) eachPath(paths []string, c Config, test func(*env, string)) {
	e.Helper()
	e.need("paths", len(paths) > 0)
	for _, path := range paths {
		e.Run(strings.Trim(path, "/"), func(t *testing.T) {
			t.Parallel()
			test(e.fresh(t, c), path)
		})
	}
}

// brokenSignIn is a sign-in that meets a fault after the person has agreed.
func (e *env) brokenSignIn(path string, f Fault) error {
	e.Helper()
	a := e.approved(Alice)
	e.Provider.Break(path, f)
	defer e.Provider.Heal()
	in, err := e.identify(e.Context(), a)
	if in != nil {
		e.Fatalf("identity %+v from a provider in trouble", in.Identity)
	}
	return err
}

// testSignInTroubles: whatever the provider does not say was not said.
func testSignInTroubles(e *env) {
	e.eachPath(e.SignInPaths, Config{}, func(e *env, path string) {
		for _, tr := range troubles {
			e.Run(tr.name, func(t *testing.T) {
				e := e.on(t)
				e.refused(e.brokenSignIn(path, tr.fault), upstream.ReasonUnavailable)
				e.followedNothing()
			})
		}
		e.signIn(Alice) // and all is well again
	})
}

// followedNothing: a redirect would take code, secret or token along.
func (e *env) followedNothing() {
	e.Helper()
	for _, r := range e.Provider.Requests() {
		if r.Path == elsewhere {
			e.Error("followed a redirect")
		}
	}
}

func testSignInTooMany(e *env) {
	e.eachPath(e.SignInPaths, Config{}, func(e *env, path string) {
		e.refused(e.brokenSignIn(path, tooMany), upstream.ReasonUnavailable)
	})
}

func testSignInHangs(e *env) {
	e.eachPath(e.SignInPaths, Config{Timeout: hangTimeout}, func(e *env, path string) {
		began := time.Now()
		e.refused(e.brokenSignIn(path, hang), upstream.ReasonUnavailable)
		if took := time.Since(began); took > patience {
			e.Errorf("took %s, with a timeout of %s", took, hangTimeout)
		}
	})
}

func testNobodyThere(e *env) {
	a := e.approved(Alice)
	e.Provider.Stop()
	in, err := e.identify(e.Context(), a)
	if in != nil {
		e.Fatalf("identity %+v from nobody", in.Identity)
	}
	e.refused(err, upstream.ReasonUnavailable)
}

// testGivenUp: the person closes the browser while the provider is silent.
func testGivenUp(e *env) {
	e.eachPath(e.SignInPaths, Config{}, func(e *env, path string) {
		a := e.approved(Alice)
		reached := make(chan struct{}, Callers)
		e.Provider.Break(path, signalling(reached))
		ctx, cancel := context.WithCancel(e.Context())
		go func() { <-reached; cancel() }()
		began := time.Now()
		_, err := e.identify(ctx, a)
		cancel()
		e.isGivenUp(err, began)
	})
}

func testGivenUpBefore(e *env) {
	a := e.approved(Alice)
	ctx, cancel := context.WithCancel(e.Context())
	cancel()
	began := time.Now()
	_, err := e.identify(ctx, a)
	e.isGivenUp(err, began)
}

func (e *env) isGivenUp(err error, began time.Time) {
	e.Helper()
	e.refused(err, upstream.ReasonUnavailable)
	if !errors.Is(err, context.Canceled) {
		e.Errorf("the cause is lost: %v", err)
	}
	if took := time.Since(began); took > patience {
		e.Errorf("took %s to notice", took)
	}
}
