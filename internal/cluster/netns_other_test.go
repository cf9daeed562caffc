// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package cluster

import (
	"context"
	"net"
	"os/exec"
	"testing"

	"github.com/caddy-mcp/caddy-mcp-oauth/internal/testproc"
)

// namespace is always nil: only Linux has them.
type namespace struct{}

func (*namespace) listen(t *testing.T, addr string) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func (*namespace) dial(ctx context.Context, addr string) (net.Conn, error) {
	return new(net.Dialer).DialContext(ctx, "tcp", addr)
}

func (*namespace) spawn(cmd *exec.Cmd) (exited <-chan struct{}, err error) {
	return testproc.Here(cmd)
}
