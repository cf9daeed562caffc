// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"flag"
	"os"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write baseline.txt anew")

const baselineFile = "baseline.txt"

const baselineHead = `# What does not succeed in @modelcontextprotocol/conformance against the Go SDK's
# server, with the gateway or without. Written by: go test ./internal/conformance -update
`

// readBaseline reads the checks that are known not to succeed, by the name of the
// run.
func readBaseline(t *testing.T) map[string][]string {
	t.Helper()
	text, err := os.ReadFile(baselineFile)
	if err != nil {
		t.Fatal(err)
	}
	sections, name := map[string][]string{}, ""
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		switch {
		case line == "" || line[0] == '#':
		case line[0] == '[':
			name = strings.Trim(line, "[]")
		default:
			sections[name] = append(sections[name], line)
		}
	}
	return sections
}

// writeBaseline writes what readBaseline reads, in the order of the runs.
func writeBaseline(t *testing.T, sections map[string][]string) {
	t.Helper()
	var b strings.Builder
	b.WriteString(baselineHead)
	for _, run := range runs {
		b.WriteString("\n[" + run.name + "]\n")
		for _, line := range sections[run.name] {
			b.WriteString(line + "\n")
		}
	}
	if err := os.WriteFile(baselineFile, []byte(b.String()), 0o644); err != nil {
		t.Fatal(err)
	}
}
