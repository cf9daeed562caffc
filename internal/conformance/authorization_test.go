// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/caddy-mcp/caddy-mcp-oauth/internal/chromium"
	"github.com/caddy-mcp/caddy-mcp-oauth/internal/testproc"
)

// The suite's own client signs in at the gateway, in a real browser, for every
// revision of the protocol. The client is registered first, because the suite
// wants an id; the suite prints an address and waits for the answer.
func TestAuthorizationSuite(t *testing.T) {
	dir := needSuite(t)
	browser := chromium.New(t)
	g := startGateway(t)
	for _, revision := range []string{"2025-03-26", "2025-06-18", "2025-11-25", "2026-07-28"} {
		t.Run(revision, func(t *testing.T) {
			port := testproc.FreePort(t)
			redirect := fmt.Sprintf("http://127.0.0.1:%d/callback", port)
			run := startAuthorization(t, dir, "--url", g.issuer, "--client-id", g.register(redirect),
				"--resource", g.resource(stateless), "--port", fmt.Sprint(port), "--spec-version", revision)
			tab := browser.Page(t)
			tab.Tolerate("favicon") // the suite has none, and by then no server either
			tab.Open(run.address())
			tab.Click("button[value=approve]")
			tab.WaitURL(redirect)
			got := run.verdicts()
			if diff := cmp.Diff(wantAuthorization(t, g, revision), got); diff != "" {
				t.Errorf("verdicts (-want +got):\n%s\n%s", diff, run.log.String())
			}
		})
	}
}

// wantAuthorization is success throughout. Whether client id metadata documents
// are on is the suite's question from 2025-11-25 on, and a recommendation.
func wantAuthorization(t *testing.T, g *gateway, revision string) map[string]string {
	t.Helper()
	resp, err := http.Get(g.issuer + "/.well-known/oauth-authorization-server") //nolint:noctx // loopback
	documents := decode[struct {
		Supported bool `json:"client_id_metadata_document_supported"`
	}](t, resp, err, http.StatusOK).Supported
	want := map[string]string{"authorization-server-metadata": "SUCCESS", "authorization-code-grant": "SUCCESS"}
	if revision >= "2025-11-25" {
		if want["authorization-server-metadata-cimd"] = "WARNING"; documents {
			want["authorization-server-metadata-cimd"] = "SUCCESS"
		}
	}
	return want
}

// authorization is a running suite that waits for somebody to sign in.
type authorization struct {
	t     *testing.T
	out   string
	lines chan string
	log   testproc.Log
	ended chan error
}

func startAuthorization(t *testing.T, dir string, args ...string) *authorization {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), suiteTimeout)
	t.Cleanup(cancel)
	a := &authorization{t: t, out: t.TempDir(), lines: make(chan string, 1000), ended: make(chan error, 1)}
	cmd := command(ctx, dir, a.out, append([]string{"authorization"}, args...)...)
	cmd.Stderr = &a.log
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		for in := bufio.NewScanner(io.TeeReader(stdout, &a.log)); in.Scan(); {
			a.lines <- in.Text()
		}
		close(a.lines)
		a.ended <- cmd.Wait()
	}()
	return a
}

// address is where the suite sends the person.
func (a *authorization) address() string {
	a.t.Helper()
	for line := range a.lines {
		if strings.Contains(line, "/authorize?") {
			return strings.TrimSpace(line)
		}
	}
	a.t.Fatalf("the suite ended without asking for a sign-in: %v\n%s", <-a.ended, a.log.String())
	return ""
}

// verdicts waits for the end and tells how each check went.
func (a *authorization) verdicts() map[string]string {
	a.t.Helper()
	for range a.lines { //nolint:revive // drained, so that the suite can write on
	}
	if err := <-a.ended; err != nil {
		a.t.Errorf("the suite is not content: %v", err)
	}
	checks, err := readChecks(a.out)
	if err != nil {
		a.t.Fatal(err)
	}
	got := map[string]string{}
	for _, c := range checks {
		got[c.ID] = c.Status
		if c.Status == "FAILURE" {
			note, _ := json.Marshal(c.Details) // for people
			a.t.Logf("%s: %s\n%s", c.ID, c.Message, note)
		}
	}
	return got
}
