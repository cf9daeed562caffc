// SPDX-License-Identifier: Apache-2.0

package caddymodule

import (
	"errors"
	"fmt"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"

	"github.com/caddy-mcp/caddy-mcp-oauth/internal/doctor"
)

// exitUsage is the exit status for a command line that cannot be followed.
const exitUsage = 2

func init() {
	caddycmd.RegisterCommand(caddycmd.Command{
		Name:  "mcp-oauth",
		Usage: "<command>",
		Short: "Helps to run MCP servers behind the mcp_oauth module",
		Long:  "Commands for MCP servers behind the mcp_oauth module: a look from outside, and care for its state.",
		CobraFunc: func(cmd *cobra.Command) {
			cmd.AddCommand(doctorCommand(), backupCommand(), restoreCommand(), migrateCommand(), compactCommand())
			cmd.Args = cobra.ArbitraryArgs // our own message, and exit status 2
			cmd.RunE = func(cmd *cobra.Command, args []string) error {
				if len(args) > 0 {
					return usage(cmd, fmt.Errorf("there is no command %q; see `caddy mcp-oauth --help`", args[0]))
				}
				return cmd.Help()
			}
			cmd.SetFlagErrorFunc(usage)
		},
	})
}

const doctorLong = `
Looks at an MCP server from outside, the way MCP clients do before anybody signs
in, and says which of them would fail and why: Claude, ChatGPT, VS Code, Cursor,
MCP Inspector, Gemini CLI, Grok, Codex, Goose and the SDKs. Each finding comes
with what was seen and how to mend it.

Type the URL exactly as you give it to people: clients compare it byte for byte.
It need not be a server behind this module. Run the command from outside your
network if you can, because that is where hosted clients are.

Nothing is changed at the server. Only requests without a token are sent, and one
with a token that is none. With --register two throw-away clients are registered
as well, one without and one with a secret; nobody can sign in with them unless
somebody approves it, and this module forgets them after a day.

The exit status is 0 if nothing fails (warnings may remain), 1 if something does,
and 2 if the command line cannot be followed.
`

const doctorExample = `  caddy mcp-oauth doctor https://mcp.example.com/mcp
  caddy mcp-oauth doctor --register https://mcp.example.com/mcp
  caddy mcp-oauth doctor --json https://mcp.example.com/mcp | jq '.clients[] | select(.works | not)'`

func doctorCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "doctor [--register] [--json] [--timeout <duration>] <url>",
		Short:   "Says which MCP clients would fail at a server, and why",
		Long:    doctorLong,
		Example: doctorExample,
		Args:    cobra.ArbitraryArgs, // checked below, for the exit status
		RunE:    runDoctor,
	}
	cmd.Flags().Bool("register", false, "Also register two throw-away clients")
	cmd.Flags().Bool("json", false, "Write the report as JSON")
	cmd.Flags().Duration("timeout", 0, "Time limit of each request (default 10s)")
	cmd.SetFlagErrorFunc(usage)
	return cmd
}

func runDoctor(cmd *cobra.Command, args []string) error {
	flags := caddycmd.Flags{FlagSet: cmd.Flags()}
	if len(args) != 1 {
		return usage(cmd, errors.New("give the URL of one MCP server, for example https://mcp.example.com/mcp"))
	}
	timeout := flags.Duration("timeout")
	if timeout < 0 {
		return usage(cmd, errors.New("--timeout is negative"))
	}
	report, err := doctor.Run(cmd.Context(), args[0], doctor.Options{Register: flags.Bool("register"), Timeout: timeout})
	if errors.Is(err, doctor.ErrURL) {
		return usage(cmd, err)
	}
	if err != nil {
		return err
	}
	write := report.WriteText
	if flags.Bool("json") {
		write = report.WriteJSON
	}
	if err := write(cmd.OutOrStdout()); err != nil {
		return err
	}
	if report.Failed {
		cmd.SilenceErrors = true // the report says it all
		return errors.New("something fails")
	}
	return nil
}

// usage reports a mistake on the command line; Caddy's own wrapper carries the
// exit status.
func usage(cmd *cobra.Command, err error) error {
	return caddycmd.WrapCommandFuncForCobra(func(caddycmd.Flags) (int, error) { return exitUsage, err })(cmd, nil)
}
