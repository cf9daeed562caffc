// SPDX-License-Identifier: Apache-2.0

package compat

import (
	"encoding/json"
	"net/url"
	"slices"
	"testing"
)

func clients(t *testing.T) []*Client {
	t.Helper()
	all, err := Load()
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// Every client signs in, calls and refreshes on each of its connections, and
// judges what it saw by its own rules.
func TestClientsConnect(t *testing.T) {
	t.Parallel()
	for _, c := range clients(t) {
		for _, conn := range c.Connections {
			t.Run(c.Name+"/"+conn.Name, func(t *testing.T) {
				t.Parallel()
				r := newReplay(t, c, conn)
				r.connect()
				judge(t, c, r.seen)
			})
		}
	}
}

// judge applies the client's rules. One that it is known to fail on must fail, or
// the file is out of date.
func judge(t *testing.T, c *Client, seen *Seen) {
	t.Helper()
	for _, name := range c.Insists {
		rule, ok := RuleNamed(name)
		if !ok {
			t.Fatalf("there is no rule %q", name)
		}
		err := rule.Check(seen)
		switch known := c.Fails != nil && c.Fails.Rule == name; {
		case err != nil && !known:
			t.Errorf("%s insists that %s: %v", c.Name, rule.Says, err)
		case err == nil && known:
			t.Errorf("%s works now: remove \"fails\" from its file", c.Name)
		}
	}
}

// Every habit of every client, in a world of its own.
func TestClientsHabits(t *testing.T) {
	t.Parallel()
	used := map[string]bool{}
	for _, c := range clients(t) {
		for _, name := range c.Habits {
			habit, ok := habits[name]
			if !ok {
				t.Errorf("%s: there is no habit %q", c.Name, name)
				continue
			}
			used[name] = true
			t.Run(c.Name+"/"+name, func(t *testing.T) {
				t.Parallel()
				habit(newReplay(t, c, c.Connections[0]))
			})
		}
	}
	for name := range habits {
		if !used[name] {
			t.Errorf("no client %s", name)
		}
	}
}

// rows are the clients the project promises to look after. One that loses its file
// is missed here.
var rows = []string{
	"ChatGPT", "Claude (web, desktop, mobile)", "Claude Code", "Cline", "Codex CLI and app",
	"Copilot Studio and Power Platform", "Cursor", "Gemini CLI", "GitHub Copilot CLI", "Go SDK", "Goose (rmcp)", "Grok",
	"Grok Bot", "Le Chat (Mistral)", "MCP Inspector 1", "MCP Inspector 2", "Perplexity", "TypeScript SDK 1",
	"TypeScript SDK 2", "VS Code and GitHub Copilot", "mcp-remote", "opencode",
}

func TestEveryClientHasAFile(t *testing.T) {
	t.Parallel()
	var names []string
	for _, c := range clients(t) {
		names = append(names, c.Name)
		if len(c.Evidence) == 0 || len(c.Connections) == 0 || len(c.Insists) == 0 {
			t.Errorf("%s has no evidence, no connection or no rule", c.Name)
		}
		if !slices.Contains([]string{"source", "wire", "captured", "documented", "reported"}, c.Known) {
			t.Errorf("%s: known by %q", c.Name, c.Known)
		}
		if c.Fails != nil && !slices.Contains(c.Insists, c.Fails.Rule) {
			t.Errorf("%s fails on a rule it does not insist on", c.Name)
		}
	}
	slices.Sort(names)
	if !slices.Equal(names, rows) {
		t.Errorf("files for %q, want %q", names, rows)
	}
}

// What a client asks for is what it registers, except for the port of a loopback
// address: a file that says otherwise would test the test.
func TestConnectionsUseRegisteredRedirects(t *testing.T) {
	t.Parallel()
	for _, c := range clients(t) {
		var reg struct {
			URIs []string `json:"redirect_uris"`
		}
		if err := json.Unmarshal(c.Registration, &reg); err != nil {
			t.Fatal(err)
		}
		used := map[string]bool{}
		for _, conn := range c.Connections {
			i := slices.IndexFunc(reg.URIs, func(uri string) bool { return withoutPort(t, uri) == withoutPort(t, conn.Redirect) })
			if i < 0 {
				t.Errorf("%s: %s is not registered", c.Name, conn.Redirect)
				continue
			}
			used[withoutPort(t, reg.URIs[i])] = true
		}
		for _, uri := range reg.URIs {
			if !used[withoutPort(t, uri)] {
				t.Errorf("%s: no connection comes back to %s", c.Name, uri)
			}
		}
	}
}

// withoutPort drops the port of a loopback URL.
func withoutPort(t *testing.T, uri string) string {
	t.Helper()
	u, err := url.Parse(uri)
	if err != nil {
		t.Fatal(err)
	}
	if u.Scheme == "http" {
		u.Host = u.Hostname()
	}
	return u.String()
}
