// SPDX-License-Identifier: Apache-2.0

// Package conformance runs the MCP project's own conformance suite, the npm
// package @modelcontextprotocol/conformance, against the compiled gateway.
//
// The suite tests clients and servers and knows nothing of what stands between
// them. So its server scenarios run twice, straight at an MCP server and through
// the gateway in front of the same server, and the two results have to be the
// same, check by check: what the gateway adds is a door, and behind it nothing is
// different. The MCP server is the one the Go SDK is tested with, because it has
// everything the scenarios ask for.
//
// The suite cannot send a token. A proxy on loopback between it and the gateway
// adds one, and changes nothing else.
//
// Its authorization scenarios run against the gateway as they are. They want a
// registered client, which the test registers, and a person at a browser, whose
// part a headless Chromium takes.
//
// baseline.txt lists every check that does not succeed against the bare server,
// and so neither through the gateway. `go test -update` writes it anew.
//
// The package has no code of its own, only tests.
package conformance
