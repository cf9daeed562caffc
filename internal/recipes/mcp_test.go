// SPDX-License-Identifier: Apache-2.0

package recipes

import (
	"encoding/json"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// The whole way: an MCP client with an access token, the guard, a proxy, and the MCP
// server of the Go recipe, which tells who is calling by the assertion alone.
func TestWhoAmIThroughTheGateway(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	backend, err := url.Parse(buildGo(t).start(t, b.jwksURL))
	if err != nil {
		t.Fatal(err)
	}
	proxy := &httputil.ReverseProxy{
		Rewrite: func(pr *httputil.ProxyRequest) {
			pr.SetURL(backend)
			pr.Out.Header.Del("X-Forwarded-User")
		},
		ErrorLog: log.New(io.Discard, "", 0),
	}
	g := b.guarded(issuer, "/mcp", proxy.ServeHTTP)
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := g.ServeHTTPError(w, r); err != nil {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	t.Cleanup(front.Close)

	session, err := mcp.NewClient(&mcp.Implementation{Name: "test", Version: "1"}, nil).Connect(t.Context(),
		&mcp.StreamableClientTransport{
			Endpoint:   front.URL + "/mcp",
			HTTPClient: &http.Client{Transport: withToken(b.token(issuer, "/mcp"))},
		}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = session.Close() }()
	result, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: "whoami"})
	if err != nil || result.IsError {
		t.Fatalf("%+v, %v", result, err)
	}
	raw, err := json.Marshal(result.StructuredContent)
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Subject  string   `json:"sub"`
		Username string   `json:"preferred_username"`
		Groups   []string `json:"groups"`
	}
	if err := json.Unmarshal(raw, &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]any{"github:583231", "octocat", 3}, []any{got.Subject, got.Username, len(got.Groups)}); diff != "" {
		t.Errorf("whoami (-want +got):\n%s", diff)
	}
}

type withToken string

func (tok withToken) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+string(tok))
	return http.DefaultTransport.RoundTrip(r)
}
