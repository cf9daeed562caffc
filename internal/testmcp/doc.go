// SPDX-License-Identifier: Apache-2.0

// Package testmcp holds MCP servers that know nothing about authentication: the
// backends of the tests and of the demo.
//
// [NewServer] is a sample MCP server with a handful of tools. [Stateful],
// [Stateless] and [Legacy] serve it over the three HTTP transports a gateway
// meets. [Scripted] is no MCP server at all: it records what arrives byte for
// byte and answers as it is told, for tests of what passes through a proxy.
package testmcp
