// SPDX-License-Identifier: Apache-2.0

package caddymodule

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"os"

	"github.com/spf13/cobra"

	"github.com/caddy-mcp/caddy-mcp-oauth/internal/archive"
	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
)

const restoreLong = `
Puts the records of a backup into the store of a configuration, which has to be
empty. Caddy must not be running with it.

The file is checked before anything is written. The encryption key has to be the
one that was in use when the backup was made, or it has to be listed in
encryption_key behind the current one: with another key every token would be
worthless and the stored signing keys unreadable, so the command refuses.
`

func restoreCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "restore --from <file> --to <config> [--adapter <name>]",
		Short:   "Puts a backup into an empty store",
		Long:    restoreLong,
		Example: "  caddy mcp-oauth restore --from backup.ndjson --to /etc/caddy/Caddyfile",
		Args:    cobra.ArbitraryArgs,
		RunE:    runRestore,
	}
	cmd.Flags().String("from", "", "The backup to read")
	cmd.Flags().String("to", "", "The configuration whose store to fill")
	addAdapterFlag(cmd)
	return cmd
}

func runRestore(cmd *cobra.Command, args []string) error {
	from, to, err := fromTo(cmd, args)
	if err != nil {
		return usage(cmd, err)
	}
	h, records, err := verifyFile(from)
	if err != nil {
		return err
	}
	target, err := openOffline(cmd.Context(), to, adapterFlag(cmd))
	if err != nil {
		return err
	}
	if !target.ring.HasKey(h.KeyCheck) {
		return errors.Join(errOtherKey, target.store.Close())
	}
	f, err := os.Open(from)
	if err != nil {
		return errors.Join(err, target.store.Close())
	}
	defer f.Close()
	_, entries, err := archive.Read(f)
	if err == nil {
		err = fill(cmd.Context(), target, entries)
	}
	if err != nil {
		return errors.Join(err, target.store.Close())
	}
	if err := target.finish(); err != nil {
		return err
	}
	return say(cmd, "restored %d records of %s into the store of %s", records, h.CreatedAt.Format("2006-01-02 15:04:05 MST"), to)
}

var errOtherKey = errors.New("the encryption key of this configuration is not the one these records were written with: " +
	"add that key to encryption_key, behind the current one; the generated one is in the file <state file>.key")

func verifyFile(path string) (archive.Header, int, error) {
	f, err := os.Open(path)
	if err != nil {
		return archive.Header{}, 0, err
	}
	defer f.Close()
	h, n, err := archive.Verify(f)
	if err != nil {
		return archive.Header{}, 0, fmt.Errorf("%s: %w", path, err)
	}
	return h, n, nil
}

const migrateLong = `
Copies every record from the store of one configuration into the empty store of
another, from bolt to Redis or PostgreSQL for example. Nobody has to sign in again.

Stop Caddy first: what a running server writes meanwhile may be left behind. The
store that is read is not changed. Both configurations need the same encryption
key; a generated one is in the file <state file>.key, and its content is what to
write into encryption_key.
`

func migrateCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "migrate --from <config> --to <config> [--adapter <name>]",
		Short:   "Copies the state into another store",
		Long:    migrateLong,
		Example: "  caddy mcp-oauth migrate --from /etc/caddy/Caddyfile --to /etc/caddy/Caddyfile.redis",
		Args:    cobra.ArbitraryArgs,
		RunE:    runMigrate,
	}
	cmd.Flags().String("from", "", "The configuration whose store to read")
	cmd.Flags().String("to", "", "The configuration whose store to fill")
	addAdapterFlag(cmd)
	return cmd
}

func runMigrate(cmd *cobra.Command, args []string) (err error) {
	from, to, err := fromTo(cmd, args)
	if err != nil {
		return usage(cmd, err)
	}
	source, err := openOffline(cmd.Context(), from, adapterFlag(cmd))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, source.store.Close()) }()
	target, err := openOffline(cmd.Context(), to, adapterFlag(cmd))
	if err != nil {
		return err
	}
	records, err := copyRecords(cmd.Context(), source, target)
	if err != nil {
		return errors.Join(err, target.store.Close())
	}
	if err := target.finish(); err != nil {
		return err
	}
	return say(cmd, "copied %d records from the store of %s into that of %s", records, from, to)
}

func copyRecords(ctx context.Context, source, target *offlineState) (records int, err error) {
	if !target.ring.HasKey(source.ring.KeyCheck()) {
		return 0, errOtherKey
	}
	out, err := source.archive()
	if err != nil {
		return 0, err
	}
	err = fill(ctx, target, counted(out.Export(ctx), &records))
	return records, err
}

// fill imports records and says what to do where only some came through.
func fill(ctx context.Context, target *offlineState, entries iter.Seq2[storage.Entry, error]) error {
	in, err := target.archive()
	if err != nil {
		return err
	}
	err = in.Import(ctx, entries)
	switch {
	case errors.Is(err, storage.ErrNotEmpty):
		return fmt.Errorf("%s: its store is not empty, and nothing was changed; "+
			"move the state away first, or point the configuration at a new place", target.config)
	case err != nil:
		return fmt.Errorf("%s: empty its store before you try again, it may hold a part of the records: %w", target.config, err)
	}
	return nil
}

func counted(entries iter.Seq2[storage.Entry, error], n *int) iter.Seq2[storage.Entry, error] {
	return func(yield func(storage.Entry, error) bool) {
		for e, err := range entries {
			if err == nil {
				*n++
			}
			if !yield(e, err) {
				return
			}
		}
	}
}
