// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/auth"
	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/modelcontextprotocol/go-sdk/oauthex"
)

// errSignIn is how far the discovery of a client gets: to the browser.
var errSignIn = errors.New("the browser would open now")

// afterwards are the servers at which the browser opens and the client fails
// later: the doctor looks further than this test does.
var afterwards = []string{
	"a 301 to the slash",                   // the POST with the token becomes a GET, too
	"no server metadata, nothing to guess", // the browser shows a 404
	"no token endpoint", "plain PKCE only", "no code",
}

// The real Go SDK is let loose on every broken server. It must get to the point
// where the browser opens exactly where the doctor says that it would.
func TestDoctorAgreesWithTheGoSDK(t *testing.T) {
	t.Parallel()
	var works, fails atomic.Int32
	t.Cleanup(func() {
		if works.Load() < 30 || fails.Load() < 20 {
			t.Errorf("%d servers work and %d do not: the test proves little", works.Load(), fails.Load())
		}
	})
	for _, group := range [][]broken{brokenGuards, brokenChallenges, brokenResources, brokenServers, brokenPages} {
		for _, tt := range group {
			t.Run(tt.name, func(t *testing.T) {
				t.Parallel()
				w, address := tt.world(t)
				says := slices.ContainsFunc(w.examine(address).Clients, func(v Verdict) bool { return v.ID == goSDK && v.Works })
				err := goSDKConnects(t, w, address)
				if got := errors.Is(err, errSignIn); got != (says || slices.Contains(afterwards, tt.name)) {
					t.Errorf("the doctor says that it works: %v; the SDK: %v", says, err)
				}
				if says {
					works.Add(1)
				} else {
					fails.Add(1)
				}
			})
		}
	}
}

func goSDKConnects(t *testing.T, w *world, address string) error {
	t.Helper()
	const redirect = "http://127.0.0.1:33418/callback"
	handler, err := auth.NewAuthorizationCodeHandler(&auth.AuthorizationCodeHandlerConfig{
		RedirectURL: redirect,
		DynamicClientRegistrationConfig: &auth.DynamicClientRegistrationConfig{
			Metadata: &oauthex.ClientRegistrationMetadata{
				ClientName: "Go SDK", RedirectURIs: []string{redirect}, TokenEndpointAuthMethod: "none",
			},
		},
		AuthorizationCodeFetcher: func(context.Context, *auth.AuthorizationArgs) (*auth.AuthorizationResult, error) {
			return nil, errSignIn
		},
		Client: w.client,
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	session, err := mcp.NewClient(&mcp.Implementation{Name: "doctor", Version: "1"}, nil).Connect(ctx,
		&mcp.StreamableClientTransport{Endpoint: address, HTTPClient: &http.Client{Transport: w.client.Transport}, OAuthHandler: handler}, nil)
	if err == nil {
		_ = session.Close()
	}
	return err
}
