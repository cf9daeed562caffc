// SPDX-License-Identifier: Apache-2.0

package oauth

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestServerMetadata(t *testing.T) {
	t.Parallel()
	got := members(t, NewServerMetadata("https://mcp.example.com", ServerMetadataOptions{
		Scopes:             []string{"mcp", "ops", "mcp"},
		ProtectedResources: []string{"https://mcp.example.com/mcp"},
		Registration:       true, Revocation: true, Introspection: true, JWKS: true, ClientIDDocuments: true, PrivateKeyJWT: true,
		ServiceDocumentation: "https://docs.example.com",
	}))
	methods := []any{"none", "client_secret_post", "client_secret_basic", "private_key_jwt"}
	algorithms := []any{"RS256", "PS256", "ES256", "EdDSA"}
	want := map[string]any{
		"issuer":                                        "https://mcp.example.com",
		"authorization_endpoint":                        "https://mcp.example.com/authorize",
		"token_endpoint":                                "https://mcp.example.com/token",
		"registration_endpoint":                         "https://mcp.example.com/register",
		"revocation_endpoint":                           "https://mcp.example.com/revoke",
		"introspection_endpoint":                        "https://mcp.example.com/introspect",
		"jwks_uri":                                      "https://mcp.example.com/jwks",
		"scopes_supported":                              []any{"mcp", "ops", "offline_access"},
		"response_types_supported":                      []any{"code"},
		"response_modes_supported":                      []any{"query"},
		"grant_types_supported":                         []any{"authorization_code", "refresh_token"},
		"code_challenge_methods_supported":              []any{"S256"},
		"token_endpoint_auth_methods_supported":         methods,
		"revocation_endpoint_auth_methods_supported":    methods,
		"introspection_endpoint_auth_methods_supported": methods[1:],

		"token_endpoint_auth_signing_alg_values_supported":         algorithms,
		"revocation_endpoint_auth_signing_alg_values_supported":    algorithms,
		"introspection_endpoint_auth_signing_alg_values_supported": algorithms,

		"authorization_response_iss_parameter_supported": true,
		"client_id_metadata_document_supported":          true,
		"protected_resources":                            []any{"https://mcp.example.com/mcp"},
		"service_documentation":                          "https://docs.example.com",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// An endpoint that is announced and not there is a dead end for every client
// that believes it.
func TestServerMetadataAnnouncesOnlyWhatExists(t *testing.T) {
	t.Parallel()
	got := members(t, NewServerMetadata("http://localhost:8080", ServerMetadataOptions{}))
	want := map[string]any{
		"issuer":                                         "http://localhost:8080",
		"authorization_endpoint":                         "http://localhost:8080/authorize",
		"token_endpoint":                                 "http://localhost:8080/token",
		"scopes_supported":                               []any{"offline_access"},
		"response_types_supported":                       []any{"code"},
		"response_modes_supported":                       []any{"query"},
		"grant_types_supported":                          []any{"authorization_code", "refresh_token"},
		"code_challenge_methods_supported":               []any{"S256"},
		"token_endpoint_auth_methods_supported":          []any{"none", "client_secret_post", "client_secret_basic"},
		"authorization_response_iss_parameter_supported": true,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestServerMetadataDoesNotAlias(t *testing.T) {
	t.Parallel()
	opts := ServerMetadataOptions{Scopes: append(make([]string, 0, 4), "mcp"), ProtectedResources: []string{"https://h/mcp"}}
	m := NewServerMetadata("https://h", opts)
	m.ScopesSupported[0], m.ProtectedResources[0] = "x", "x"
	if opts.Scopes[0] != "mcp" || opts.Scopes[:2][1] != "" || opts.ProtectedResources[0] != "https://h/mcp" {
		t.Errorf("the options were written to: %+v", opts)
	}
}

// RFC 9728 §3.2: no zero values.
func TestResourceMetadata(t *testing.T) {
	t.Parallel()
	got := members(t, &ResourceMetadata{
		Resource: "https://h/mcp", AuthorizationServers: []string{"https://h"}, BearerMethodsSupported: []string{"header"},
		ScopesSupported: []string{"mcp"}, ResourceName: "Weather",
	})
	want := map[string]any{
		"resource": "https://h/mcp", "authorization_servers": []any{"https://h"}, "bearer_methods_supported": []any{"header"},
		"scopes_supported": []any{"mcp"}, "resource_name": "Weather",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	members(t, &ResourceMetadata{Resource: "https://h", AuthorizationServers: []string{"https://h"}, BearerMethodsSupported: []string{"header"}})
}
