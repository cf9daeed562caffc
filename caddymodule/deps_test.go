// SPDX-License-Identifier: Apache-2.0

package caddymodule

import (
	"os/exec"
	"strings"
	"testing"
)

const modulePath = "github.com/caddy-mcp/caddy-mcp-oauth"

// TestOnlyTheEdgeImportsCaddy keeps the protocol free of the server it runs in:
// it can be read, tested and used without.
func TestOnlyTheEdgeImportsCaddy(t *testing.T) {
	out, err := exec.Command("go", "list", "-f", `{{.ImportPath}}{{range .Deps}} {{.}}{{end}}`, modulePath+"/...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	edge, core := 0, 0
	for line := range strings.Lines(string(out)) {
		pkg, deps, _ := strings.Cut(strings.TrimSpace(line), " ")
		if isEdge(pkg) {
			edge++
			continue
		}
		core++
		for dep := range strings.FieldsSeq(deps) {
			if strings.HasPrefix(dep, "github.com/caddyserver/caddy/") {
				t.Errorf("%s depends on %s", pkg, dep)
				break
			}
		}
	}
	if edge < 2 || core < 5 {
		t.Errorf("found %d packages at the edge and %d in the core; the test proves nothing", edge, core)
	}
}

// isEdge lists who may import Caddy. The engines for clusters have a Caddy
// wrapper of their own.
func isEdge(pkg string) bool {
	rel := strings.TrimPrefix(strings.TrimPrefix(pkg, modulePath), "/")
	return rel == "" || rel == "caddymodule" || strings.HasPrefix(rel, "caddymodule/") ||
		strings.HasPrefix(rel, "cmd/") || strings.HasPrefix(rel, "internal/cluster/cmd/")
}

// TestAPlainBuildHasNoDrivers: whoever keeps the state in bbolt does not pay for the
// stores of clusters, nor for what only tests need.
func TestAPlainBuildHasNoDrivers(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", modulePath).Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	if !strings.Contains(string(out), "go.etcd.io/bbolt") {
		t.Fatal("the list is not that of a build; the test proves nothing")
	}
	for _, unwanted := range []string{"github.com/redis/", "github.com/zitadel/", modulePath + "/storage/redis", modulePath + "/storage/postgres", "net/http/httptest"} {
		if strings.Contains(string(out), unwanted) {
			t.Errorf("a plain build links %s", unwanted)
		}
	}
}
