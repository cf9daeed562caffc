// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"
)

// tokenProxy is what the suite talks to in place of the gateway: it adds a bearer
// token, which the suite cannot send, and translates its own address into the
// gateway's. A foreign Host, as the suite sends against DNS rebinding, stays.
func tokenProxy(t *testing.T, gateway *url.URL, token string) string {
	t.Helper()
	proxy := &httputil.ReverseProxy{
		FlushInterval: -1, // event streams
		Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.URL.Scheme, r.Out.URL.Host = gateway.Scheme, gateway.Host
			own := r.In.Context().Value(http.LocalAddrContextKey).(interface{ String() string }).String()
			r.Out.Host = r.In.Host
			if sameAddress(r.In.Host, own) {
				r.Out.Host = gateway.Host
			}
			r.Out.Header.Set("Authorization", "Bearer "+token)
		},
	}
	server := httptest.NewServer(bodyFirst(proxy))
	t.Cleanup(func() {
		server.CloseClientConnections() // open streams would hold Close up
		server.Close()
	})
	return server.URL
}

// bodyFirst has the whole request before it is passed on. Go's reverse proxy may
// otherwise read the body once more while the server, which has begun to answer,
// closes it, and then gives the answer up half way: one time in two hundred here,
// with answers this quick.
func bodyFirst(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		if r.Body = http.NoBody; len(body) > 0 {
			r.Body = io.NopCloser(bytes.NewReader(body))
		}
		next.ServeHTTP(w, r)
	})
}

// sameAddress knows that localhost is 127.0.0.1.
func sameAddress(host, addr string) bool {
	return strings.Replace(host, "localhost:", "127.0.0.1:", 1) == addr
}
