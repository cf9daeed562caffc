// SPDX-License-Identifier: Apache-2.0

package github

import (
	"slices"
	"strings"
)

const scopeReadOrg = "read:org"

// scopeSet is what a token may do, as GitHub lists it.
type scopeSet []string

// parseScopes reads "read:org,user:email" of the token answer and
// "read:org, user:email" of the X-OAuth-Scopes header.
func parseScopes(list string) scopeSet {
	return strings.FieldsFunc(list, func(c rune) bool { return c == ',' || c == ' ' })
}

// readsOrgs says whether memberships can be listed. GitHub reports only the
// widest of scopes that include each other.
func (s scopeSet) readsOrgs() bool {
	return slices.ContainsFunc(s, func(scope string) bool {
		return scope == scopeReadOrg || scope == "write:org" || scope == "admin:org"
	})
}
