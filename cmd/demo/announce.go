// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
)

// announcement is everything a user needs to connect.
type announcement struct {
	url, user, password, backend, config, state string
}

// write prints it, the commands ready to be copied.
func (a announcement) write(w io.Writer) error {
	_, err := fmt.Fprintf(w, `
The gateway is running. Behind it is a sample MCP server that asks nobody who
they are (%[4]s); in front of it, everybody has to sign in.

  MCP URL    %[1]s
  User       %[2]s
  Password   %[3]s

Connect a client. It opens a browser: approve it there, sign in as above, and
call the tool "whoami" to see what the server was told about you.

  MCP Inspector, in the browser
    npx @modelcontextprotocol/inspector --transport http --server-url %[1]s

  MCP Inspector, in the terminal
    npx @modelcontextprotocol/inspector --cli --transport http --server-url %[1]s --method tools/call --tool-name whoami

  Claude Code (then /mcp, demo, Authenticate)
    claude mcp add --transport http demo %[1]s

  VS Code
    code --add-mcp '{"name":"demo","type":"http","url":"%[1]s"}'

What an unauthenticated client sees
    curl -i %[1]s

The Caddyfile of this demo is %[5]s.
%[6]s
`, a.url, a.user, a.password, a.backend, a.config, a.leaves())
	if err != nil {
		return fmt.Errorf("print: %w", err)
	}
	return nil
}

// leaves says what stays when the demo ends.
func (a announcement) leaves() string {
	if a.state == "" {
		return "Ctrl-C ends everything and removes what it wrote."
	}
	return "Ctrl-C ends everything. Registered clients are remembered for the next demo in\n" + a.state + "; remove it to forget them."
}
