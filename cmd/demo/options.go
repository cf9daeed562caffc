// SPDX-License-Identifier: Apache-2.0

package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// defaultPort is where the gateway listens unless told otherwise.
const defaultPort = 8080

// Environment variables that stand in for flags, for those who start the demo
// through a script.
const (
	envPort    = "DEMO_PORT"
	envBackend = "DEMO_BACKEND_PORT"
	envCaddy   = "DEMO_CADDY"
)

// options are what a user can change about the demo.
type options struct {
	// port is where the gateway listens, on the loopback addresses.
	port int
	// backendPort is where the sample MCP server listens; 0 picks a free one.
	backendPort int
	// caddy is the path of the built binary.
	caddy string
	// state is the directory that outlives the demo, so that a client which
	// registered once finds itself known the next time; empty keeps nothing.
	state string
	// verbose shows Caddy's log as it comes.
	verbose bool
}

// parseOptions reads flags; a flag beats its environment variable. Usage and
// complaints go to w.
func parseOptions(args []string, getenv func(string) string, w io.Writer) (options, error) {
	opts := options{port: defaultPort, caddy: "./caddy", state: defaultState()}
	for name, port := range map[string]*int{envPort: &opts.port, envBackend: &opts.backendPort} {
		if err := portFromEnv(name, getenv(name), port); err != nil {
			return options{}, err
		}
	}
	if path := getenv(envCaddy); path != "" {
		opts.caddy = path
	}
	flags := flag.NewFlagSet("demo", flag.ContinueOnError)
	flags.SetOutput(w)
	flags.IntVar(&opts.port, "port", opts.port, "port of the gateway, also $"+envPort)
	flags.IntVar(&opts.backendPort, "backend-port", opts.backendPort,
		"port of the sample MCP server, 0 for any free one, also $"+envBackend)
	flags.StringVar(&opts.caddy, "caddy", opts.caddy, "the built caddy, also $"+envCaddy)
	flags.StringVar(&opts.state, "state", opts.state,
		"directory that keeps registrations and grants from one demo to the next, empty to keep nothing")
	flags.BoolVar(&opts.verbose, "v", false, "show Caddy's log")
	if err := flags.Parse(args); err != nil {
		return options{}, err
	}
	if flags.NArg() > 0 {
		return options{}, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	return opts, opts.check()
}

// defaultState is a directory of the user's cache, or none.
func defaultState() string {
	cache, err := os.UserCacheDir()
	if err != nil {
		return ""
	}
	return filepath.Join(cache, "caddy-mcp-oauth", "demo")
}

// check refuses what could not work.
func (o options) check() error {
	if o.port < 1 || o.port > 65535 {
		return fmt.Errorf("-port %d is not a port number", o.port)
	}
	if o.backendPort < 0 || o.backendPort > 65535 {
		return fmt.Errorf("-backend-port %d is not a port number", o.backendPort)
	}
	if o.backendPort == o.port {
		return fmt.Errorf("-port and -backend-port are both %d", o.port)
	}
	return nil
}

func portFromEnv(name, value string, port *int) error {
	if value == "" {
		return nil
	}
	n, err := strconv.Atoi(strings.TrimSpace(value))
	if err != nil {
		return fmt.Errorf("$%s is %q, not a port number", name, value)
	}
	*port = n
	return nil
}
