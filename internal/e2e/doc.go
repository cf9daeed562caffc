// SPDX-License-Identifier: Apache-2.0

// Package e2e tests the whole product from outside: the compiled Caddy as a
// child process, real MCP clients in front of it, an MCP server behind it, a
// fake GitHub beside it, and a browser that is driven by the tests.
//
// It has no code of its own, only tests and what they share:
//
//   - gateway_test.go, config_test.go, build_test.go: the Caddy under test
//   - aged_test.go: its state, made older
//   - browser_test.go, form_test.go, cookies_test.go: the browser
//   - client_test.go, node_test.go: MCP clients of the Go and TypeScript SDKs
package e2e
