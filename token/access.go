// SPDX-License-Identifier: Apache-2.0

package token

import (
	"encoding/json"
	"strings"
	"time"
)

// AccessPrefix begins every access token, for people and for secret scanners.
const AccessPrefix = "mcpat_"

// Access is what an access token carries. To everybody but us it is opaque.
type Access struct {
	Issuer   string
	GrantID  string
	Subject  string
	ClientID string
	// Resource is the audience: the canonical identifier of the one protected
	// resource the token is good for (RFC 8707 §2).
	Resource  string
	Scopes    []string
	ExpiresAt time.Time
}

// accessWire keeps tokens short: they travel on every request.
type accessWire struct {
	Issuer   string   `json:"i"`
	GrantID  string   `json:"g"`
	Subject  string   `json:"s"`
	ClientID string   `json:"c"`
	Resource string   `json:"r"`
	Scopes   []string `json:"p,omitempty"`
	Expires  int64    `json:"e"`
}

// SealAccess makes an access token.
func (r *Ring) SealAccess(a Access) (string, error) {
	b, err := json.Marshal(accessWire{
		a.Issuer, a.GrantID, a.Subject, a.ClientID, a.Resource, a.Scopes, a.ExpiresAt.Unix(),
	})
	if err != nil {
		return "", err
	}
	return AccessPrefix + r.Seal(PurposeAccess, b, AccessPrefix), nil
}

// OpenAccess returns what an access token carries, or ErrInvalid for one we did
// not make. It does not look at the clock: the caller compares ExpiresAt.
func (r *Ring) OpenAccess(s string) (Access, error) {
	sealed, ok := strings.CutPrefix(s, AccessPrefix)
	if !ok {
		return Access{}, ErrInvalid
	}
	b, err := r.Open(PurposeAccess, sealed, AccessPrefix)
	if err != nil {
		return Access{}, err
	}
	var w accessWire
	if err := json.Unmarshal(b, &w); err != nil {
		return Access{}, ErrInvalid
	}
	return Access{w.Issuer, w.GrantID, w.Subject, w.ClientID, w.Resource, w.Scopes, time.Unix(w.Expires, 0)}, nil
}
