// SPDX-License-Identifier: Apache-2.0

package token_test

import (
	"encoding/base64"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/caddy-mcp/caddy-mcp-oauth/token"
)

func TestParseKey(t *testing.T) {
	t.Parallel()
	raw := []byte(strings.Repeat("\xfb\xff", 16))
	for name, s := range map[string]string{
		"standard":     base64.StdEncoding.EncodeToString(raw),
		"unpadded":     base64.RawStdEncoding.EncodeToString(raw),
		"url alphabet": base64.URLEncoding.EncodeToString(raw),
		"newline":      base64.StdEncoding.EncodeToString(raw) + "\n",
	} {
		k, err := token.ParseKey(s)
		if err != nil || string(k[:]) != string(raw) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, s := range map[string]string{
		"empty": "", "short": "c2hvcnQtc2VjcmV0", "long": strings.Repeat("A", 60), "not base64": "hunter2-hunter2-hunter2-hunter2-hunter2-!!",
	} {
		_, err := token.ParseKey(s)
		if err == nil {
			t.Errorf("%s is accepted", name)
		} else if s != "" && strings.Contains(err.Error(), s) {
			t.Errorf("%s: the error repeats the secret: %v", name, err)
		}
	}
}

func TestKeyFileIsPrivateAndStable(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "sub", "encryption.key")
	first, err := token.LoadOrCreateKey(path)
	if err != nil {
		t.Fatal(err)
	}
	if fi, err := os.Stat(path); err != nil || fi.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v; want 0600", fi.Mode(), err)
	}
	again, err := token.LoadOrCreateKey(path)
	if err != nil || again != first {
		t.Errorf("the key changed on the second read: %v", err)
	}
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(path), ".key-*")); len(left) > 0 {
		t.Errorf("temporary files are left: %v", left)
	}
}

// Two gateways started at the same moment must not end up with different keys:
// one of them would refuse every token of the other.
func TestKeyFileCreatedByManyAtOnce(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "encryption.key")
	keys := make([]token.Key, 64)
	var wg sync.WaitGroup
	for i := range keys {
		wg.Go(func() {
			k, err := token.LoadOrCreateKey(path)
			if err != nil {
				t.Error(err)
			}
			keys[i] = k
		})
	}
	wg.Wait()
	for _, k := range keys {
		if k != keys[0] {
			t.Fatal("two callers got different keys")
		}
	}
}

// A damaged key file is reported, never replaced: a new key would log everybody
// out and make what was encrypted with the old one unreadable.
func TestDamagedKeyFileIsNotReplaced(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "encryption.key")
	if err := os.WriteFile(path, []byte("not a key\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := token.LoadOrCreateKey(path)
	if err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("error %v does not name the file", err)
	}
	if b, _ := os.ReadFile(path); string(b) != "not a key\n" {
		t.Errorf("the file was changed to %q", b)
	}
}
