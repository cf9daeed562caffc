// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
	"github.com/caddy-mcp/caddy-mcp-oauth/storage/bolt"
)

// Nobody waits for an hour to pass in a test, and the program under test has no
// clock but the machine's. So while it does not run, its state is made older.

// aged stops the gateway, lets a time pass since a person was checked at their
// provider, and starts it again. Edits change more of what is known about them.
func (g *gateway) aged(subject string, by time.Duration, edits ...func(*storage.Account)) {
	g.t.Helper()
	g.stop()
	g.editAccount(subject, append(edits, func(a *storage.Account) { a.CheckedAt = a.CheckedAt.Add(-by) })...)
	g.start()
}

// editAccount changes the record of a person, while the gateway does not run.
func (g *gateway) editAccount(subject string, edits ...func(*storage.Account)) {
	g.t.Helper()
	store, err := bolt.Open(filepath.Join(g.dir, "state.db"), bolt.Options{SweepInterval: -1})
	if err != nil {
		g.t.Fatal(err)
	}
	defer func() {
		if err := store.Close(); err != nil {
			g.t.Fatal(err)
		}
	}()
	account, err := store.Account(g.t.Context(), subject)
	if err != nil {
		g.t.Fatalf("account %s: %v", subject, err)
	}
	for _, edit := range edits {
		edit(account)
	}
	if err := store.ReplaceAccount(g.t.Context(), account); err != nil {
		g.t.Fatalf("replace account %s: %v", subject, err)
	}
}

// dropToken is an account whose upstream token is not kept.
func dropToken(a *storage.Account) { a.Token = "" }

// logged are the lines of Caddy's log with this message. What it wrote last may not
// have arrived yet, unless it was stopped.
func (g *gateway) logged(message string) []map[string]any {
	var found []map[string]any
	for line := range strings.Lines(g.log.String()) {
		var entry map[string]any
		if json.Unmarshal([]byte(line), &entry) == nil && entry["msg"] == message {
			found = append(found, entry)
		}
	}
	return found
}

// mustLog wants a line with this message and these fields.
func (g *gateway) mustLog(t *testing.T, message string, fields map[string]any) {
	t.Helper()
	eventually(t, fmt.Sprintf("a line %q with %v", message, fields), func() bool {
		return slices.ContainsFunc(g.logged(message), func(line map[string]any) bool {
			for name, want := range fields {
				if line[name] != want {
					return false
				}
			}
			return true
		})
	})
}

// mustLogTimes stops the gateway and counts the lines with this message.
func (g *gateway) mustLogTimes(t *testing.T, message string, want int) {
	t.Helper()
	g.stop()
	if lines := g.logged(message); len(lines) != want {
		t.Errorf("%q is logged %d times, want %d: %v", message, len(lines), want, lines)
	}
}
