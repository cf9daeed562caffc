// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/auth"
	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/modelcontextprotocol/go-sdk/oauthex"

	"github.com/caddy-mcp/caddy-mcp-oauth/internal/testmcp"
)

// redirectURI is where the Go client wants its code. Nothing listens there: the
// browser stops before it, and the client takes the answer from the address.
const redirectURI = "http://127.0.0.1:1/callback"

// person is somebody at a browser who deals with the gateway's pages.
type person struct {
	browser *browser
	// decision is the button on the consent page, "approve" unless set.
	decision string
	// upstream is what they choose on it, where there is a choice. Empty is what the
	// page suggests.
	upstream string
	// onConsent is called with the consent page, if set.
	onConsent func(*page)
	// afterConsent deals with the page the decision led to, if set: a sign-in
	// page of our own.
	afterConsent func(*page) (*page, error)
	// signIns counts how often the person was bothered.
	signIns atomic.Int32
	// lastPage is where the last sign-in ended.
	lastPage *page
}

func newPerson() *person {
	return &person{browser: &browser{stopAt: redirectURI}, decision: "approve"}
}

// authorize is the person's part of a sign-in: open the address, decide, and end
// up wherever that leads.
func (p *person) authorize(ctx context.Context, address string) (*page, error) {
	p.signIns.Add(1)
	consent, err := p.browser.open(ctx, address)
	if err != nil {
		return nil, err
	}
	if consent.status != http.StatusOK {
		p.lastPage = consent
		return consent, nil
	}
	if p.onConsent != nil {
		p.onConsent(consent)
	}
	var choice url.Values
	if p.upstream != "" {
		choice = url.Values{"upstream": {p.upstream}}
	}
	p.lastPage, err = p.browser.submit(ctx, consent, p.decision, choice)
	if err == nil && p.afterConsent != nil {
		p.lastPage, err = p.afterConsent(p.lastPage)
	}
	return p.lastPage, err
}

// errRefused is what a client is told, or what its user sees instead of a code.
var errRefused = errors.New("no code")

// fetchCode is an AuthorizationCodeFetcher.
func (p *person) fetchCode(ctx context.Context, args *auth.AuthorizationArgs) (*auth.AuthorizationResult, error) {
	end, err := p.authorize(ctx, args.URL)
	if err != nil {
		return nil, err
	}
	query := end.url.Query()
	if !strings.HasPrefix(end.url.String(), redirectURI+"?") || query.Get("code") == "" {
		return nil, fmt.Errorf("%w: ended at %s with %d, error=%q", errRefused, originOf(end.url)+end.url.Path, end.status, query.Get("error"))
	}
	return &auth.AuthorizationResult{Code: query.Get("code"), State: query.Get("state"), Iss: query.Get("iss")}, nil
}

// client is an MCP client of the Go SDK with its own OAuth code, nothing of
// which is replaced.
type client struct {
	wire  *wire
	oauth *auth.AuthorizationCodeHandler
}

func newClient(t *testing.T, p *person) *client {
	t.Helper()
	return newClientAt(t, redirectURI, p.fetchCode)
}

// newClientAt makes a client with a redirect URI of its own and whatever fetches
// the code.
func newClientAt(t *testing.T, redirect string, fetch auth.AuthorizationCodeFetcher) *client {
	t.Helper()
	w := &wire{}
	handler, err := auth.NewAuthorizationCodeHandler(&auth.AuthorizationCodeHandlerConfig{
		RedirectURL: redirect,
		DynamicClientRegistrationConfig: &auth.DynamicClientRegistrationConfig{
			Metadata: &oauthex.ClientRegistrationMetadata{
				ClientName:              "End-to-end test",
				RedirectURIs:            []string{redirect},
				GrantTypes:              []string{"authorization_code", "refresh_token"},
				ResponseTypes:           []string{"code"},
				TokenEndpointAuthMethod: "none",
			},
		},
		AuthorizationCodeFetcher: fetch,
		RequestRefreshToken:      true,
		Client:                   &http.Client{Transport: w},
	})
	if err != nil {
		t.Fatal(err)
	}
	return &client{wire: w, oauth: handler}
}

// connect opens an MCP session through the gateway.
func (c *client) connect(ctx context.Context, url string, opts *mcp.ClientOptions, session *mcp.ClientSessionOptions) (*mcp.ClientSession, error) {
	return mcp.NewClient(&mcp.Implementation{Name: "e2e", Version: "1"}, opts).Connect(ctx,
		&mcp.StreamableClientTransport{
			Endpoint: url, HTTPClient: &http.Client{Transport: c.wire}, OAuthHandler: c.oauth,
		}, session)
}

func (c *client) mustConnect(t *testing.T, url string, opts *mcp.ClientOptions) *mcp.ClientSession {
	t.Helper()
	session, err := c.connect(t.Context(), url, opts, nil)
	if err != nil {
		t.Fatalf("connect: %v", err)
	}
	t.Cleanup(func() { _ = session.Close() })
	return session
}

// whoAmI asks the backend who it was told is calling.
func whoAmI(t *testing.T, s *mcp.ClientSession) testmcp.WhoAmI {
	t.Helper()
	res, err := s.CallTool(t.Context(), &mcp.CallToolParams{Name: testmcp.ToolWhoAmI})
	if err != nil {
		t.Fatalf("whoami: %v", err)
	}
	text, ok := res.Content[0].(*mcp.TextContent)
	if !ok || res.IsError {
		t.Fatalf("whoami returned %+v", res)
	}
	var who testmcp.WhoAmI
	if err := json.Unmarshal([]byte(text.Text), &who); err != nil {
		t.Fatalf("whoami returned %q: %v", text.Text, err)
	}
	return who
}

// bearer sends one request with a token of the client, outside the SDK.
func bearer(ctx context.Context, method, url, token string, body []byte, header http.Header) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, url, bodyReader(body))
	if err != nil {
		return nil, fmt.Errorf("request: %w", err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json, text/event-stream")
	for name, values := range header {
		req.Header[name] = values
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	return network.RoundTrip(req)
}
