// SPDX-License-Identifier: Apache-2.0

// Command demo shows the gateway on one machine, without a GitHub application
// and without a public name: a sample MCP server, the built Caddy in front of
// it, and one local user with a fresh password. It prints how to connect and
// ends with Ctrl-C, leaving nothing behind.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	opts, err := parseOptions(os.Args[1:], os.Getenv, os.Stderr)
	if err == nil {
		err = run(ctx, opts, os.Stdout, os.Stderr)
	}
	stop()
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}
