// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"slices"
	"strings"

	"github.com/caddy-mcp/caddy-mcp-oauth/identity"
)

// about says whether a bound rule is about the people of an upstream at all.
func (r Rule) about(upstream, kind string) bool {
	return (r.Upstream == upstream || r.Upstream == "" && r.Type == TypeAny) && slices.Contains(kindsOf[r.Type], kind)
}

// matches compares a rule's value with an identity that is already known to
// come from the rule's upstream. An unknown type matches nobody.
func (r Rule) matches(id identity.Identity) bool {
	if r.Type != TypeAny && r.Value == "" {
		return false
	}
	switch r.Type {
	case TypeAny:
		return true
	case TypeUser:
		return equalFoldASCII(id.Login, r.Value)
	case TypeID, TypeLocal:
		return id.ID == r.Value
	case TypeOrg, TypeTeam:
		// An organization never contains a slash and a team always does, so
		// neither can pass for the other.
		isTeam := strings.Contains(r.Value, "/")
		return isTeam == (r.Type == TypeTeam) && slices.ContainsFunc(id.Groups, func(g string) bool {
			return equalFoldASCII(g, r.Value)
		})
	case TypeGroup:
		return slices.Contains(id.Groups, r.Value)
	case TypeEmail:
		_, ok := emailDomain(id.Email)
		return ok && id.EmailVerified && equalFoldASCII(id.Email, r.Value)
	case TypeDomain:
		domain, ok := emailDomain(id.Email)
		return ok && id.EmailVerified && equalFoldASCII(domain, r.Value)
	}
	return false
}

// emailDomain is what follows the last @ of an address. Not ok means that the
// string is no address: blanks, control characters, an empty part, or a second
// @ outside a quoted local part (RFC 5321 §4.1.2), which readers take apart
// differently.
func emailDomain(address string) (domain string, ok bool) {
	at := strings.LastIndexByte(address, '@')
	if at <= 0 || at == len(address)-1 {
		return "", false
	}
	local, domain := address[:at], address[at+1:]
	if strings.Contains(local, "@") && !(len(local) > 2 && local[0] == '"' && local[len(local)-1] == '"') {
		return "", false
	}
	for i := range len(address) {
		if c := address[i]; c <= ' ' || c == 0x7f {
			return "", false
		}
	}
	return domain, true
}

// equalFoldASCII ignores the case of A-Z only. strings.EqualFold would also
// take the Kelvin sign for a k and the long s for an s: two names that an
// upstream keeps apart would be one.
func equalFoldASCII(a, b string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range len(a) {
		if lowerASCII(a[i]) != lowerASCII(b[i]) {
			return false
		}
	}
	return true
}

func lowerASCII(c byte) byte {
	if c >= 'A' && c <= 'Z' {
		return c + ('a' - 'A')
	}
	return c
}
