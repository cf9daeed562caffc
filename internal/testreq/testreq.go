// SPDX-License-Identifier: Apache-2.0

// Package testreq says what happens to a test that needs a program or a service
// the machine may not have: a browser, npm, Redis, PostgreSQL.
//
// By default such a test is skipped, with the reason and what to install, so that
// `go test ./...` works on a bare machine. With MCP_OAUTH_TEST_REQUIRE=all, as in
// CI, it fails: a test that silently never runs guards nothing.
package testreq

import (
	"os"
	"testing"
)

// Env is the environment variable that makes requirements mandatory. Its only
// value is "all".
const Env = "MCP_OAUTH_TEST_REQUIRE"

// Need lets the test go on if ok, and otherwise skips or fails it. what names the
// requirement, "chromium"; hint says how to meet it, "install Chromium or set …".
func Need(t testing.TB, what string, ok bool, hint string) {
	t.Helper()
	switch v := os.Getenv(Env); v {
	case "", "all":
		if ok {
			return
		}
		if v == "all" {
			t.Fatalf("needs %s: %s (%s=all)", what, hint, Env)
		}
		t.Skipf("needs %s: %s", what, hint)
	default:
		// A misspelt value must not turn a CI run into one that skips.
		t.Fatalf("%s=%q: the only value is \"all\"", Env, v)
	}
}
