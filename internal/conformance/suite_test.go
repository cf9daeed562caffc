// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// suiteTimeout bounds one run of the suite, which takes seconds.
const suiteTimeout = 3 * time.Minute

// check is one verdict of the suite.
type check struct {
	// Scenario is what the check belongs to.
	Scenario string `json:"-"`
	ID       string `json:"id"`
	Name     string `json:"name"`
	// Status is SUCCESS, FAILURE, WARNING, SKIPPED or INFO.
	Status string `json:"status"`
	// Message says what is wrong, without what differs from run to run.
	Message string `json:"errorMessage"`
	// Details are the suite's notes, to show when something went wrong.
	Details json.RawMessage `json:"details"`
}

func (c check) String() string { return c.Scenario + " " + c.ID + " " + c.Name + " " + c.Status }

// command prepares a run of the suite that leaves its results in out.
func command(ctx context.Context, dir, out string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "node", append([]string{
		"--import", filepath.Join(dir, "preload.mjs"),
		filepath.Join(dir, "node_modules/@modelcontextprotocol/conformance/dist/index.js"),
	}, append(args, "--output-dir", out)...)...)
	cmd.WaitDelay = time.Second
	return cmd
}

// runServerSuite runs server scenarios against url.
func runServerSuite(t *testing.T, dir, url string, args ...string) ([]check, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), suiteTimeout)
	defer cancel()
	out := t.TempDir()
	cmd := command(ctx, dir, out, append([]string{"server", "--url", url}, args...)...)
	var log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &log, &log
	// It exits with 1 if any check failed, which the results tell better.
	if err := cmd.Run(); err != nil && cmd.ProcessState.ExitCode() != 1 {
		return nil, fmt.Errorf("conformance %v: %w\n%s", args, err, log.String())
	}
	checks, err := readChecks(out)
	if err == nil && len(checks) == 0 {
		err = fmt.Errorf("conformance %v left no results:\n%s", args, log.String())
	}
	return checks, err
}

// resultDir is a directory the suite makes: the kind of scenario, its name, the
// time.
var resultDir = regexp.MustCompile(`^(?:(?:server|authorization)-)?(.+)-\d{4}-\d\d-\d\dT[\d-]+Z$`)

// readChecks collects the results of one run, sorted.
func readChecks(out string) ([]check, error) {
	entries, err := os.ReadDir(out)
	if err != nil {
		return nil, err
	}
	var all []check
	for _, e := range entries {
		name := resultDir.FindStringSubmatch(e.Name())
		if name == nil {
			return nil, fmt.Errorf("no idea what the suite means by %s", e.Name())
		}
		content, err := os.ReadFile(filepath.Join(out, e.Name(), "checks.json"))
		if err != nil {
			return nil, err
		}
		var checks []check
		if err := json.Unmarshal(content, &checks); err != nil {
			return nil, fmt.Errorf("results of %s: %w", name[1], err)
		}
		for _, c := range checks {
			c.Scenario, c.Message = name[1], settle(c.Message)
			all = append(all, c)
		}
	}
	slices.SortStableFunc(all, func(a, b check) int { return strings.Compare(a.String(), b.String()) })
	return all, nil
}

// unsettled is what differs between two runs that went the same: addresses,
// session ids, times.
var unsettled = regexp.MustCompile(`https?://(?:localhost|127\.0\.0\.1):\d+|[0-9A-Z]{26}|\d+ ?ms`)

func settle(message string) string { return unsettled.ReplaceAllString(message, "…") }
