// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"strings"
)

// siteConfig is what the Caddyfile of one demo depends on.
type siteConfig struct {
	port    int
	backend string
	// bind are the addresses to listen on: loopback only, so that the demo is
	// not open to the network the machine is in.
	bind []string
	// statePath is the bolt file.
	statePath string
	hash      string
}

// caddyfile renders the configuration: what a first-time user would write, plus
// what keeps it to itself on this machine.
func caddyfile(c siteConfig) string {
	return fmt.Sprintf(`{
	admin off
	mcp_oauth {
		storage bolt %q
		local {
			user %s %s %s %s
		}
		allow local:%s
	}
}

http://localhost:%d {
	bind %s
	mcp_gateway /mcp %s {
		name "Demo tools"
	}
}
`, c.statePath, demoUser, c.hash, demoEmail, demoGroup, demoUser,
		c.port, strings.Join(c.bind, " "), c.backend)
}
