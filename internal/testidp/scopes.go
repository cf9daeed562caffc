// SPDX-License-Identifier: Apache-2.0

package testidp

import (
	"crypto/rand"
	"encoding/hex"
	"slices"
)

// includes lists the scopes that a wider scope contains. GitHub reports only
// the wider one.
var includes = map[string][]string{
	"user":      {"read:user", "user:email", "user:follow"},
	"admin:org": {"write:org", "read:org"},
	"write:org": {"read:org"},
}

func normalizeScopes(asked []string) []string {
	scopes := slices.DeleteFunc(slices.Clone(asked), func(s string) bool {
		return slices.ContainsFunc(asked, func(wider string) bool { return slices.Contains(includes[wider], s) })
	})
	slices.Sort(scopes)
	return slices.Compact(scopes)
}

func isScopeSeparator(c rune) bool { return c == ' ' || c == ',' }

func randomHex(bytes int) string {
	b := make([]byte, bytes)
	_, _ = rand.Read(b) // never fails since Go 1.24
	return hex.EncodeToString(b)
}
