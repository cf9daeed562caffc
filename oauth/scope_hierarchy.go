// SPDX-License-Identifier: Apache-2.0

package oauth

import (
	"fmt"
	"maps"
	"slices"
)

// ScopeHierarchy says which scopes a scope includes (R9.4): "mcp:admin" may include
// "mcp:read", so that a token with the first need not hold the second. Inclusion is
// transitive. The zero value includes nothing.
type ScopeHierarchy map[string][]string

// Covers reports whether one of the held scopes is the wanted one or includes it.
func (h ScopeHierarchy) Covers(held []string, wanted string) bool {
	seen := map[string]bool{}
	for open := slices.Clone(held); len(open) > 0; {
		scope := open[len(open)-1]
		open = open[:len(open)-1]
		if scope == wanted {
			return true
		}
		if !seen[scope] {
			seen[scope] = true
			open = append(open, h[scope]...)
		}
	}
	return false
}

// Missing returns those of the required scopes that the held ones do not cover, in
// their order; nil if they suffice.
func (h ScopeHierarchy) Missing(held, required []string) []string {
	var missing []string
	for _, scope := range required {
		if !h.Covers(held, scope) {
			missing = append(missing, scope)
		}
	}
	return missing
}

// Scopes are all that the hierarchy speaks of, each once, sorted.
func (h ScopeHierarchy) Scopes() []string {
	var all []string
	for scope, included := range h {
		all = append(append(all, scope), included...)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// Check refuses scopes that are none, scopes that include nothing, and scopes that
// include themselves in the end: two that include each other would be one.
func (h ScopeHierarchy) Check() error {
	for _, scope := range h.Scopes() {
		if !ValidScopeToken(scope) || scope == ScopeOfflineAccess {
			return fmt.Errorf("%q cannot be a scope of a resource", scope)
		}
	}
	for _, scope := range slices.Sorted(maps.Keys(h)) {
		switch included := h[scope]; {
		case len(included) == 0:
			return fmt.Errorf("scope %q includes nothing", scope)
		case h.Covers(included, scope):
			return fmt.Errorf("scope %q includes itself", scope)
		}
	}
	return nil
}

// StepUpScopes is what the challenge to a token with too little names (R9.3): what
// it holds, as far as the resource knows it, and all that the request needs. Some
// clients ask for just what they are told and would lose what they had; others
// unite both by themselves. offline_access belongs to no resource (R2.7).
func StepUpScopes(held, known, required []string) []string {
	var scopes []string
	for _, scope := range held {
		if scope != ScopeOfflineAccess && slices.Contains(known, scope) && !slices.Contains(scopes, scope) {
			scopes = append(scopes, scope)
		}
	}
	for _, scope := range required {
		if !slices.Contains(scopes, scope) {
			scopes = append(scopes, scope)
		}
	}
	return scopes
}
