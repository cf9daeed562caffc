// SPDX-License-Identifier: Apache-2.0

package token

import (
	"crypto/rand"
	"encoding/base64"
)

// Prefixes of client credentials.
const (
	ClientIDPrefix     = "mcpc_"
	ClientSecretPrefix = "mcpcs_"
	RegistrationPrefix = "mcprg_"
)

// NewClientID makes a client identifier. It contains neither ':' nor '%', which
// some clients put into HTTP Basic credentials unencoded.
func NewClientID() string { return ClientIDPrefix + randomString(16) }

// NewClientSecret makes a client secret of 256 bits.
func NewClientSecret() string { return ClientSecretPrefix + randomString(32) }

// NewRegistrationToken makes a registration access token (RFC 7592 §1.2) of 256
// bits.
func NewRegistrationToken() string { return RegistrationPrefix + randomString(32) }

// NewSecret makes a secret of 256 bits for a cookie, a state or a PKCE verifier
// (43 characters, RFC 7636 §4.1).
func NewSecret() string { return randomString(32) }

// NewFlowID makes a short identifier that ties log lines and error pages of one
// sign-in together. It is no secret.
func NewFlowID() string { return randomString(6) }

func randomString(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails, see crypto/rand
	return base64.RawURLEncoding.EncodeToString(b)
}
