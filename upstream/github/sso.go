// SPDX-License-Identifier: Apache-2.0

package github

import (
	"slices"
	"strings"
)

const (
	// maxSSO bounds the header in bytes; maxSSOOrgs how many organizations are
	// read from it.
	maxSSO     = 8 << 10
	maxSSOOrgs = 500
)

// ssoHeader is X-GitHub-SSO: organizations with SAML single sign-on have said
// nothing to this token. The zero value says that none did.
type ssoHeader struct {
	// required is whether one organization refused the whole request. url is where
	// the user can sign in there, not checked, for an hour.
	required bool
	url      string
	// partial is whether a list lacks what these organizations have.
	partial bool
	orgs    []int64
}

// parseSSO reads "required; url=…" and "partial-results; organizations=1,2".
// What cannot be read is as if GitHub had named nobody, but the first word counts.
func parseSSO(header string) ssoHeader {
	word, rest, _ := strings.Cut(header, ";")
	if len(header) > maxSSO {
		rest = ""
	}
	var h ssoHeader
	switch strings.ToLower(strings.TrimSpace(word)) {
	case "required":
		h.required = true
	case "partial-results":
		h.partial = true
	default:
		return ssoHeader{}
	}
	name, value, _ := strings.Cut(strings.TrimSpace(rest), "=")
	switch {
	case h.required && strings.EqualFold(name, "url"):
		h.url = strings.TrimSpace(value) // to its end: it may contain anything
	case h.partial && strings.EqualFold(name, "organizations"):
		value, _, _ = strings.Cut(value, ";")
		h.orgs = parseIDs(value)
	}
	return h
}

// parseIDs reads ids between commas, sorted, and leaves out what is none.
func parseIDs(s string) []int64 {
	var ids []int64
	for field := range strings.SplitSeq(s, ",") {
		if id, ok := parseCount(strings.TrimSpace(field)); ok && id > 0 && len(ids) < maxSSOOrgs {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

// join is what two answers say together.
func (h ssoHeader) join(other ssoHeader) ssoHeader {
	h.partial = h.partial || other.partial
	ids := slices.Concat(h.orgs, other.orgs)
	slices.Sort(ids)
	h.orgs = slices.Compact(ids)
	return h
}

func (h ssoHeader) names(org int64) bool { return slices.Contains(h.orgs, org) }
