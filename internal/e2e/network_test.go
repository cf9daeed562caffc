// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"strings"
)

// publicDomain is the domain of gateways that are tested under a public name.
const publicDomain = ".example.com"

// network carries every HTTP request of these tests. Names under publicDomain
// are this machine, whose certificates Caddy made itself; loopback is reached as
// usual, and nothing else is reached at all.
var network http.RoundTripper = &http.Transport{
	DialContext: func(ctx context.Context, proto, addr string) (net.Conn, error) {
		host, port, err := net.SplitHostPort(addr)
		if err != nil {
			return nil, err
		}
		if strings.HasSuffix(host, publicDomain) {
			host = "127.0.0.1"
		}
		if !isLoopback(host) {
			return nil, fmt.Errorf("%s is not part of the test", addr)
		}
		return (&net.Dialer{}).DialContext(ctx, proto, net.JoinHostPort(host, port))
	},
	ForceAttemptHTTP2: true,
	TLSClientConfig:   &tls.Config{InsecureSkipVerify: true}, //nolint:gosec // loopback only, see above
}
