// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"slices"
	"strings"
)

// config is the Caddyfile of one test: the six lines of the documentation and
// what the test changes about them.
type config struct {
	// global are lines of the mcp_oauth block. noGitHub leaves the fake GitHub out of
	// it.
	global   []string
	noGitHub bool
	// options are lines of the global block outside it.
	options []string
	// before are site lines ahead of mcp_gateway, after those behind it.
	before, after []string
	// adminAPI switches Caddy's admin API on, which a reload needs.
	adminAPI bool
	// host is a public name under publicDomain, which is served with https. Empty
	// is http on localhost.
	host string
	// path and backend are the arguments of mcp_gateway. The path may be empty.
	path, backend string
	// gateway are lines of the mcp_gateway block. Without an allow line in it,
	// "allow user:octocat" is added.
	gateway []string
}

// origin is the address of the site.
func (c config) origin(port int) string {
	if c.host == "" {
		return fmt.Sprintf("http://localhost:%d", port)
	}
	return fmt.Sprintf("https://%s:%d", c.host, port)
}

// render writes the Caddyfile for a gateway at address, "http://localhost:8080".
// admin is where its admin API listens, if it has one.
func (c config) render(address, admin, statePath, github string) string {
	if !c.adminAPI {
		admin = "off"
	}
	if c.noGitHub {
		github = ""
	}
	if c.host != "" {
		c.options = append(slices.Clone(c.options), "skip_install_trust", "auto_https disable_redirects")
		c.before = append([]string{"tls internal"}, c.before...)
	}
	gateway := c.gateway
	if !strings.Contains(strings.Join(gateway, "\n"), "allow ") {
		gateway = append([]string{"allow user:octocat"}, gateway...)
	}
	return fmt.Sprintf(`{
	admin %s
%s	mcp_oauth {
		storage bolt %s
%s%s	}
}

%s {
%s	mcp_gateway %s {
%s	}
%s}
`, admin, indent(1, c.options), statePath, github, indent(2, c.global), address,
		indent(1, c.before), strings.TrimSpace(c.path+" "+c.backend), indent(2, gateway), indent(1, c.after))
}

// githubBlock configures the fake GitHub as a GitHub Enterprise Server would be.
func githubBlock(url, clientID, clientSecret string) string {
	return indent(2, []string{
		"github {",
		"\tclient_id " + clientID,
		"\tclient_secret " + clientSecret,
		"\tbase_url " + url,
		"\tapi_url " + url + "/api/v3",
		"}",
	})
}

func indent(depth int, lines []string) string {
	var b strings.Builder
	for _, line := range lines {
		b.WriteString(strings.Repeat("\t", depth) + line + "\n")
	}
	return b.String()
}
