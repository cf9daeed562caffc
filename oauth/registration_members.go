// SPDX-License-Identifier: Apache-2.0

package oauth

import (
	"encoding/json"
	"slices"
	"strings"
)

const maxListMembers = 100

// knownMembers are the names a variant in case could be meant for.
var knownMembers = []string{
	"redirect_uris", "client_name", "client_uri", "token_endpoint_auth_method",
	"grant_types", "response_types", "scope", "application_type", "software_id",
	"software_version", "logo_uri", "tos_uri", "policy_uri",
}

// metadata reads members by their exact name and remembers the first error.
type metadata struct {
	members map[string]json.RawMessage
	err     *Error
}

func newMetadata(body []byte, more ...string) (*metadata, *Error) {
	members, err := strictObject(body)
	if err != nil {
		return nil, NewError(CodeInvalidClientMetadata, "the document %v", err)
	}
	for name := range members {
		for _, known := range slices.Concat(more, knownMembers) {
			// Another reader of the same document may take one for the other.
			if name != known && strings.EqualFold(name, known) {
				return nil, NewError(CodeInvalidClientMetadata, "%s must be written in lower case", known)
			}
		}
	}
	return &metadata{members: members}, nil
}

// has reports whether a member is there and not null.
func (m *metadata) has(name string) bool {
	raw, ok := m.members[name]
	return ok && string(raw) != "null"
}

func (m *metadata) str(name string) string {
	var s string
	m.decode(name, &s, "a string")
	return s
}

func (m *metadata) list(name string) []string {
	var list []*string
	m.decode(name, &list, "an array of strings")
	if len(list) > maxListMembers {
		m.fail(name, "has more than %d entries", maxListMembers)
		return nil
	}
	values := make([]string, 0, len(list))
	for _, s := range list {
		if s == nil {
			m.fail(name, "must be an array of strings")
			return nil
		}
		values = append(values, *s)
	}
	return values
}

// decode leaves into alone where the member is absent or null.
func (m *metadata) decode(name string, into any, want string) {
	raw, ok := m.members[name]
	if ok && json.Unmarshal(raw, into) != nil {
		m.fail(name, "must be %s", want)
	}
}

func (m *metadata) fail(name, format string, args ...any) {
	if m.err == nil {
		m.err = NewError(CodeInvalidClientMetadata, name+" "+format, args...)
	}
}
