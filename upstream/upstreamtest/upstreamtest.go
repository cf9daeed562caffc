// SPDX-License-Identifier: Apache-2.0

// Package upstreamtest is the contract of package upstream as a test suite. Every
// provider passes it, and so does one written elsewhere:
//
//	func TestContract(t *testing.T) {
//		upstreamtest.Run(t, upstreamtest.Harness{Start: func(t *testing.T, c upstreamtest.Config) *upstreamtest.World {
//			p := upstreamtest.NewProvider(t)
//			idp := … // a scriptable provider with two people, an http.Handler that believes to be at p.URL
//			p.Serve(idp)
//			return &upstreamtest.World{
//				Upstream: …, // configured for p.URL, with c.Logger and c.Timeout
//				Provider: p,
//				…
//			}
//		}})
//	}
//
// Which tests run depends on which of Redirector, PasswordChecker, Checker and
// Refresher the upstream implements. A provider with several shapes, with refresh
// tokens and without for example, runs the suite once for each.
package upstreamtest

import (
	"log/slog"
	"maps"
	"net/url"
	"slices"
	"testing"
	"time"

	"github.com/caddy-mcp/caddy-mcp-oauth/identity"
	"github.com/caddy-mcp/caddy-mcp-oauth/upstream"
)

// Harness makes the worlds the suite works in.
type Harness struct {
	// Start makes a world that shares nothing with any other. It fails the test
	// itself, and cleans up at its end.
	Start func(t *testing.T, c Config) *World
}

// Config is what a test asks of its upstream.
type Config struct {
	// Logger is to be the upstream's, so that the suite sees what it logs.
	Logger *slog.Logger
	// Timeout is how long the upstream is to wait for one answer of its provider.
	// Zero: whatever its default is.
	Timeout time.Duration
}

// Person is one of the two people whom a provider knows.
type Person int

// The two people. They differ in everything but the allow rules.
const (
	Alice Person = iota
	Bob
)

// World is one upstream, its provider, and what can happen there. Fields that are
// functions are nil where the provider has no such thing; the tests that need it
// are then skipped, and say so. Paths are as the provider sees them.
type World struct {
	// Upstream is what is tested. Remove and Change may replace it, as a reload of
	// the configuration does.
	Upstream upstream.Upstream
	// Provider is where the upstream's requests arrive. Nil where it makes none.
	Provider *Provider
	// People are the two as the upstream has to tell who they are: Upstream, Kind
	// and ID count.
	People [2]identity.Identity

	// Of a Redirector. RedirectURI is registered at the provider. Approve is the
	// browser of a person who is signed in at the provider and agrees: it goes to
	// the URL and returns the parameters of the callback. Deny presses the other
	// button.
	RedirectURI string
	Approve     func(t *testing.T, authURL string, who Person) url.Values
	Deny        func(t *testing.T, authURL string, who Person) url.Values
	// SignInPaths are asked in every sign-in, CheckPaths in every check,
	// RefreshPaths in every refresh: if one of them does not answer, the call fails.
	SignInPaths, CheckPaths, RefreshPaths []string

	// Remove takes the account away, or suspends it. Change changes a fact that a
	// check returns, not the ID. TakeBack is the person withdrawing the permission:
	// all their tokens die. Expire ends their access tokens, as time does, and leaves
	// the refresh tokens; nil where tokens do not end.
	Remove   func(t *testing.T, who Person)
	Change   func(t *testing.T, who Person)
	TakeBack func(t *testing.T, who Person)
	Expire   func(t *testing.T, who Person)
	// Secrets are what must not be in an error or a log: the client secret, and all
	// tokens there are by now.
	Secrets func() []string

	// Password is a person's password, of a PasswordChecker.
	Password func(who Person) string
}

// Callers is how many goroutines use one upstream at the same time.
const Callers = 64

type group map[string]func(*env)

// Run runs the tests that apply, every one in a world of its own.
func Run(t *testing.T, h Harness) {
	t.Helper()
	probe := h.Start(t, Config{Logger: slog.New(slog.DiscardHandler)}).Upstream
	groups := map[string]group{"Upstream": upstreamTests}
	if _, ok := probe.(upstream.Redirector); ok {
		groups["AuthCodeURL"] = authURLTests
		groups["SignIn"] = signInTests
		groups["Callback"] = callbackTests
		groups["Broken"] = brokenTests
	}
	if _, ok := probe.(upstream.PasswordChecker); ok {
		groups["Password"] = passwordTests
	}
	if _, ok := probe.(upstream.Checker); ok {
		groups["Check"] = checkTests
	}
	if _, ok := probe.(upstream.Refresher); ok {
		groups["Refresh"] = refreshTests
	}
	for _, name := range slices.Sorted(maps.Keys(groups)) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			runGroup(t, h, groups[name])
		})
	}
}

func runGroup(t *testing.T, h Harness, tests group) {
	t.Helper()
	for _, name := range slices.Sorted(maps.Keys(tests)) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tests[name](start(t, h, Config{}))
		})
	}
}
