// SPDX-License-Identifier: Apache-2.0

package testmcp

import (
	"net/http"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// Stateful serves s over Streamable HTTP as the revisions up to 2025-11-25 have
// it: sessions, a GET stream, DELETE, and streams that can be resumed.
//
// The SDK's protection against DNS rebinding stays on, as it is in a server
// nobody configured: a loopback listener refuses a foreign Host header.
func Stateful(s *mcp.Server) http.Handler {
	return mcp.NewStreamableHTTPHandler(
		func(*http.Request) *mcp.Server { return s },
		&mcp.StreamableHTTPOptions{EventStore: mcp.NewMemoryEventStore(nil)},
	)
}

// Stateless serves s over Streamable HTTP as revision 2026-07-28 has it: no
// sessions, every POST for itself, cancelled with its connection. Older clients
// are served too, without a session.
func Stateless(s *mcp.Server) http.Handler {
	return mcp.NewStreamableHTTPHandler(
		func(*http.Request) *mcp.Server { return s },
		&mcp.StreamableHTTPOptions{Stateless: true, PropagateRequestCancellation: true},
	)
}
