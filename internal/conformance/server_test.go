// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"net/url"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// runs are the suite's scenarios for every revision of the protocol. The two with
// a frozen set of requirements also run what is optional or pending there. The
// revision with sessions is run without as well: that is how the server of the
// newest revision meets older clients.
var runs = []struct {
	name, backend string
	args          []string
}{
	{"2025-03-26", stateful, []string{"--suite", "all", "--spec-version", "2025-03-26"}},
	{"2025-06-18", stateful, []string{"--suite", "all", "--spec-version", "2025-06-18"}},
	{"2025-11-25", stateful, []string{"--requirements", "2025-11-25"}},
	{"2025-11-25 without sessions", stateless, []string{"--requirements", "2025-11-25"}},
	{"2026-07-28", stateless, []string{"--requirements", "2026-07-28"}},
}

// A client that is signed in cannot tell the gateway from the server behind it:
// every check of the suite ends the same through it and without it.
func TestServerSuiteIsTheSameThroughTheGateway(t *testing.T) {
	dir := needSuite(t)
	g := startGateway(t)
	base, err := url.Parse(g.issuer)
	if err != nil {
		t.Fatal(err)
	}
	proxies := map[string]string{}
	for kind := range g.backends {
		proxies[kind] = tokenProxy(t, base, g.accessToken(g.resource(kind))) + "/" + kind
	}
	sections := readBaseline(t)
	for _, run := range runs {
		t.Run(run.name, func(t *testing.T) {
			direct, through := both(t, dir, "http://"+g.bare[run.backend]+"/mcp", proxies[run.backend], run.args)
			if diff := cmp.Diff(direct, through, cmpopts.IgnoreFields(check{}, "Details")); diff != "" {
				t.Errorf("(-direct +through the gateway):\n%s", diff)
			}
			succeeded, rest := split(direct)
			t.Logf("%d checks, %d succeed", len(direct), succeeded)
			if succeeded < len(direct)/2 {
				t.Error("most checks fail without the gateway: this compares nothing")
			}
			if *update {
				sections[run.name] = rest
			} else if diff := cmp.Diff(sections[run.name], rest); diff != "" {
				t.Errorf("without the gateway (-%s +now):\n%s", baselineFile, diff)
			}
		})
	}
	if *update {
		writeBaseline(t, sections)
	}
}

// split counts the checks that succeed and lists the others, but for notes.
func split(checks []check) (succeeded int, rest []string) {
	for _, c := range checks {
		switch c.Status {
		case "SUCCESS":
			succeeded++
		case "INFO": // what happened on the way
		default:
			rest = append(rest, c.String())
		}
	}
	return succeeded, rest
}

// The suite's own client, without a token, gets nowhere: what the other test
// compares went through a closed door.
func TestServerSuiteFailsWithoutAToken(t *testing.T) {
	dir := needSuite(t)
	g := startGateway(t)
	for _, scenario := range []string{"tools-list", "tools-call-simple-text", "resources-list"} {
		checks, err := runServerSuite(t, dir, g.resource(stateless), "--scenario", scenario, "--spec-version", "2026-07-28")
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range checks {
			// What came is valid, it is only not what was asked for.
			if c.Status == "SUCCESS" && c.ID != "wire-schema-valid" {
				t.Errorf("without a token: %v", c)
			}
		}
	}
}

// both runs the suite against two addresses at once.
func both(t *testing.T, dir, direct, through string, args []string) (a, b []check) {
	t.Helper()
	var wg sync.WaitGroup
	var errs [2]error
	wg.Go(func() { a, errs[0] = runServerSuite(t, dir, direct, args...) })
	wg.Go(func() { b, errs[1] = runServerSuite(t, dir, through, args...) })
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
	return a, b
}
