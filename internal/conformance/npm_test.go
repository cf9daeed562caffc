// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"os"
	"testing"

	"github.com/caddy-mcp/caddy-mcp-oauth/internal/testnode"
)

// needSuite returns a directory with the pinned suite installed and what lets it run,
// or skips or fails the test.
func needSuite(t *testing.T) string {
	t.Helper()
	return testnode.Dir(t, os.DirFS("node"), "conformance")
}
