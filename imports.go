// SPDX-License-Identifier: Apache-2.0

// Package caddymcpoauth plugs the module into Caddy, so that
//
//	xcaddy build --with github.com/caddy-mcp/caddy-mcp-oauth
//
// is all it takes. The code is in the packages below; start with gateway.
package caddymcpoauth

import _ "github.com/caddy-mcp/caddy-mcp-oauth/caddymodule" // registers the modules
