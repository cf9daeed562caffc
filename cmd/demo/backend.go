// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/caddy-mcp/caddy-mcp-oauth/internal/testmcp"
)

// readHeaderTimeout keeps half-open connections from piling up.
const readHeaderTimeout = 10 * time.Second

// backend is the sample MCP server, listening on loopback.
type backend struct {
	server *http.Server
	addr   string
	failed chan error
}

// startBackend listens on the port, 0 for any free one, and serves.
func startBackend(port int) (*backend, error) {
	addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("the sample MCP server cannot listen on %s: %w.\n"+
			"Choose another port for it with -backend-port or $%s, or leave both out", addr, err, envBackend)
	}
	b := &backend{
		server: &http.Server{
			Handler:           testmcp.Stateful(testmcp.NewServer()),
			ReadHeaderTimeout: readHeaderTimeout,
		},
		addr:   listener.Addr().String(),
		failed: make(chan error, 1),
	}
	go func() {
		if err := b.server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			b.failed <- fmt.Errorf("the sample MCP server stopped: %w", err)
		}
	}()
	return b, nil
}

// stop ends it at once, open streams included.
func (b *backend) stop() { _ = b.server.Close() } // nothing to save
