// SPDX-License-Identifier: Apache-2.0

package caddymodule

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"

	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"

	"github.com/caddy-mcp/caddy-mcp-oauth/internal/archive"
)

const backupLong = `
Writes all registered clients, accounts, grants, sessions and signing keys into a
file, readable by its owner only: consistent, while Caddy runs, through its admin
API. With --config the store of that configuration is read instead; with bolt
Caddy must not be running then.

The file holds hashes of tokens and secrets, names and e-mail addresses. It does
not hold the encryption key, without which it is worth little. Keep a copy of that
key elsewhere: what encryption_key says, or the file <state file>.key.
`

func backupCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "backup --to <file> [--from <admin address> | --config <file> [--adapter <name>]]",
		Short: "Writes the state into a file",
		Long:  backupLong,
		Example: "  caddy mcp-oauth backup --to backup.ndjson\n" +
			"  caddy mcp-oauth backup --to backup.ndjson --from unix//run/caddy/admin.sock",
		Args: cobra.ArbitraryArgs,
		RunE: runBackup,
	}
	cmd.Flags().String("to", "", "The file to write; it must not exist")
	cmd.Flags().String("from", caddy.DefaultAdminListen, "The admin address of the running Caddy")
	cmd.Flags().String("config", "", "Read the store of this configuration instead")
	addAdapterFlag(cmd)
	return cmd
}

func runBackup(cmd *cobra.Command, args []string) error {
	to, config := flagValue(cmd, "to"), flagValue(cmd, "config")
	switch {
	case len(args) > 0:
		return usage(cmd, fmt.Errorf("unexpected %q", args[0]))
	case to == "":
		return usage(cmd, errors.New("--to is missing: the file to write"))
	case config != "" && cmd.Flags().Changed("from"):
		return usage(cmd, errors.New("--from and --config exclude each other"))
	}
	fetch := func(w io.Writer) error { return backupRunning(flagValue(cmd, "from"), w) }
	if config != "" {
		fetch = func(w io.Writer) error { return backupOffline(cmd.Context(), config, adapterFlag(cmd), w) }
	}
	records, err := writeBackup(to, fetch)
	if err != nil {
		return err
	}
	return say(cmd, "wrote %d records into %s", records, to)
}

// backupRunning asks the admin API of a running Caddy.
func backupRunning(address string, w io.Writer) error {
	resp, err := caddycmd.AdminAPIRequest(address, http.MethodGet, backupPath, nil, nil)
	if err != nil {
		return fmt.Errorf("%w; is Caddy running there with mcp_oauth? Otherwise use --config", err)
	}
	defer resp.Body.Close()
	_, err = io.Copy(w, resp.Body)
	return err
}

func backupOffline(ctx context.Context, config, adapter string, w io.Writer) error {
	source, err := openOffline(ctx, config, adapter)
	if err != nil {
		return err
	}
	out, err := source.archive()
	if err == nil {
		h := archive.Header{CreatedAt: timeNow(), KeyCheck: source.ring.KeyCheck()}
		_, err = archive.Write(w, h, out.Export(ctx))
	}
	return errors.Join(err, source.store.Close())
}

// writeBackup puts a file in place that is complete and verified, or none.
func writeBackup(to string, fetch func(io.Writer) error) (records int, err error) {
	if _, err := os.Lstat(to); err == nil {
		return 0, fmt.Errorf("%s exists already", to)
	}
	f, err := os.CreateTemp(filepath.Dir(to), ".backup-*") // 0600 by definition
	if err != nil {
		return 0, err
	}
	defer os.Remove(f.Name())
	err = fetch(f)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return 0, err
	}
	if _, records, err = verifyFile(f.Name()); err != nil {
		return 0, fmt.Errorf("the backup did not arrive whole: %w", err)
	}
	// Unlike a rename, a link never replaces a file that appeared meanwhile.
	return records, os.Link(f.Name(), to)
}
