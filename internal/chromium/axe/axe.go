// SPDX-License-Identifier: Apache-2.0

// Package axe runs the axe-core accessibility checker on a page in a test. It needs
// npm, which verifies the checker against the hash in package-lock.json.
package axe

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddy-mcp/caddy-mcp-oauth/internal/chromium"
	"github.com/caddy-mcp/caddy-mcp-oauth/internal/testreq"
)

//go:embed package.json
var manifest []byte

//go:embed package-lock.json
var lock []byte

// installTimeout bounds npm, which retries for long without a network.
const installTimeout = 2 * time.Minute

// Checker is the checker's source.
type Checker struct{ source string }

// Load installs the checker into a temporary directory. Without npm the test is
// skipped, or fails where all requirements are mandatory.
func Load(t testing.TB) *Checker {
	t.Helper()
	npm, err := exec.LookPath("npm")
	testreq.Need(t, "npm", err == nil, "install Node.js with npm")
	dir := t.TempDir()
	for name, content := range map[string][]byte{"package.json": manifest, "package-lock.json": lock} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), installTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline")
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		testreq.Need(t, "axe-core from npm", false, fmt.Sprintf("npm ci: %v: %s", err, out))
	}
	source, err := os.ReadFile(filepath.Join(dir, "node_modules", "axe-core", "axe.min.js"))
	if err != nil {
		t.Fatal(err)
	}
	return &Checker{source: string(source)}
}

// Finding is a rule that a page breaks, and where.
type Finding struct {
	Rule, Help string
	Elements   []string
}

func (f Finding) String() string {
	return fmt.Sprintf("%s: %s: %s", f.Rule, f.Help, strings.Join(f.Elements, " | "))
}

// run asks for WCAG 2.2 A and AA and for what axe-core calls best practice. What
// it cannot decide by itself is a finding too.
const run = `axe.run(document, {runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]})
	.then(r => JSON.stringify(r.violations.concat(r.incomplete).map(v =>
		({Rule: v.id, Help: v.help, Elements: v.nodes.map(n => n.html + " " + (n.failureSummary || ""))}))))`

// Check returns what is wrong with the page as it is shown now.
func (c *Checker) Check(t testing.TB, p *chromium.Page) []Finding {
	t.Helper()
	chromium.Eval[string](p, c.source+"; axe.version")
	var findings []Finding
	if err := json.Unmarshal([]byte(chromium.Eval[string](p, run)), &findings); err != nil {
		t.Fatalf("axe: %v", err)
	}
	return findings
}
