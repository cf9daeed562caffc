// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// The report as people see it, of a server that is well and of one on which
// several things are wrong at once.
func TestTextReport(t *testing.T) {
	t.Parallel()
	for name, w := range map[string]*world{
		"healthy": newWorld(t, nil),
		"broken": newWorld(t, both(
			challengeIs(`Bearer realm="mcp", error="invalid_token", resource_metadata=`+publicOrigin+wellKnownResource),
			edited(wellKnownResource, map[string]any{"resource": "http://mcp.example.com/mcp"}),
			edited(wellKnownServer, map[string]any{"code_challenge_methods_supported": nil}),
			at(wellKnownServer+"/mcp", cors(status(401))),
		)),
	} {
		got := text(t, w.examine(publicURL))
		for line := range strings.Lines(got) {
			if n := len([]rune(strings.TrimRight(line, "\n"))); n > textWidth && strings.Count(strings.TrimSpace(line), " ") > 1 {
				t.Errorf("%s: a line of %d: %s", name, n, line)
			}
		}
		path := filepath.Join("testdata", name+".txt")
		if *update {
			if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// The JSON is for programs: its names are fixed, and it says the same.
func TestJSONReport(t *testing.T) {
	t.Parallel()
	r := newWorld(t, challengeIs("")).examine(publicURL)
	var b strings.Builder
	if err := r.WriteJSON(&b); err != nil {
		t.Fatal(err)
	}
	var got struct {
		URL     string
		Time    string
		Failed  bool
		Checks  []struct{ ID, Status, Summary, Mend string }
		Clients []struct {
			ID, Name string
			Works    bool
			Notes    []struct{ Check, Why string }
		}
	}
	dec := json.NewDecoder(strings.NewReader(b.String()))
	if err := dec.Decode(&got); err != nil {
		t.Fatal(err)
	}
	if got.URL != publicURL || !got.Failed || got.Time == "" || len(got.Checks) != len(r.Checks) || len(got.Clients) != len(families) {
		t.Errorf("%s", b.String())
	}
	for i, c := range got.Checks {
		if c.ID != r.Checks[i].ID || c.Status != string(r.Checks[i].Status) || c.Summary == "" {
			t.Errorf("%+v", c)
		}
	}
	for _, c := range got.Clients {
		if !c.Works || len(c.Notes) == 0 || c.Notes[0].Check != checkChallenge {
			t.Errorf("%+v", c)
		}
	}
}
