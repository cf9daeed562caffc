// SPDX-License-Identifier: Apache-2.0

package caddymodule

import (
	"net/http"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
)

func init() { caddy.RegisterModule(Transport{}) }

// Transport is the transport `http` of `reverse_proxy`, with all its options, which
// also gives an admitted request its identity headers, at the last moment before it
// is sent. Whatever happens to headers on the way cannot remove or change them, and
// they are in no log of the proxy. `mcp_gateway` uses it by itself.
type Transport struct {
	reverseproxy.HTTPTransport
	// UpstreamHost sends the address of the backend in the Host header of admitted
	// requests, and not the name that the client used. It gives way to
	// operations on Host of a proxy inside of the guard. Default: false.
	UpstreamHost bool `json:"upstream_host,omitempty"`

	// quiet hides the headers of what was sent, see hideHeaders. It is for the proxy of
	// our own handler, which knows what else looks at them.
	quiet bool
}

// CaddyModule returns the Caddy module information.
func (Transport) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.reverse_proxy.transport." + appName,
		New: func() caddy.Module { return new(Transport) },
	}
}

// RoundTrip sends the request. Requests that no guard admitted, such as health checks,
// or that one is done with, are sent as they are.
func (t *Transport) RoundTrip(r *http.Request) (*http.Response, error) {
	a := admittedOf(r)
	if a == nil || a.Over() {
		return t.HTTPTransport.RoundTrip(r)
	}
	// The proxy goes on using its request after this, for its log and for retries.
	out := *r
	if t.UpstreamHost {
		if dial, ok := reverseproxy.GetDialInfo(r.Context()); ok {
			out.Host = dial.Address
		}
	}
	out.Header = a.WithIdentity(r.Header)
	resp, err := t.HTTPTransport.RoundTrip(&out)
	if t.quiet && (err != nil || resp.StatusCode != http.StatusSwitchingProtocols) {
		hideHeaders(r)
	}
	return resp, err
}

// hideHeaders takes the headers from a request that was sent. `reverse_proxy` gives
// every attempt a request of its own, and has no use for it after the transport but to
// encode all headers as JSON in case something should be logged: four hundredths of
// what a call costs, and session ids and tokens in the log if a stream breaks off. It
// looks at them once more where the backend switches protocols, and in `retry_match`.
func hideHeaders(r *http.Request) { r.Header = nil }

var (
	_ caddy.Provisioner                                = (*Transport)(nil)
	_ caddy.CleanerUpper                               = (*Transport)(nil)
	_ http.RoundTripper                                = (*Transport)(nil)
	_ reverseproxy.TLSTransport                        = (*Transport)(nil)
	_ reverseproxy.H2CTransport                        = (*Transport)(nil)
	_ reverseproxy.HealthCheckSchemeOverriderTransport = (*Transport)(nil)
	_ reverseproxy.ProxyProtocolTransport              = (*Transport)(nil)
	_ reverseproxy.RequestHeaderOpsTransport           = (*Transport)(nil)
)
