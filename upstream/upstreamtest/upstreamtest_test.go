// SPDX-License-Identifier: Apache-2.0

package upstreamtest_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/caddy-mcp/caddy-mcp-oauth/upstream/upstreamtest"
)

// flawEnv makes TestFlawed run the suite on an upstream with a flaw.
const flawEnv = "UPSTREAMTEST_FLAW"

// TestHonest: who keeps the contract passes.
func TestHonest(t *testing.T) {
	t.Parallel()
	upstreamtest.Run(t, upstreamtest.Harness{Start: startHonest("")})
}

// TestFlawed is the other half of TestFlawsAreFound.
func TestFlawed(t *testing.T) {
	flaw := os.Getenv(flawEnv)
	if flaw == "" {
		t.Skip("run by TestFlawsAreFound")
	}
	upstreamtest.Run(t, upstreamtest.Harness{Start: startHonest(flaw)})
}

// TestFlawsAreFound: a suite is worth what it fails. Each flaw is one that an upstream
// could well have, and the test named is the one that has to find it.
func TestFlawsAreFound(t *testing.T) {
	t.Parallel()
	for flaw, by := range map[string]string{
		"plain challenge":            "AuthCodeURL/VerifierStaysHere",
		"never asks for the account": "AuthCodeURL/AskAccount",
		"first parameter counts":     "Callback/Malformed",
		"quotes the description":     "Callback/Errors",
		"quotes the body":            "Broken/Troubles",
		"follows redirects":          "Broken/Troubles",
		"groups are optional":        "Broken/Troubles",
		"logs the token":             "SignIn/Identity",
		"trouble is a revocation":    "Check/Troubles",
		"forgets when to ask again":  "Check/TooMany",
		"believes any token":         "Check/TokenOfAnother",
		"saves late":                 "Check/Renews",
		"goes on unsaved":            "Check/RenewalNotSaved",
		"plain error":                "Refresh/Refreshes",
	} {
		t.Run(flaw, func(t *testing.T) {
			t.Parallel()
			group, test, _ := strings.Cut(by, "/")
			cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run", "^TestFlawed$/^"+group+"$/^"+test+"$", "-test.timeout", "60s")
			cmd.Env = append(os.Environ(), flawEnv+"="+flaw)
			out, err := cmd.CombinedOutput()
			if err == nil || !strings.Contains(string(out), "--- FAIL: TestFlawed/"+by) {
				t.Errorf("%s did not find it: %v\n%s", by, err, out)
			}
		})
	}
}

// visible says whether a token can be sent in a header.
func visible(s string) bool {
	return !strings.ContainsFunc(s, func(c rune) bool { return c <= ' ' || c > '~' })
}
