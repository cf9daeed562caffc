// SPDX-License-Identifier: Apache-2.0

// Package caddymodule is the Caddy face of the gateway: configuration types
// with the operator's documentation, the Caddyfile, provisioning and wiring.
// It contains no protocol logic; that is package gateway.
//
// The modules are the app mcp_oauth (who people are, where state lives), the
// handler http.handlers.mcp_oauth (one protected resource of one site) and the
// guests of the namespaces mcp_oauth.storage and mcp_oauth.upstreams. Their
// JSON is public API: decoding is strict, so a renamed field breaks users.
package caddymodule
