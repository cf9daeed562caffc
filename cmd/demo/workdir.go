// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"path/filepath"
)

// workdir is the temporary directory that holds everything a demo writes, but
// for the gateway's state where that is to be kept.
type workdir struct{ root, state string }

// newWorkdir makes the directory, readable by the user alone. An empty state is
// inside of it.
func newWorkdir(state string) (workdir, error) {
	root, err := os.MkdirTemp("", "mcp-demo-")
	if err != nil {
		return workdir{}, fmt.Errorf("make temporary directory: %w", err)
	}
	if state == "" {
		state = root
	}
	return workdir{root: root, state: state}, nil
}

func (w workdir) statePath() string  { return filepath.Join(w.state, "state.db") }
func (w workdir) configPath() string { return filepath.Join(w.root, "Caddyfile") }

// env keeps Caddy's own files, its saved configuration and its certificates,
// inside the directory too.
func (w workdir) env() []string {
	return append(os.Environ(),
		"XDG_DATA_HOME="+filepath.Join(w.root, "data"),
		"XDG_CONFIG_HOME="+filepath.Join(w.root, "config"))
}

// writeConfig writes the Caddyfile, which holds a password hash.
func (w workdir) writeConfig(text string) error {
	if err := os.WriteFile(w.configPath(), []byte(text), 0o600); err != nil {
		return fmt.Errorf("write Caddyfile: %w", err)
	}
	return nil
}

// remove deletes it all.
func (w workdir) remove() error {
	if err := os.RemoveAll(w.root); err != nil {
		return fmt.Errorf("remove temporary directory: %w", err)
	}
	return nil
}
