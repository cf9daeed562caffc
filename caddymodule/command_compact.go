// SPDX-License-Identifier: Apache-2.0

package caddymodule

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"
)

// Compacter is a StorageEngine whose store keeps space that it no longer uses.
type Compacter interface {
	// Compact gives it back and returns the sizes before and after, in bytes. The
	// store must not be open anywhere.
	Compact() (before, after int64, err error)
}

const compactLong = `
Gives back the space in a bolt file that deleted records left behind. The file
never shrinks by itself, but what is free in it is used again: this is worth
while only after it grew much larger than it needs to be. Caddy must not be
running with it. The file is replaced in one step, once the new one is complete.
`

func compactCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "compact --config <file> [--adapter <name>]",
		Short:   "Makes the file of a bolt store smaller",
		Long:    compactLong,
		Example: "  caddy mcp-oauth compact --config /etc/caddy/Caddyfile",
		Args:    cobra.ArbitraryArgs,
		RunE:    runCompact,
	}
	cmd.Flags().String("config", "", "The configuration whose store to compact")
	addAdapterFlag(cmd)
	return cmd
}

func runCompact(cmd *cobra.Command, args []string) error {
	config := flagValue(cmd, "config")
	switch {
	case len(args) > 0:
		return usage(cmd, fmt.Errorf("unexpected %q", args[0]))
	case config == "":
		return usage(cmd, errors.New("--config is missing"))
	}
	app, err := loadOffline(cmd.Context(), config, adapterFlag(cmd))
	if err != nil {
		return err
	}
	engine, ok := app.engine.(Compacter)
	if !ok {
		return fmt.Errorf("%s: its store needs no compaction", config)
	}
	before, after, err := engine.Compact()
	if err != nil {
		return err
	}
	return say(cmd, "the state file had %d bytes and now has %d", before, after)
}

// timeNow is the clock of the commands.
var timeNow = time.Now

func addAdapterFlag(cmd *cobra.Command) {
	cmd.Flags().String("adapter", "", "Config adapter, where the name of the file does not tell")
	cmd.SetFlagErrorFunc(usage)
}

func adapterFlag(cmd *cobra.Command) string { return flagValue(cmd, "adapter") }

func flagValue(cmd *cobra.Command, name string) string {
	v, err := cmd.Flags().GetString(name)
	if err != nil {
		panic(err) // a flag that was not declared
	}
	return v
}

// fromTo reads the flags of the commands that copy.
func fromTo(cmd *cobra.Command, args []string) (from, to string, err error) {
	from, to = flagValue(cmd, "from"), flagValue(cmd, "to")
	switch {
	case len(args) > 0:
		return "", "", fmt.Errorf("unexpected %q", args[0])
	case from == "":
		return "", "", errors.New("--from is missing")
	case to == "":
		return "", "", errors.New("--to is missing")
	}
	return from, to, nil
}

func say(cmd *cobra.Command, format string, args ...any) error {
	_, err := fmt.Fprintf(cmd.OutOrStdout(), format+"\n", args...)
	return err
}
