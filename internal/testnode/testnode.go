// SPDX-License-Identifier: Apache-2.0

// Package testnode gives tests a directory with Node.js sources and the packages that
// their lock file pins.
package testnode

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/caddy-mcp/caddy-mcp-oauth/internal/testreq"
)

// installTime bounds one installation.
const installTime = 5 * time.Minute

// lockFiles decide what is installed.
var lockFiles = []string{"package.json", "package-lock.json"}

// installing keeps tests of one process from installing the same packages twice.
var installing sync.Mutex

// Dir copies source into a new directory, without what is built or installed there, and
// puts the packages of its package-lock.json beside it. They are installed once per
// machine and lock file, into the user's cache under name. The test is skipped or fails
// where Node.js, npm or the packages cannot be had, see package testreq.
func Dir(t testing.TB, source fs.FS, name string) string {
	t.Helper()
	_, nodeErr := exec.LookPath("node")
	_, npmErr := exec.LookPath("npm")
	testreq.Need(t, "Node.js and npm", nodeErr == nil && npmErr == nil, "install Node.js 20 or newer")
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	packages, err := install(source, filepath.Join(cache, "caddy-mcp-oauth"), name)
	testreq.Need(t, "the npm packages of "+name, err == nil, fmt.Sprint(err))
	dir := t.TempDir()
	if err := copySources(source, dir); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(packages, filepath.Join(dir, "node_modules")); err != nil {
		t.Fatal(err)
	}
	return dir
}

// install returns the node_modules of a lock file.
func install(source fs.FS, cache, name string) (string, error) {
	installing.Lock()
	defer installing.Unlock()
	sum := sha256.New()
	for _, file := range lockFiles {
		content, err := fs.ReadFile(source, file)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(sum, "%s %d\n%s", file, len(content), content)
	}
	target := filepath.Join(cache, name+"-"+hex.EncodeToString(sum.Sum(nil)[:8]))
	modules := filepath.Join(target, "node_modules")
	if _, err := os.Stat(modules); err == nil {
		return modules, nil
	}
	return modules, npmInstall(source, target)
}

// npmInstall fills a directory beside target and renames it, so that a broken
// installation is never taken for a complete one.
func npmInstall(source fs.FS, target string) error {
	if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
		return err
	}
	temp, err := os.MkdirTemp(filepath.Dir(target), "installing-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(temp) }()
	for _, file := range lockFiles {
		content, err := fs.ReadFile(source, file)
		if err == nil {
			err = os.WriteFile(filepath.Join(temp, file), content, 0o600)
		}
		if err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), installTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
	cmd.Dir, cmd.WaitDelay = temp, time.Second
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("npm ci: %w\n%s", err, out)
	}
	if err := os.Rename(temp, target); err != nil && !errors.Is(err, fs.ErrExist) {
		// Another process may have been faster.
		if _, statErr := os.Stat(filepath.Join(target, "node_modules")); statErr != nil {
			return err
		}
	}
	return nil
}

func copySources(source fs.FS, dir string) error {
	return fs.WalkDir(source, ".", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == "node_modules" || d.Name() == "dist"):
			return fs.SkipDir
		case d.IsDir():
			return os.MkdirAll(filepath.Join(dir, path), 0o700)
		}
		content, err := fs.ReadFile(source, path)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(dir, path), content, 0o600)
	})
}
