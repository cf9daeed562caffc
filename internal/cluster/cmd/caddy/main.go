// SPDX-License-Identifier: Apache-2.0

// Command caddy is Caddy with this module and the engines for several machines, as
// xcaddy builds it with
//
//	--with github.com/caddy-mcp/caddy-mcp-oauth
//	--with github.com/caddy-mcp/caddy-mcp-oauth/caddymodule/redis
//	--with github.com/caddy-mcp/caddy-mcp-oauth/caddymodule/postgres
package main

import (
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	_ "github.com/caddyserver/caddy/v2/modules/standard" // the standard modules

	_ "github.com/caddy-mcp/caddy-mcp-oauth"                      // this module
	_ "github.com/caddy-mcp/caddy-mcp-oauth/caddymodule/postgres" // storage postgres
	_ "github.com/caddy-mcp/caddy-mcp-oauth/caddymodule/redis"    // storage redis
)

func main() { caddycmd.Main() }
