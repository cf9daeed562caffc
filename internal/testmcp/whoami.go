// SPDX-License-Identifier: Apache-2.0

package testmcp

import (
	"net/http"
	"strings"
)

// WhoAmI is the result of the whoami tool: the identity headers of one request
// exactly as they arrived, an absent one as the empty string. Two headers of
// the same name are joined with ", ", so that a smuggled second value shows.
type WhoAmI struct {
	User              string `json:"X-Forwarded-User,omitempty"`
	PreferredUsername string `json:"X-Forwarded-Preferred-Username,omitempty"`
	Email             string `json:"X-Forwarded-Email,omitempty"`
	Groups            string `json:"X-Forwarded-Groups,omitempty"`
	ClientID          string `json:"X-Mcp-Client-Id,omitempty"`
	Scope             string `json:"X-Mcp-Scope,omitempty"`
	// Authorization and Cookie say whether such a header arrived. A gateway
	// that works passes neither on; their values are never repeated.
	Authorization bool `json:"authorization_header_arrived"`
	Cookie        bool `json:"cookie_header_arrived"`
}

// IdentityOf reads the identity headers of h.
func IdentityOf(h http.Header) WhoAmI {
	joined := func(name string) string { return strings.Join(h.Values(name), ", ") }
	return WhoAmI{
		User:              joined("X-Forwarded-User"),
		PreferredUsername: joined("X-Forwarded-Preferred-Username"),
		Email:             joined("X-Forwarded-Email"),
		Groups:            joined("X-Forwarded-Groups"),
		ClientID:          joined("X-Mcp-Client-Id"),
		Scope:             joined("X-Mcp-Scope"),
		Authorization:     len(h.Values("Authorization")) > 0,
		Cookie:            len(h.Values("Cookie")) > 0,
	}
}
