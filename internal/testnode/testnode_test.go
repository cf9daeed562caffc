// SPDX-License-Identifier: Apache-2.0

package testnode

import (
	"os"
	"path/filepath"
	"testing"
	"testing/fstest"
)

// An installation that failed leaves nothing behind that the next run would take for a
// complete one.
func TestBrokenInstallationLeavesNothing(t *testing.T) {
	t.Parallel()
	cache := t.TempDir()
	for name, source := range map[string]fstest.MapFS{
		"no lock file":  {"package.json": {Data: []byte(`{}`)}},
		"no JSON":       {"package.json": {Data: []byte(`{`)}, "package-lock.json": {Data: []byte(`{`)}},
		"nothing there": {},
	} {
		if dir, err := install(source, cache, "broken"); err == nil {
			t.Errorf("%s: installed into %s", name, dir)
		}
		left, err := filepath.Glob(filepath.Join(cache, "*"))
		if err != nil || len(left) > 0 {
			t.Errorf("%s: left %v, %v", name, left, err)
		}
	}
}

// What a developer has built or installed in the source tree is not what is tested.
func TestCopyLeavesOutWhatWasBuilt(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	err := copySources(fstest.MapFS{
		"a.ts": {Data: []byte("a")}, "lib/b.ts": {Data: []byte("b")},
		"node_modules/jose/index.js": {}, "dist/a.js": {}, "lib/dist/c.js": {},
	}, dir)
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]bool{
		"a.ts": true, "lib/b.ts": true, "node_modules": false, "dist": false, "lib/dist": false,
	} {
		if _, err := os.Stat(filepath.Join(dir, path)); (err == nil) != want {
			t.Errorf("%s: %v", path, err)
		}
	}
}
