// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"testing"

	"github.com/caddy-mcp/caddy-mcp-oauth/internal/testproc"
)

// doctor runs the command of the built binary and returns its exit status.
func doctor(t *testing.T, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), testproc.Caddy.Path(t), append([]string{"mcp-oauth", "doctor"}, args...)...)
	var out, errs strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), out.String(), errs.String()
}

// The doctor finds nothing to mend at a running gateway, registration included,
// and says what a server at home means for hosted clients.
func TestDoctorOfARunningGateway(t *testing.T) {
	g := startPlain(t)
	status, out, errs := doctor(t, "--register", g.url)
	if status != 0 || strings.Contains(errs, "ERROR") {
		t.Fatalf("exit status %d\n%s\n%s", status, out, errs)
	}
	for _, want := range []string{
		"ok    challenge: ", "ok    register-public: ", "ok    register-confidential: ", "warn  address: ", "claude.ai and ChatGPT",
		"should work  VS Code", "should work  Go SDK", "should work  TypeScript SDK 2", "would FAIL   Claude (claude.ai", "0 failed",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("the report lacks %q:\n%s", want, out)
		}
	}
	if n := strings.Count(g.log.String(), "client registered"); n != 2 {
		t.Errorf("%d clients were registered, want 2", n)
	}
}

func TestDoctorAsJSON(t *testing.T) {
	g := startPlain(t)
	status, out, _ := doctor(t, "--json", g.url)
	var report struct {
		URL    string
		Failed bool
		Checks []struct{ ID, Status string }
	}
	if err := json.Unmarshal([]byte(out), &report); err != nil || status != 0 {
		t.Fatalf("exit status %d, %v:\n%s", status, err, out)
	}
	if report.URL != g.url || report.Failed || len(report.Checks) < 30 {
		t.Errorf("%+v", report)
	}
	if strings.Contains(g.log.String(), "client registered") {
		t.Error("a client was registered without --register")
	}
}

// A server without a guard, and one that does not run, are exit status 1.
func TestDoctorOfABrokenServer(t *testing.T) {
	open := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"jsonrpc":"2.0","id":1,"result":{}}`))
	}))
	defer open.Close()
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	for url, want := range map[string]string{
		open.URL + "/mcp": "FAIL  unauthenticated: the server lets everybody in",
		gone.URL + "/mcp": "FAIL  connect: the connection is refused",
	} {
		status, out, errs := doctor(t, url)
		if status != 1 || !strings.Contains(out, want) || strings.Contains(errs, "Error:") {
			t.Errorf("%s: exit status %d\n%s\n%s", url, status, out, errs)
		}
	}
}

// What cannot be followed is exit status 2, says what to write, and repeats no
// secret.
func TestDoctorUsage(t *testing.T) {
	for _, tt := range []struct {
		args []string
		want string
	}{
		{nil, "give the URL"},
		{[]string{"https://a/mcp", "https://b/mcp"}, "give the URL"},
		{[]string{"mcp.example.com/mcp"}, "https://mcp.example.com/mcp"},
		{[]string{"https://user:hunter2@mcp.example.com/mcp"}, "leave it out"},
		{[]string{"https://mcp.example.com/mcp?token=hunter2"}, "looks like a secret"},
		{[]string{"--nonsense", "https://mcp.example.com/mcp"}, "nonsense"},
		{[]string{"--timeout", "soon", "https://mcp.example.com/mcp"}, "timeout"},
		{[]string{"--timeout", "-1s", "https://mcp.example.com/mcp"}, "negative"},
	} {
		status, out, errs := doctor(t, tt.args...)
		if status != 2 || !strings.Contains(errs, tt.want) || out != "" {
			t.Errorf("%q: exit status %d, want 2 and %q\n%s\n%s", tt.args, status, tt.want, out, errs)
		}
		if strings.Contains(out+errs, "hunter2") {
			t.Errorf("%q: the secret is repeated:\n%s%s", tt.args, out, errs)
		}
	}
	if status, out, _ := doctor(t, "--help"); status != 0 || !strings.Contains(out, "caddy mcp-oauth doctor https://mcp.example.com/mcp") {
		t.Errorf("--help: exit status %d\n%s", status, out)
	}
}
