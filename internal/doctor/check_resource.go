// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
)

const mendMetadata = "Serve it without authentication, as JSON with status 200, at the path-inserted address of RFC 9728 §3.1."

// metadataCheck is the document at the path-inserted address (R2.2, R2.3).
func metadataCheck(o *observation) Check {
	d := o.resource
	switch {
	case d.readable():
		return pass(checkMetadata, "the protected resource metadata is where clients look")
	case d.firewall():
		return fail(checkMetadata, "something in front of the server answers with a web page", mendFirewall, d.String())
	}
	return fail(checkMetadata, "there is no protected resource metadata: "+d.unusable, mendMetadata, d.String())
}

// rootMetadataCheck: clients of 2025-06-18, and claude.ai besides the other.
func rootMetadataCheck(o *observation) Check {
	d := o.rootResource
	switch {
	case d.readable():
		return pass(checkRootMetadata, "there is metadata at the root too")
	case d.ok(http.StatusNotFound):
		return warn(checkRootMetadata, "there is no metadata at the root of the host",
			"Serve it there too where the host has one MCP server: some clients look nowhere else.", d.String()).affecting(claudeHosted)
	}
	return fail(checkRootMetadata, "the metadata address at the root answers with "+d.unusable,
		"Serve the metadata there too, or answer 404.", d.String()).affecting(claudeHosted)
}

// resourceFormCheck: no nulls, no empty lists (R2.4).
func resourceFormCheck(o *observation) Check {
	for _, d := range []*document{o.named, o.resource} {
		if c, bad := formCheck(checkResourceForm, d); bad {
			return c
		}
	}
	if !o.resource.readable() {
		return skip(checkResourceForm, "there is no protected resource metadata")
	}
	return pass(checkResourceForm, "the metadata has no empty or malformed members")
}

func formCheck(id string, d *document) (Check, bool) {
	const mend = "Leave members without a value out altogether (RFC 9728 §3.2, RFC 8414 §3.2)."
	switch {
	case !d.readable():
		return Check{}, false
	case len(d.rejected) > 0:
		return fail(id, "validating clients refuse the document, because of "+strings.Join(d.rejected, ", "),
			mend, d.String(), excerpt(d, d.rejected[0])), true
	case len(d.empty) > 0:
		return fail(id, "the document has members without a value: "+strings.Join(d.empty, ", "), mend, d.String()), true
	}
	return Check{}, false
}

// excerpt is one member of a document as evidence.
func excerpt(d *document, name string) string {
	return name + ": " + printable(string(d.members[name]))
}

// resourceCheck: the document must speak of the address that was typed (R2.5).
func resourceCheck(o *observation) Check {
	d := o.named
	if !d.readable() {
		d = o.resource
	}
	if !d.readable() {
		return skip(checkResource, "there is no protected resource metadata")
	}
	got := d.str("resource")
	evidence := d.String() + ", resource " + printable(got)
	switch {
	case o.target.Path == "" && got == o.target.URL || o.target.Path == "/" && got == o.target.Origin:
		c := pass(checkResource, "resource is the origin")
		c.Evidence, c.Mend = []string{evidence}, "Put the server at a path, such as "+o.target.Origin+"/mcp. At the root of a host, clients disagree about the slash: "+
			"a challenge that names a document whose resource ends in one suits them all."
		return c
	case got == o.target.URL:
		return pass(checkResource, "resource is the URL, byte for byte")
	case got == "":
		return fail(checkResource, "the metadata has no resource", "Add it: "+printable(o.target.URL), evidence)
	case sameResource(o.target, got, false):
		return warn(checkResource, "resource differs from the URL you typed in its form: slash, case, port or query",
			"Give people the URL "+printable(got)+", or serve metadata for both forms.", evidence)
	case strings.HasPrefix(got, "http://") && o.target.https():
		return fail(checkResource, "resource is http where the URL is https: the server does not know that TLS ends in front of it",
			"Set `issuer` to the public https URL.", evidence)
	}
	return fail(checkResource, "resource is not the URL you typed",
		"It must be "+printable(o.target.URL)+". Behind another proxy, set `issuer` to the public URL.", evidence)
}

// slashResourceCheck is the same for the other trailing slash, where that address
// is guarded at all.
func slashResourceCheck(o *observation) Check {
	other, ok := o.target.otherSlash()
	switch {
	case !ok:
		return pass(checkSlashResource, "the URL has no path")
	case !o.slash.ok(http.StatusUnauthorized):
		return skip(checkSlashResource, "the other trailing slash is not in use")
	case !o.slashResource.readable():
		return warn(checkSlashResource, "the URL with the other trailing slash has no metadata: "+o.slashResource.unusable,
			"Serve a document there too, with that URL as its resource.", o.slashResource.String())
	case o.slashResource.str("resource") != other.withoutQuery() && o.slashResource.str("resource") != other.URL:
		return warn(checkSlashResource, "for the other trailing slash the metadata names a URL without it, or with it",
			"Name the URL the document was asked for: some clients compare byte for byte.",
			o.slashResource.String(), excerpt(o.slashResource, "resource")).affecting(goSDK, geminiCLI, vsCode)
	}
	return pass(checkSlashResource, "with the other trailing slash, resource has it too")
}

func serversCheck(o *observation) Check {
	d := o.named
	if !d.readable() {
		d = o.resource
	}
	if !d.readable() {
		return skip(checkServers, "there is no protected resource metadata")
	}
	list := d.list("authorization_servers")
	switch {
	case len(list) == 0:
		return fail(checkServers, "the metadata names no authorization server", "Add authorization_servers with its issuer.", d.String())
	case !secureURL(list[0]):
		return fail(checkServers, "the authorization server is not https", "Use its https issuer.", excerpt(d, "authorization_servers")).
			affecting(goSDK)
	case !sameOrigin(list[0], o.target.URL):
		return warn(checkServers, "the authorization server is at another origin",
			"It works by the specification; some versions of Claude look at the MCP server's own host all the same.",
			excerpt(d, "authorization_servers")).affecting(claudeHosted, claudeCode)
	case len(list) > 1:
		return warn(checkServers, fmt.Sprintf("%d authorization servers are named; clients use the first", len(list)),
			"Put the one that issues the tokens first.", excerpt(d, "authorization_servers"))
	case slices.Contains(d.list("scopes_supported"), "offline_access"):
		return warn(checkServers, "scopes_supported of the resource lists offline_access",
			"List it in the authorization server's metadata only.", excerpt(d, "scopes_supported"))
	}
	return pass(checkServers, "the metadata names one authorization server, at the same origin")
}
