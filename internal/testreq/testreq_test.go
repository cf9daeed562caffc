// SPDX-License-Identifier: Apache-2.0

package testreq_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/caddy-mcp/caddy-mcp-oauth/internal/testreq"
)

// recorder is a test that only notes how it ended.
type recorder struct {
	testing.TB

	outcome, message string
}

func (r *recorder) Helper() {}

func (r *recorder) Fatalf(format string, args ...any) { r.end("failed", format, args) }

func (r *recorder) Skipf(format string, args ...any) { r.end("skipped", format, args) }

func (r *recorder) end(outcome, format string, args []any) {
	r.outcome, r.message = outcome, fmt.Sprintf(format, args...)
	runtime.Goexit()
}

// outcome runs Need as a test would and tells how that test ended.
func outcome(ok bool) *recorder {
	r := &recorder{outcome: "went on"}
	done := make(chan struct{})
	go func() {
		defer close(done)
		testreq.Need(r, "a teapot", ok, "put the kettle on")
	}()
	<-done
	return r
}

func TestNeed(t *testing.T) {
	for _, tc := range []struct {
		name, env string
		ok        bool
		want      string
	}{
		{"present", "", true, "went on"},
		{"absent on a developer's machine", "", false, "skipped"},
		{"present in CI", "all", true, "went on"},
		{"absent in CI", "all", false, "failed"},
		// "ALL" or "al" in a workflow file would otherwise skip for ever.
		{"misspelt, absent", "ALL", false, "failed"},
		{"misspelt, present", "al", true, "failed"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Setenv(testreq.Env, tc.env)
			got := outcome(tc.ok)
			if got.outcome != tc.want {
				t.Fatalf("test %s (%s), want %s", got.outcome, got.message, tc.want)
			}
			if !tc.ok && strings.HasPrefix(tc.name, "absent") &&
				(!strings.Contains(got.message, "a teapot") || !strings.Contains(got.message, "kettle")) {
				t.Errorf("message %q does not say what is missing and what to do", got.message)
			}
		})
	}
}
