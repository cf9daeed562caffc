// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"flag"
	"os"
	"testing"

	"github.com/caddy-mcp/caddy-mcp-oauth/internal/testproc"
)

// patience bounds everything that is waited for.
const patience = testproc.Patience

// caddy is a Caddy with both engines.
var caddy = testproc.Program{
	Package: "github.com/caddy-mcp/caddy-mcp-oauth/internal/cluster/cmd/caddy",
	Env:     "MCP_OAUTH_TEST_CADDY_CLUSTER",
	Race:    true,
}

// inParallel is how many clusters there are at a time, unless -parallel says so. Most
// of what they do is waiting for time limits, which takes no processor.
const inParallel = "6"

func TestMain(m *testing.M) {
	flag.Parse()
	chosen := false
	flag.Visit(func(f *flag.Flag) { chosen = chosen || f.Name == "test.parallel" })
	if !chosen {
		_ = flag.Set("test.parallel", inParallel) // it is a number
	}
	os.Exit(testproc.Main(m))
}
