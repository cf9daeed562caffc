// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"errors"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddy-mcp/caddy-mcp-oauth/internal/testmcp"
	"github.com/caddy-mcp/caddy-mcp-oauth/internal/testproc"
)

// mcpOAuth runs a command of the built binary.
func mcpOAuth(t *testing.T, args ...string) (status int, out string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), testproc.Caddy.Path(t), append([]string{"mcp-oauth"}, args...)...)
	cmd.Env = append(os.Environ(), "XDG_DATA_HOME="+t.TempDir(), "XDG_CONFIG_HOME="+t.TempDir())
	raw, err := cmd.CombinedOutput()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), string(raw)
}

func mustMCPOAuth(t *testing.T, args ...string) string {
	t.Helper()
	status, out := mcpOAuth(t, args...)
	if status != 0 {
		t.Fatalf("%v: exit status %d\n%s", args, status, out)
	}
	return out
}

// elsewhere writes the gateway's configuration anew with another state file.
func (g *gateway) elsewhere(name string) (config, state string) {
	g.t.Helper()
	text, err := os.ReadFile(g.caddyfile())
	if err != nil {
		g.t.Fatal(err)
	}
	state = filepath.Join(g.dir, name+".db")
	config = filepath.Join(g.dir, name+".caddyfile")
	changed := strings.Replace(string(text), filepath.Join(g.dir, "state.db"), state, 1)
	if changed == string(text) {
		g.t.Fatal("the configuration does not name its state file")
	}
	if err := os.WriteFile(config, []byte(changed), 0o600); err != nil {
		g.t.Fatal(err)
	}
	return config, state
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	raw, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, raw, 0o600); err != nil {
		t.Fatal(err)
	}
}

// The disk is lost. The operator has last night's backup, made while the gateway
// was in use, and the key, and nobody has to sign in again.
func TestRestoredBackupGoesOnWithTheSameTokens(t *testing.T) {
	g := startGateway(t, config{backend: serveBackend(t, testmcp.Stateless(testmcp.NewServer())), adminAPI: true})
	c := newClient(t, newPerson())
	c.mustConnect(t, g.url, nil)
	held := c.wire.tokens()
	clientID := held[0].form.Get("client_id")

	file := filepath.Join(g.dir, "backup.ndjson")
	out := mustMCPOAuth(t, "backup", "--from", g.admin, "--to", file)
	if !strings.Contains(out, "records into "+file) {
		t.Errorf("backup says %q", out)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the backup is %v, %v; want 0600", info, err)
	}
	if status, out := mcpOAuth(t, "backup", "--from", g.admin, "--to", file); status == 0 || !strings.Contains(out, "exists already") {
		t.Errorf("a backup over an older one: %d %s", status, out)
	}
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{held[0].Access, held[0].Refresh} {
		if strings.Contains(string(raw), secret) {
			t.Error("the backup holds a token")
		}
	}
	g.stop()

	caddyfile, state := g.elsewhere("restored")
	if status, out := mcpOAuth(t, "restore", "--from", file, "--to", caddyfile); status == 0 || !strings.Contains(out, "encryption key") {
		t.Fatalf("restored beside another key: %d %s", status, out)
	}
	copyFile(t, filepath.Join(g.dir, "state.db.key"), state+".key")
	mustMCPOAuth(t, "restore", "--from", file, "--to", caddyfile)
	if status, out := mcpOAuth(t, "restore", "--from", file, "--to", caddyfile); status == 0 || !strings.Contains(out, "not empty") {
		t.Errorf("restored twice: %d %s", status, out)
	}
	copyFile(t, caddyfile, g.caddyfile())
	g.start()
	if !usable(t, g, held[0].Access) {
		t.Error("the access token from before is refused")
	}
	next, status, err := postToken(t.Context(), g, refreshForm(clientID, held[0].Refresh))
	if err != nil || status != http.StatusOK || !usable(t, g, next.Access) {
		t.Errorf("refresh after the restore: %d, %v", status, err)
	}
}

// A state file is moved to another place without anybody noticing, and made smaller.
func TestMigrateAndCompact(t *testing.T) {
	g := startGateway(t, config{backend: serveBackend(t, testmcp.Stateless(testmcp.NewServer())), adminAPI: true})
	c := newClient(t, newPerson())
	c.mustConnect(t, g.url, nil)
	held := c.wire.tokens()
	caddyfile, state := g.elsewhere("moved")
	copyFile(t, filepath.Join(g.dir, "state.db.key"), state+".key")
	if status, out := mcpOAuth(t, "migrate", "--from", g.caddyfile(), "--to", caddyfile); status == 0 || !strings.Contains(out, "another process has it open") {
		t.Fatalf("migrated from under a running gateway: %d %s", status, out)
	}
	g.stop()
	mustMCPOAuth(t, "migrate", "--from", g.caddyfile(), "--to", caddyfile)
	if out := mustMCPOAuth(t, "compact", "--config", caddyfile); !strings.Contains(out, "bytes") {
		t.Errorf("compact says %q", out)
	}
	copyFile(t, caddyfile, g.caddyfile())
	g.start()
	if !usable(t, g, held[0].Access) {
		t.Error("the access token from before is refused")
	}
}

// A mistake on the command line is told apart from a command that failed.
func TestStateCommandsExplainThemselves(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	plain := filepath.Join(dir, "Caddyfile")
	if err := os.WriteFile(plain, []byte(":1234 {\n\trespond hello\n}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	missing := filepath.Join(dir, "missing")
	for _, tc := range []struct {
		args   []string
		status int
		want   string
	}{
		{[]string{"backup"}, 2, "--to is missing"},
		{[]string{"backup", "--to", missing, "--from", "localhost:1", "--config", plain}, 2, "exclude each other"},
		{[]string{"backup", "--to", missing, "--from", "localhost:1"}, 1, "is Caddy running there"},
		{[]string{"backup", "--to", missing, "--config", plain}, 1, "does not use mcp_oauth"},
		{[]string{"restore", "--to", plain}, 2, "--from is missing"},
		{[]string{"restore", "--from", missing, "--to", plain}, 1, "no such file"},
		{[]string{"restore", "--from", plain, "--to", plain}, 1, "not an archive"},
		{[]string{"migrate", "--from", plain, "--to", plain, "more"}, 2, "unexpected"},
		{[]string{"migrate", "--from", missing, "--to", plain}, 1, "no such file"},
		{[]string{"compact"}, 2, "--config is missing"},
		{[]string{"compact", "--nonsense"}, 2, "unknown flag"},
	} {
		status, out := mcpOAuth(t, tc.args...)
		if status != tc.status || !strings.Contains(out, tc.want) {
			t.Errorf("%v: exit status %d, want %d with %q:\n%s", tc.args, status, tc.status, tc.want, out)
		}
	}
	if _, err := os.Stat(missing); err == nil {
		t.Error("a failed backup left a file behind")
	}
}
