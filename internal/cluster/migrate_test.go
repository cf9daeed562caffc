// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// mover moves the state of one gateway from store to store, with the commands.
type mover struct {
	t    *testing.T
	g    *gateway
	from string // the line of the store in the gateway's Caddyfile
}

// config is the gateway's configuration with another store.
func (m mover) config(name, line string) string {
	m.t.Helper()
	text, err := os.ReadFile(m.g.caddyfile())
	if err != nil {
		m.t.Fatal(err)
	}
	changed := strings.Replace(string(text), m.from, line, 1)
	if line != m.from && changed == string(text) {
		m.t.Fatalf("the configuration has no %q:\n%s", m.from, text)
	}
	file := filepath.Join(m.t.TempDir(), name+".caddyfile")
	if err := os.WriteFile(file, []byte(changed), 0o600); err != nil {
		m.t.Fatal(err)
	}
	return file
}

// run runs a command of the built binary.
func (m mover) run(args ...string) (out string, ok bool) {
	m.t.Helper()
	cmd := exec.CommandContext(m.t.Context(), caddy.Path(m.t), append([]string{"mcp-oauth"}, args...)...)
	cmd.Env = append(append(os.Environ(), "XDG_DATA_HOME="+m.t.TempDir(), "XDG_CONFIG_HOME="+m.t.TempDir()), m.g.env...)
	raw, err := cmd.CombinedOutput()
	return string(raw), err == nil
}

func (m mover) must(args ...string) {
	m.t.Helper()
	if out, ok := m.run(args...); !ok {
		m.t.Fatalf("%v: %s", args, out)
	}
}

// serve has a server listen where a Caddyfile can say it.
func serve(t *testing.T, s store) (line string) {
	t.Helper()
	return s.line(openLink(t, (*namespace)(nil).listen(t, "127.0.0.1:0"), s.dial).addr())
}

// goesOn starts one gateway with a configuration: a person who signed in before the
// move notices nothing, and what was used up stays used up.
func (m mover) goesOn(config string, alice client, held tokens) {
	m.t.Helper()
	text, err := os.ReadFile(config)
	if err != nil {
		m.t.Fatal(err)
	}
	m.g.configure(string(text))
	m.g.start()
	defer m.g.stop()
	alice = alice.via(at(m.g.name))
	alice.mustGet(m.t, held.Access, http.StatusOK)
	next, a, err := alice.refresh(m.t.Context(), held.Refresh)
	if err != nil || a.status != http.StatusOK {
		m.t.Fatalf("refresh after the move: %d %s %v", a.status, a.body, err)
	}
	alice.mustGet(m.t, next.Access, http.StatusOK)
	if _, a, err := alice.refresh(m.t.Context(), next.Refresh); err != nil || a.status != http.StatusOK {
		m.t.Errorf("the refresh after that: %d %s %v", a.status, a.body, err)
	}
}

// A growing company moves from Redis to one file, to PostgreSQL and back to another
// Redis, and restores last night's backup into another PostgreSQL. Nobody signs in
// again.
func TestStateMovesBetweenAllStores(t *testing.T) {
	t.Parallel()
	c := startCluster(t, startRedis(t), options{})
	alice := c.mustRegister(t, at(""))
	held := alice.mustSignIn(t)
	gone := alice.mustSignIn(t)
	if a, err := alice.revoke(t.Context(), gone.Refresh); err != nil || a.status != http.StatusOK {
		t.Fatalf("revoke: %d %v", a.status, err)
	}
	for _, g := range c.gateways {
		g.stop()
	}
	a := c.gateways["A"]
	m := mover{t, a, c.store.line(a.link.addr())}
	first := m.config("redis", m.from)
	file := m.config("bolt", "storage bolt "+filepath.Join(t.TempDir(), "state.db"))
	sql := m.config("postgres", serve(t, startPostgres(t)))
	second := m.config("redis2", serve(t, startRedis(t)))
	restored := m.config("postgres2", serve(t, startPostgres(t)))
	backup := filepath.Join(t.TempDir(), "backup.ndjson")

	m.must("backup", "--config", first, "--to", backup)
	m.must("migrate", "--from", first, "--to", file)
	m.must("migrate", "--from", file, "--to", sql)
	m.must("migrate", "--from", sql, "--to", second)
	m.must("restore", "--from", backup, "--to", restored)
	if out, ok := m.run("migrate", "--from", file, "--to", sql); ok || !strings.Contains(out, "not empty") {
		t.Errorf("migrated into a store that is in use: %s", out)
	}
	for name, config := range map[string]string{"redis again": second, "the restored backup": restored} {
		m.goesOn(config, alice, held)
		if t.Failed() {
			t.Fatal(name)
		}
	}
	// Both went on from the same tokens, as two histories do. In neither is what was
	// revoked before the move.
	a.start()
	if got := alice.via(at("A")).status(t, gone.Access); got != http.StatusUnauthorized {
		t.Errorf("a token that was revoked before the move got %d", got)
	}
}
