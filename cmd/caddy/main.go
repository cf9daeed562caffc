// SPDX-License-Identifier: Apache-2.0

// Command caddy is Caddy with its standard modules and this one. It is what
// xcaddy builds, for go run, tests and containers.
package main

import (
	_ "time/tzdata" // zones for logs on machines that have none

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	_ "github.com/caddyserver/caddy/v2/modules/standard" // the standard modules

	_ "github.com/caddy-mcp/caddy-mcp-oauth/caddymodule" // this module
)

func main() { caddycmd.Main() }
