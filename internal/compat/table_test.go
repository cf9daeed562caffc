// SPDX-License-Identifier: Apache-2.0

package compat

import (
	"encoding/json"
	"flag"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the table of docs/clients.md anew")

const pageFile = "../../docs/clients.md"

// The page says what the files say.
func TestTableIsUpToDate(t *testing.T) {
	page, err := os.ReadFile(pageFile)
	if err != nil {
		t.Fatal(err)
	}
	want, err := Insert(string(page), Table(clients(t)))
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(pageFile, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(strings.Split(string(page), "\n"), strings.Split(want, "\n")); diff != "" {
		t.Errorf("docs/clients.md is out of date, run: go test ./internal/compat -update\n(-page +want):\n%s", diff)
	}
}

// What the table claims and does not claim.
func TestTable(t *testing.T) {
	t.Parallel()
	got := Table([]*Client{
		{
			Name: "Beta", Known: "reported", Registration: json.RawMessage(`{}`),
			Connections: []Connection{{Redirect: "https://beta.example/cb"}, {Redirect: "https://beta.example/other"}, {Redirect: "beta://x/y"}},
			Fails:       &Failure{Rule: "secret", Why: "it wants a secret"},
		},
		{
			Name: "alpha", Known: "wire", Ran: "1.0 by hand", Registration: json.RawMessage(`{"token_endpoint_auth_method":"none"}`),
			Connections: []Connection{{Redirect: "http://localhost:1/cb"}}, Document: &Document{},
		},
	})
	want := []string{
		"| client | registers | comes back to | replayed | run for real | known from |",
		"|---|---|---|---|---|---|",
		"| alpha | public; has a metadata document | `localhost, any port` | signs in, calls, refreshes | 1.0 by hand | its source and recordings |",
		"| Beta | with a secret | `beta.example`, `beta://` | **fails**: it wants a secret | – | public reports |",
		"",
	}
	if diff := cmp.Diff(want, strings.Split(got, "\n")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestInsert(t *testing.T) {
	t.Parallel()
	got, err := Insert("a\n"+TableBegin+"\nold\n"+TableEnd+"\nb\n", "new\n")
	if want := "a\n" + TableBegin + "\nnew\n" + TableEnd + "\nb\n"; err != nil || got != want {
		t.Errorf("%q, %v; want %q", got, err, want)
	}
	for _, page := range []string{
		"", TableBegin, TableEnd, TableEnd + TableBegin, TableBegin + TableEnd + TableBegin, TableBegin + TableEnd + TableEnd,
	} {
		if got, err := Insert(page, "new"); err == nil {
			t.Errorf("%q became %q", page, got)
		}
	}
}

// Nobody reads "run for real" as anything but that: only programs that the
// end-to-end tests start, or that somebody started by hand, may claim it.
func TestOnlyTheseWereRun(t *testing.T) {
	t.Parallel()
	var ran []string
	for _, c := range clients(t) {
		if c.Ran != "" {
			ran = append(ran, c.Name)
		}
	}
	slices.Sort(ran)
	if diff := cmp.Diff([]string{"Go SDK", "MCP Inspector 2", "TypeScript SDK 1", "TypeScript SDK 2"}, ran); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// The pinned versions of the end-to-end tests are the ones the table names.
func TestRunVersionsArePinned(t *testing.T) {
	t.Parallel()
	pins := map[string]string{
		"TypeScript SDK 1": `"@modelcontextprotocol/sdk": "`, "TypeScript SDK 2": `"@modelcontextprotocol/client": "`,
		"Go SDK": "github.com/modelcontextprotocol/go-sdk v",
	}
	var text string
	for _, name := range []string{"../e2e/node/package.json", "../../go.mod"} {
		content, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		text += string(content)
	}
	for _, c := range clients(t) {
		if pin := pins[c.Name]; pin != "" {
			version, _, _ := strings.Cut(c.Ran, " ")
			if !strings.Contains(text, pin+version) {
				t.Errorf("%s was run as %s, which is not pinned", c.Name, version)
			}
		}
	}
}
