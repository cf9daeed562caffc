// SPDX-License-Identifier: Apache-2.0

package testmcp_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/caddy-mcp/caddy-mcp-oauth/internal/testmcp"
)

func TestIdentityOf(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		header http.Header
		want   testmcp.WhoAmI
	}{
		{name: "nothing", header: nil, want: testmcp.WhoAmI{}},
		{
			name: "everything",
			header: http.Header{
				"X-Forwarded-User": {"local:demo"}, "X-Forwarded-Preferred-Username": {"demo"},
				"X-Forwarded-Email": {"demo@example.com"}, "X-Forwarded-Groups": {"family"},
				"X-Mcp-Client-Id": {"c"}, "X-Mcp-Scope": {"mcp"},
			},
			want: testmcp.WhoAmI{
				User: "local:demo", PreferredUsername: "demo", Email: "demo@example.com",
				Groups: "family", ClientID: "c", Scope: "mcp",
			},
		},
		{
			name:   "two values show",
			header: http.Header{"X-Forwarded-User": {"local:demo", "local:root"}},
			want:   testmcp.WhoAmI{User: "local:demo, local:root"},
		},
		{
			name:   "presence of an empty credential shows",
			header: http.Header{"Authorization": {""}, "Cookie": {""}},
			want:   testmcp.WhoAmI{Authorization: true, Cookie: true},
		},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(tc.want, testmcp.IdentityOf(tc.header)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// A token that reached the backend by mistake is reported, never repeated.
func TestWhoAmINeverRepeatsACredential(t *testing.T) {
	t.Parallel()
	who := testmcp.IdentityOf(http.Header{"Authorization": {"Bearer s3cret"}, "Cookie": {"sid=s3cret"}})
	out, err := json.Marshal(who)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(out), "s3cret") {
		t.Errorf("the credential is in the result: %s", out)
	}
}
