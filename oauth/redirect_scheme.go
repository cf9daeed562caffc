// SPDX-License-Identifier: Apache-2.0

package oauth

import (
	"slices"
	"strings"
)

// refusedScheme reports whether a redirect must never go to a URI of this
// lower-case scheme. Everything else that is not http or https may be some
// client's private-use scheme (RFC 8252 §7.1): what clients use (cursor, vscode,
// claude) has no dot, so a list of the dangerous ones is the only line that
// keeps them working.
func refusedScheme(scheme string) bool {
	if strings.Contains(scheme, "+") {
		// "git+ssh", "view-source+https": what a compound scheme does is decided
		// by its parts.
		for part := range strings.SplitSeq(scheme, "+") {
			if part == "http" || part == "https" || refusedScheme(part) {
				return true
			}
		}
	}
	return slices.Contains(activeSchemes, scheme) ||
		slices.Contains(systemSchemes, scheme) ||
		slices.Contains(permanentSchemes, scheme) ||
		slices.ContainsFunc(refusedPrefixes, func(p string) bool { return strings.HasPrefix(scheme, p) })
}

// activeSchemes run or show content inside the browser, with the code in it.
var activeSchemes = []string{
	"about", "blob", "brave", "browserext", "data", "edge", "file", "filesystem",
	"jar", "javascript", "livescript", "mhtml", "mocha", "opera", "res",
	"resource", "vbscript", "view-source", "vivaldi", "wyciwyg",
}

// systemSchemes make the operating system connect, mount, call, install or hand
// the link to an arbitrary program.
var systemSchemes = []string{
	"afp", "android", "android-app", "callto", "content", "facetime",
	"hcp", "intent", "ldaps", "market", "mk", "mqtt", "mqtts", "sftp", "shell",
	"shortcuts", "smb", "smtp", "ssh", "svn", "webdav", "webdavs",
}

// refusedPrefixes are families of both kinds.
var refusedPrefixes = []string{
	"chrome", "itms", "microsoft-edge", "microsoft.windows.", "moz-", "ms-",
	"safari-", "search", "x-apple",
}

// permanentSchemes are the permanent entries of the IANA registry "Uniform
// Resource Identifier (URI) Schemes" as of its edition of 2022-11-18
// (https://www.iana.org/assignments/uri-schemes/), http and https excepted.
// Each belongs to a protocol of its own, so none is a client's private one.
var permanentSchemes = []string{
	"aaa", "aaas", "about", "acap", "acct", "afs", "cap", "cid", "coap", "coap+tcp",
	"coap+ws", "coaps", "coaps+tcp", "coaps+ws", "crid", "data", "dav", "dict",
	"dns", "dtn", "example", "file", "ftp", "geo", "go", "gopher", "h323", "iax",
	"icap", "im", "imap", "info", "ipn", "ipp", "ipps", "iris", "iris.beep",
	"iris.lwz", "iris.xpc", "iris.xpcs", "jabber", "ldap", "leaptofrogans",
	"mailto", "mid", "msrp", "msrps", "mtqp", "mupdate", "news", "nfs", "ni",
	"nih", "nntp", "opaquelocktoken", "pkcs11", "pop", "pres", "reload", "rtsp",
	"rtsps", "rtspu", "service", "session", "shttp", "sieve", "sip", "sips",
	"sms", "snmp", "soap.beep", "soap.beeps", "stun", "stuns", "tag", "tel",
	"telnet", "tftp", "thismessage", "tip", "tn3270", "turn", "turns", "tv",
	"urn", "vemmi", "vnc", "ws", "wss", "xcon", "xcon-userid", "xmlrpc.beep",
	"xmlrpc.beeps", "xmpp", "z39.50r", "z39.50s",
}
