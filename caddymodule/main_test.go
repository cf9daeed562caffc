// SPDX-License-Identifier: Apache-2.0

package caddymodule

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"golang.org/x/crypto/bcrypt"

	_ "github.com/caddyserver/caddy/v2/modules/standard"
)

// Caddy's configuration is one per process: nothing in this package runs in
// parallel.

var update = flag.Bool("update", false, "rewrite the expected JSON of the golden tests")

// fakeSecret is a valid value of every secret: it is an encryption key too.
const fakeSecret = "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3I="

// adapt turns a Caddyfile into JSON and returns the warnings too.
func adapt(input string) ([]byte, []caddyconfig.Warning, error) {
	adapter := caddyconfig.GetAdapter("caddyfile")
	return adapter.Adapt([]byte(input), map[string]any{"filename": "Caddyfile"})
}

func mustAdapt(t *testing.T, input string) []byte {
	t.Helper()
	out, _, err := adapt(input)
	if err != nil {
		t.Fatalf("adapt: %v", err)
	}
	return out
}

// isolate gives a configuration its own data directory and no admin endpoint.
func isolate(t *testing.T, config []byte) []byte {
	t.Helper()
	dir := t.TempDir()
	t.Setenv("XDG_DATA_HOME", dir)
	var m map[string]any
	if err := json.Unmarshal(config, &m); err != nil {
		t.Fatal(err)
	}
	m["admin"] = map[string]any{"disabled": true}
	m["storage"] = map[string]any{"module": "file_system", "root": filepath.Join(dir, "caddy")}
	if m["logging"] == nil {
		m["logging"] = map[string]any{"logs": map[string]any{"default": map[string]any{"level": "FATAL"}}}
	}
	out, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// validate provisions a configuration without starting it, as caddy validate.
func validate(t *testing.T, config []byte) error {
	t.Helper()
	var cfg caddy.Config
	if err := json.Unmarshal(isolate(t, config), &cfg); err != nil {
		t.Fatal(err)
	}
	return caddy.Validate(&cfg)
}

var (
	envPlaceholder  = regexp.MustCompile(`\{env\.([A-Za-z0-9_]+)\}`)
	filePlaceholder = regexp.MustCompile(`\{file\.([^{}]+)\}`)
)

// fakeSecrets gives every variable and file that a configuration mentions a
// value of the right form.
func fakeSecrets(t *testing.T, config string) string {
	t.Helper()
	hash, err := bcrypt.GenerateFromPassword([]byte("password"), 10)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range envPlaceholder.FindAllStringSubmatch(config, -1) {
		value := fakeSecret
		if strings.Contains(m[1], "HASH") {
			value = string(hash)
		}
		t.Setenv(m[1], value)
	}
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte(fakeSecret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return filePlaceholder.ReplaceAllString(config, "{file."+file+"}")
}

func newReplacer() *caddy.Replacer { return caddy.NewReplacer() }
