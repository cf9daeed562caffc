// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"net/url"
	"strings"

	"github.com/caddy-mcp/caddy-mcp-oauth/token"
)

// bindParam carries the proof that a URI of the legacy HTTP+SSE transport was
// handed out to whoever uses it.
const bindParam = "mcp_bind"

// In the transport of revision 2024-11-05 the first event of a stream names the
// URI to post to, with a session id in its query. The backend has no users:
// without a binding anybody signed in who learned the id could post into somebody
// else's session (R10.23). So the URI is handed out with a MAC over subject, client,
// resource, path and query, and a request whose query looks like a session's must
// bring it. Nothing is stored.
//
// This holds on every path of every resource, because a legacy server may live
// behind any: `also` is for those with paths of their own. A session id in the
// path, which no known server has, is bound when handed out but not missed when it
// comes without.

// checkEndpoint returns the query of a request without the proof. It is false for a
// session of somebody else, or one we never handed out.
func (b sessionBinding) checkEndpoint(u *url.URL) (query string, ok bool) {
	if u.RawQuery == "" {
		return "", true
	}
	rest, proofs := cutParam(u.RawQuery, bindParam)
	switch len(proofs) {
	case 0:
		return rest, !looksLikeSession(rest)
	case 1:
		return rest, b.ring.CheckMAC(token.PurposeEndpoint, proofs[0], b.endpointParts(u.Path, rest)...)
	}
	return "", false
}

// endpointParts name subject, client and resource like those of a session id. The
// query counts as it is read, not as it is spelt: clients escape it anew.
func (b sessionBinding) endpointParts(path, query string) []string {
	g := b.token.grant
	return []string{g.subject, g.clientID, g.resource, path, canonicalQuery(query)}
}

// bindEndpoint is what the client is told for the URI that the backend named in
// the stream at base: as it was, with the proof at its end. A URI that names the
// backend's own address, or its own path, is made public first. One that leads
// elsewhere is left alone; clients refuse it.
func (g *Guard) bindEndpoint(b sessionBinding, base, matched, uri string) (string, bool) {
	u, err := url.Parse(uri)
	if err != nil || strings.Contains(uri, "#") {
		return "", false
	}
	changed, ok := g.publish(u, matched)
	if !ok {
		return "", false
	}
	if changed {
		uri = u.String()
	}
	target := (&url.URL{Scheme: g.scheme, Host: g.host, Path: base}).ResolveReference(u)
	query, stale := cutParam(target.RawQuery, bindParam)
	if len(stale) > 0 {
		return "", false // whatever that is, it is not for us to sign
	}
	proof := b.ring.MAC(token.PurposeEndpoint, b.endpointParts(target.Path, query)...)
	separator := "?"
	if u.RawQuery != "" || u.ForceQuery {
		separator = "&"
	}
	return uri + separator + bindParam + "=" + proof, true
}

// looksLikeSession reports whether a backend could read a session id out of the
// query: sessionId, session_id and the like, in any case and in the spellings that
// query parsers take for the same, sessionId[], [sessionId] or sess%69onId among
// them, and behind a semicolon, which some take for an ampersand.
func looksLikeSession(rawQuery string) bool {
	for pair := range strings.FieldsFuncSeq(rawQuery, func(c rune) bool { return c == '&' || c == ';' }) {
		name, _, _ := strings.Cut(pair, "=")
		name = unescaped(name)
		for part := range strings.FieldsFuncSeq(name, func(c rune) bool { return c == '[' || c == ']' || c == '.' }) {
			if strings.EqualFold(lettersOf(part), "sessionid") {
				return true
			}
		}
		if strings.EqualFold(lettersOf(name), "sessionid") { // PHP takes session.id for session_id
			return true
		}
	}
	return false
}

func lettersOf(s string) string {
	return strings.Map(func(c rune) rune {
		if c < 0x80 && foldByte(byte(c)) == '-' {
			return -1
		}
		return c
	}, s)
}

// cutParam removes a parameter from a raw query, keeps the rest byte for byte, and
// returns the values it had.
func cutParam(raw, name string) (rest string, values []string) {
	var kept []string
	for pair := range strings.SplitSeq(raw, "&") {
		key, value, _ := strings.Cut(pair, "=")
		if unescaped(key) == name {
			values = append(values, unescaped(value))
			continue
		}
		kept = append(kept, pair)
	}
	return strings.Join(kept, "&"), values
}

// canonicalQuery is one spelling for all queries that are read the same.
func canonicalQuery(raw string) string {
	if raw == "" {
		return ""
	}
	var b strings.Builder
	for pair := range strings.SplitSeq(raw, "&") {
		name, value, has := strings.Cut(pair, "=")
		b.WriteByte('&')
		b.WriteString(url.QueryEscape(unescaped(name)))
		if has {
			b.WriteByte('=')
			b.WriteString(url.QueryEscape(unescaped(value)))
		}
	}
	return b.String()
}

func unescaped(s string) string {
	if u, err := url.QueryUnescape(s); err == nil {
		return u
	}
	return s
}
