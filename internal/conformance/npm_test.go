// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"crypto/sha256"
	"embed"
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

// nodeFiles are the pinned suite and what lets it run.
//
//go:embed node/*.mjs node/package.json node/package-lock.json
var nodeFiles embed.FS

// npmTimeout bounds the one installation of a machine.
const npmTimeout = 5 * time.Minute

// needSuite returns a directory with the suite installed, or skips or fails the
// test.
func needSuite(t *testing.T) string {
	t.Helper()
	_, nodeErr := exec.LookPath("node")
	_, npmErr := exec.LookPath("npm")
	testreq.Need(t, "Node.js and npm", nodeErr == nil && npmErr == nil, "install Node.js 20 or newer")
	dir, err := suiteDir()
	testreq.Need(t, "the npm packages of internal/conformance/node", err == nil, fmt.Sprint(err))
	return dir
}

// suiteDir installs the suite. The installation is kept in the user's cache by the
// hash of all it was made from: it happens once per machine and version.
var suiteDir = sync.OnceValues(func() (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	sum := sha256.New()
	err = fs.WalkDir(nodeFiles, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := nodeFiles.ReadFile(path)
		fmt.Fprintf(sum, "%s %d\n%s", path, len(content), content)
		return err
	})
	if err != nil {
		return "", err
	}
	target := filepath.Join(cache, "caddy-mcp-oauth", "conformance-"+hex.EncodeToString(sum.Sum(nil)[:8]))
	if _, err := os.Stat(target); err == nil {
		return target, nil
	}
	return target, npmInstall(target)
})

// npmInstall fills a directory beside target and renames it, so that a broken
// installation is never taken for a complete one.
func npmInstall(target string) error {
	if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
		return err
	}
	temp, err := os.MkdirTemp(filepath.Dir(target), "installing-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(temp) }()
	files, err := fs.Sub(nodeFiles, "node")
	if err != nil {
		return err
	}
	if err := os.CopyFS(temp, files); err != nil {
		return err
	}
	cmd := exec.Command("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
	cmd.Dir = temp
	cmd.WaitDelay = time.Second
	timer := time.AfterFunc(npmTimeout, func() { _ = cmd.Process.Kill() })
	defer timer.Stop()
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("npm ci: %w\n%s", err, out)
	}
	if err := os.Rename(temp, target); err != nil && !errors.Is(err, fs.ErrExist) {
		// Another test run may have been faster.
		if _, statErr := os.Stat(target); statErr != nil {
			return err
		}
	}
	return nil
}
