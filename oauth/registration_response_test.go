// SPDX-License-Identifier: Apache-2.0

package oauth

import (
	"bytes"
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var issued = time.Date(2026, 11, 25, 12, 0, 0, 5, time.FixedZone("", 3600))

// members decodes a document the way a client sees it.
func members(t *testing.T, v any) map[string]any {
	t.Helper()
	raw, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(raw, []byte("null")) || bytes.Contains(raw, []byte("[]")) {
		t.Errorf("null or empty list, which clients refuse: %s", raw)
	}
	var m map[string]any
	if err := json.Unmarshal(raw, &m); err != nil {
		t.Fatal(err)
	}
	return m
}

func TestRegistrationResponseConfidential(t *testing.T) {
	t.Parallel()
	r, perr := ParseRegistration(clientBodies(t)["le-chat"])
	if perr != nil {
		t.Fatal(perr)
	}
	want := map[string]any{
		"client_id": "mcpc_1", "client_id_issued_at": float64(issued.Unix()), "client_secret": "mcpcs_s", "client_secret_expires_at": float64(0),
		"client_name": "Mistral AI", "redirect_uris": []any{"https://callback.mistral.ai/v1/integrations_auth/oauth2_callback"},
		"grant_types": []any{"authorization_code", "refresh_token"}, "response_types": []any{"code"},
		"token_endpoint_auth_method": "client_secret_basic", "application_type": "web",
	}
	if diff := cmp.Diff(want, members(t, NewRegistrationResponse(r, "mcpc_1", "mcpcs_s", issued))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// "none" beside a secret is a contradiction some clients stumble over, so a
// public client gets neither, whatever the caller passes.
func TestRegistrationResponsePublic(t *testing.T) {
	t.Parallel()
	r, perr := ParseRegistration(clientBodies(t)["inspector-2"])
	if perr != nil {
		t.Fatal(perr)
	}
	want := map[string]any{
		"client_id": "mcpc_1", "client_id_issued_at": float64(issued.Unix()),
		"client_name": "MCP Inspector", "client_uri": "https://github.com/modelcontextprotocol/inspector",
		"redirect_uris": []any{"http://127.0.0.1:6276/oauth/callback"},
		"grant_types":   []any{"authorization_code", "refresh_token"}, "response_types": []any{"code"},
		"token_endpoint_auth_method": "none", "application_type": "native",
	}
	if diff := cmp.Diff(want, members(t, NewRegistrationResponse(r, "mcpc_1", "ignored", issued))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestRegistrationResponseManagement(t *testing.T) {
	t.Parallel()
	r, perr := ParseRegistration(clientBodies(t)["goose"])
	if perr != nil {
		t.Fatal(perr)
	}
	response := NewRegistrationResponse(r, "c", "", issued)
	response.RegistrationAccessToken, response.RegistrationClientURI = "t", "https://h/register/c"
	got := members(t, response)
	if got["registration_access_token"] != "t" || got["registration_client_uri"] != "https://h/register/c" {
		t.Errorf("RFC 7592 members: %v", got)
	}
}

// Whatever a real client registers, nothing in the answer is null: the TypeScript
// schema refuses the whole answer for it.
func TestRegistrationResponseOfRealClients(t *testing.T) {
	t.Parallel()
	for name, body := range clientBodies(t) {
		r, perr := ParseRegistration(body)
		if perr != nil {
			t.Fatalf("%s: %v", name, perr)
		}
		got := members(t, NewRegistrationResponse(r, "c", "s", issued))
		_, hasSecret := got["client_secret"]
		_, hasExpiry := got["client_secret_expires_at"]
		if hasSecret != r.Confidential() || hasExpiry != hasSecret {
			t.Errorf("%s: secret %v, expiry %v, method %s", name, hasSecret, hasExpiry, r.TokenEndpointAuthMethod)
		}
	}
}
