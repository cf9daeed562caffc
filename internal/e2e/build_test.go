// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"os"
	"testing"

	"github.com/caddy-mcp/caddy-mcp-oauth/internal/testproc"
)

// patience bounds everything that is waited for.
const patience = testproc.Patience

func TestMain(m *testing.M) { os.Exit(testproc.Main(m)) }
