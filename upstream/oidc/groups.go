// SPDX-License-Identifier: Apache-2.0

package oidc

import (
	"encoding/json"
	"slices"
	"strings"
)

const (
	// maxGroups and maxGroupBytes bound a user's groups. They are kept with every
	// grant and go to the backend in a header.
	maxGroups     = 1000
	maxGroupBytes = 64 << 10
)

// groupState is what a provider says about groups.
type groupState int

const (
	groupsMissing   groupState = iota // nothing
	groupsListed                      // all of them
	groupsElsewhere                   // there are too many to list
)

// groupFacts is what was found about groups.
type groupFacts struct {
	state groupState
	names []string // sorted, in the provider's spelling
	// dropped counts what cannot be the name of a group.
	dropped int
}

// readGroups finds the groups in one source of claims.
func readGroups(claims object, path string) groupFacts {
	if isElsewhere(claims, path) {
		return groupFacts{state: groupsElsewhere}
	}
	raw := find(claims, path)
	if raw == nil {
		return groupFacts{}
	}
	var entries []json.RawMessage
	switch {
	case raw[0] == '"':
		entries = []json.RawMessage{raw}
	case raw[0] != '[' || json.Unmarshal(raw, &entries) != nil:
		return groupFacts{dropped: 1}
	}
	found := groupFacts{state: groupsListed}
	size := 0
	for _, entry := range entries {
		name, ok := asText(entry)
		if !ok || name == "" || len(name) > maxText || text(name) != name {
			found.dropped++
			continue
		}
		found.names = append(found.names, name)
		size += len(name)
	}
	slices.Sort(found.names)
	found.names = slices.Compact(found.names)
	if len(found.names) > maxGroups || size > maxGroupBytes {
		// Which of them would be left out? Half a list is no list.
		return groupFacts{state: groupsElsewhere}
	}
	return found
}

// isElsewhere reports that the claim is at another endpoint (OpenID Connect Core
// §5.6.2). Entra does that for users of more than two hundred groups; looking there
// takes permissions for its directory.
func isElsewhere(claims object, path string) bool {
	if !claims.has("_claim_names") {
		return false
	}
	names, err := parseObject(claims["_claim_names"])
	return err != nil || names.has(path)
}

// find returns the claim at a path of names joined with dots, nil if there is none.
// Names may have dots themselves, as those of Auth0, which are URLs: the longest
// name that is there counts, at every step.
func find(claims object, path string) json.RawMessage {
	if claims.has(path) {
		return claims[path]
	}
	for dot := strings.LastIndexByte(path, '.'); dot > 0; dot = strings.LastIndexByte(path[:dot], '.') {
		if !claims.has(path[:dot]) {
			continue
		}
		inner, err := parseObject(claims[path[:dot]])
		if err != nil {
			continue
		}
		if found := find(inner, path[dot+1:]); found != nil {
			return found
		}
	}
	return nil
}
