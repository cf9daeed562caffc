// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"encoding/base64"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The files that people copy are what the binary they are for accepts, without a
// warning.
func TestExampleFiles(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("../../examples/three-machines/*.Caddyfile")
	if err != nil || len(files) < 3 {
		t.Fatalf("the examples are missing: %v %v", files, err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			content, err := os.ReadFile(file)
			if err != nil || strings.Contains(string(content), "{$") {
				t.Errorf("uses {$NAME}, whose value GET /config/ shows; use {env.NAME}; %v", err)
			}
			cmd := exec.Command(caddy.Path(t), "validate", "--adapter", "caddyfile", "--config", file)
			dir := t.TempDir()
			cmd.Env = append(os.Environ(), "XDG_DATA_HOME="+dir, "XDG_CONFIG_HOME="+dir,
				"MCP_OAUTH_KEY="+base64.StdEncoding.EncodeToString(make([]byte, 32)),
				"REDIS_PASSWORD=x", "POSTGRES_PASSWORD=x", "GITHUB_CLIENT_ID=x", "GITHUB_CLIENT_SECRET=x")
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			for line := range strings.Lines(string(out)) {
				if strings.Contains(line, `"level":"warn"`) && !strings.Contains(line, "HTTP/2 skipped") && !strings.Contains(line, "HTTP/3 skipped") {
					t.Errorf("a warning: %s", line)
				}
			}
		})
	}
}
