// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"net/http"
	"strings"
)

// allowsPage reports whether a preflight lets a page send a POST with a header.
func allowsPage(e *Exchange, origin, header string) bool {
	if e == nil || e.Err != nil || e.Status < 200 || e.Status > 299 || !e.corsFrom(origin) {
		return false
	}
	headers := strings.ToLower(strings.Join(e.Header.Values("Access-Control-Allow-Headers"), ","))
	for name := range strings.SplitSeq(headers, ",") {
		name = strings.TrimSpace(name)
		if name == header || name == "*" && header != "authorization" {
			return true
		}
	}
	return false
}

// preflightCheck: browsers send preflights without credentials (R12.4).
func preflightCheck(o *observation) Check {
	b := o.browser
	evidence := append(seen(b.preflight, b.own), b.preflight.header("Access-Control-Allow-Origin"))
	switch {
	case allowsPage(b.preflight, inspectorOrigin, "authorization"):
		return pass(checkPreflight, "web pages such as MCP Inspector's may call the server")
	case b.own != nil && allowsPage(b.own, b.origin, "authorization"):
		// Foreign pages are kept out on purpose (R10.25), as the gateway does.
		return pass(checkPreflight, "web pages of its own origin may call the server; those of others, as in the direct mode of MCP Inspector, "+
			"only if `allowed_origins` names them")
	case !o.first().ok(http.StatusUnauthorized) && o.first().Status >= 300:
		return skip(checkPreflight, "there is no MCP server to call")
	case b.preflight.ok(http.StatusUnauthorized):
		return fail(checkPreflight, "a browser's preflight is asked for a token, which it never has",
			"Answer OPTIONS before any authentication.", evidence...).affecting(inspector)
	}
	return warn(checkPreflight, "a browser's preflight is not answered, so web pages cannot call the server",
		"Answer OPTIONS with 204, Access-Control-Allow-Origin and the requested headers, Authorization among them by name.",
		evidence...).affecting(inspector)
}

// exposedCheck: what a page is not shown it cannot use (R12.5).
func exposedCheck(o *observation) Check {
	e := o.browser.post
	if !e.corsFrom(o.browser.origin) {
		return skip(checkExposed, "no web page may call the server")
	}
	exposed := strings.ToLower(strings.Join(e.Header.Values("Access-Control-Expose-Headers"), ","))
	for _, name := range []string{"WWW-Authenticate", "Mcp-Session-Id"} {
		if !strings.Contains(exposed, strings.ToLower(name)) {
			return warn(checkExposed, "web pages cannot read "+name,
				"Send Access-Control-Expose-Headers: WWW-Authenticate, Mcp-Session-Id, MCP-Protocol-Version.",
				e.header("Access-Control-Expose-Headers")).affecting(inspector)
		}
	}
	return pass(checkExposed, "web pages can read WWW-Authenticate and Mcp-Session-Id")
}

const mendCORS = "Answer with Access-Control-Allow-Origin: * and to OPTIONS with 204, before any authentication."

func metadataCORSCheck(o *observation) Check {
	for _, d := range []*document{o.resource, o.server()} {
		if d != nil && d.readable() && !d.corsFrom(inspectorOrigin) {
			return fail(checkMetadataCORS, "web pages cannot read the metadata", mendCORS,
				d.String(), d.header("Access-Control-Allow-Origin")).affecting(inspector)
		}
	}
	for _, e := range o.others {
		if e.Err == nil && !e.redirect() && !e.corsFrom(inspectorOrigin) {
			return warn(checkMetadataCORS, "web pages cannot see that there is nothing at an address they try", mendCORS,
				e.String(), e.header("Access-Control-Allow-Origin")).affecting(inspector)
		}
	}
	return pass(checkMetadataCORS, "web pages can read the metadata")
}

func endpointCORSCheck(o *observation) Check {
	if len(o.browser.endpoints) == 0 {
		return skip(checkEndpointCORS, "there are no endpoints to ask")
	}
	for _, e := range o.browser.endpoints {
		if !allowsPage(e, inspectorOrigin, "content-type") {
			return fail(checkEndpointCORS, "web pages cannot register or fetch a token", mendCORS,
				e.String(), e.header("Access-Control-Allow-Origin")).affecting(inspector)
		}
	}
	return pass(checkEndpointCORS, "web pages can register and fetch tokens")
}
