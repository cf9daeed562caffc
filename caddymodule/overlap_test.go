// SPDX-License-Identifier: Apache-2.0

package caddymodule

import (
	"fmt"
	"net/http"
	"testing"
)

// Several guards on one site, written so that an admission by one of them could be
// taken for one by another. The backend counts what reaches it.
func TestAdmissionOpensNothingElse(t *testing.T) {
	for name, c := range map[string]struct {
		site     string // %[1]s is our issuer, %[2]s another one, %[3]s the backend
		resource string // of the token, below our issuer
		path     string // of the request
		want     int
	}{
		"a longer path of another issuer, own handlers behind": {
			site: `
	mcp_oauth / {
		allow any
		issuer %[1]s
	}
	mcp_oauth /admin {
		allow local:nobody
		issuer %[2]s
	}
	reverse_proxy /admin* %[3]s`,
			path: "/admin", want: http.StatusMisdirectedRequest,
		},
		"the same path of another issuer": {
			site: `
	mcp_oauth /mcp {
		allow any
		issuer %[1]s
	}
	mcp_gateway /mcp %[3]s {
		allow local:nobody
		issuer %[2]s
	}`,
			resource: "/mcp", path: "/mcp", want: http.StatusMisdirectedRequest,
		},
		"a longer path of the same issuer, with a token for the shorter one": {
			site: `
	mcp_oauth /mcp {
		allow any
		issuer %[1]s
	}
	mcp_oauth /mcp/admin {
		allow local:nobody
		issuer %[1]s
	}
	reverse_proxy /mcp* %[3]s`,
			resource: "/mcp", path: "/mcp/admin", want: http.StatusUnauthorized,
		},
	} {
		t.Run(name, func(t *testing.T) {
			s, b := newSite(t), newBackend(t, nil)
			other := fmt.Sprintf("http://127.0.0.1:%d", s.port)
			s.load(s.config("", fmt.Sprintf(c.site, s.url, other, b.addr())))
			s.wantStatus(c.want, http.MethodPost, c.path, s.signIn(s.url+c.resource))
			if n := b.hits.Load(); n != 0 {
				t.Errorf("%d requests reached the backend", n)
			}
		})
	}
}
