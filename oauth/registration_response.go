// SPDX-License-Identifier: Apache-2.0

package oauth

import "time"

// RegistrationResponse is the client information response (RFC 7591 §3.2.1,
// RFC 7592 §3): what we registered, and what only we know. No member is ever
// null.
type RegistrationResponse struct {
	ClientID string `json:"client_id"`
	// ClientIDIssuedAt is in seconds since 1970.
	ClientIDIssuedAt int64 `json:"client_id_issued_at"`
	// ClientSecret and ClientSecretExpiresAt are both present for a confidential
	// client and both absent for a public one. Zero means that it never expires.
	ClientSecret          string `json:"client_secret,omitempty"`
	ClientSecretExpiresAt *int64 `json:"client_secret_expires_at,omitempty"`
	// RegistrationAccessToken and RegistrationClientURI are those of RFC 7592,
	// absent where the client cannot manage its registration.
	RegistrationAccessToken string `json:"registration_access_token,omitempty"`
	RegistrationClientURI   string `json:"registration_client_uri,omitempty"`

	Registration
}

// NewRegistrationResponse answers a registration. secret is used only where the
// client is confidential; it never expires.
func NewRegistrationResponse(r *Registration, clientID, secret string, issuedAt time.Time) *RegistrationResponse {
	response := &RegistrationResponse{
		ClientID:         clientID,
		ClientIDIssuedAt: issuedAt.Unix(),
		Registration:     *r,
	}
	if r.Confidential() {
		response.ClientSecret = secret
		response.ClientSecretExpiresAt = new(int64)
	}
	return response
}
