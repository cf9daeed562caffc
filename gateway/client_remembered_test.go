// SPDX-License-Identifier: Apache-2.0

package gateway_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/caddy-mcp/caddy-mcp-oauth/oauth"
)

// A person agreed for good to what a document said. Whoever takes the website over
// and changes the document has no such agreement; keys that are rotated at their
// address are no change (R4.12).
func TestRememberedConsentOfAChangedDocument(t *testing.T) {
	t.Parallel()
	signing := members{"token_endpoint_auth_method": "private_key_jwt"}
	for name, tt := range map[string]struct {
		first, then members
		asked       bool
	}{
		"nothing":     {nil, nil, false},
		"its scope":   {nil, members{"scope": "mcp other", "contacts": []string{"a@b.example"}}, false},
		"its name":    {nil, members{"client_name": "Other"}, true},
		"its address": {nil, members{"redirect_uris": []string{webURI, "https://evil.example/cb"}}, true},
		"its method":  {nil, members{"token_endpoint_auth_method": "private_key_jwt", "jwks": keySet("rsa")}, true},
		"its keys":    {also(signing, "jwks", keySet("rsa")), also(signing, "jwks", keySet("rsa2")), true},
		"key ids":     {also(signing, "jwks", keySet("rsa", "ec")), also(signing, "jwks", keySet("ec", "rsa")), false},
		"where its keys are": {
			also(signing, "jwks_uri", "https://client.example/a"), also(signing, "jwks_uri", "https://client.example/b"), true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, p := newDocumentWorld(t)
			b := w.signedIn()
			q := authorizeQuery(p.document("/client.json", tt.first), webURI)
			b.remembers(q)
			wantCode(t, b.fromClient(q))
			p.document("/client.json", tt.then)
			w.clock.Advance(5 * time.Minute)
			resp := b.fromClient(q)
			if tt.asked {
				wantPage(t, resp, http.StatusOK, "")
				return
			}
			wantCode(t, resp)
		})
	}
}

func also(m members, name string, value any) members {
	out := members{name: value}
	for k, v := range m {
		out[k] = v
	}
	return out
}

// Nothing is remembered of a client that cannot be found any more.
func TestRememberedConsentWithoutItsDocument(t *testing.T) {
	t.Parallel()
	w, p := newDocumentWorld(t)
	b := w.signedIn()
	q := authorizeQuery(p.document("/client.json", nil), webURI)
	b.remembers(q)
	p.serve("/client.json", http.NotFound)
	w.clock.Advance(5 * time.Minute)
	wantPage(t, b.fromClient(q), http.StatusBadRequest, "client_document")
	wantPage(t, b.get(oauth.PathAuthorize+"?"+q.Encode()), http.StatusBadRequest, "client_document")
}
