// SPDX-License-Identifier: Apache-2.0

package gateway_test

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/caddy-mcp/caddy-mcp-oauth/oauth"
	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
	"github.com/caddy-mcp/caddy-mcp-oauth/token"
)

// Every way a token request can be wrong, with the exact answer: SDKs decide by
// the code whether to register again, to sign in again, or to give up (R7.2). A
// bad request must not use the code up, either.
func TestTokenErrors(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := w.register(loopbackURI)
	good := codeForm(id, w.browser().code(authorizeQuery(id, loopbackURI)))
	tests := map[string]struct {
		override []string
		raw      string
		status   int
		code     string
	}{
		"no grant_type":          {[]string{"grant_type", ""}, "", 400, "invalid_request"},
		"unknown grant_type":     {[]string{"grant_type", "password"}, "", 400, "unsupported_grant_type"},
		"client credentials":     {[]string{"grant_type", "client_credentials"}, "", 400, "unsupported_grant_type"},
		"grant_type in capitals": {[]string{"grant_type", "Authorization_Code"}, "", 400, "unsupported_grant_type"},
		"two grant_types":        {nil, "&grant_type=refresh_token", 400, "invalid_request"},
		"no code":                {[]string{"code", ""}, "", 400, "invalid_request"},
		"two codes":              {nil, "&code=x", 400, "invalid_request"},
		"two verifiers":          {nil, "&code_verifier=" + verifier, 400, "invalid_request"},
		"two redirect URIs":      {nil, "&redirect_uri=x", 400, "invalid_request"},
		"two clients":            {nil, "&client_id=x", 400, "invalid_request"},
		"two empty secrets":      {nil, "&client_secret=&client_secret=", 400, "invalid_request"},
		"no client":              {[]string{"client_id", ""}, "", 401, "invalid_client"},
		"unknown client":         {[]string{"client_id", "mcpc_unknown"}, "", 401, "invalid_client"},
		"client not ASCII":       {[]string{"client_id", "é"}, "", 401, "invalid_client"},
		"client assertion":       {nil, "&client_assertion=x&client_assertion_type=urn:ietf:params:oauth:client-assertion-type:jwt-bearer", 401, "invalid_client"},
		"made-up code":           {[]string{"code", "mcpac_AAAAAAAAAAAAAAAAAAAAAA." + strings.Repeat("A", 64)}, "", 400, "invalid_grant"},
		"empty-handed code":      {[]string{"code", "x"}, "", 400, "invalid_grant"},
		"code of another kind":   {[]string{"code", strings.Replace(good.Get("code"), "mcpac_", "mcprt_", 1)}, "", 400, "invalid_grant"},
		"code with a new grant":  {[]string{"code", "mcpac_AAAAAAAAAAAAAAAAAAAAAA" + good.Get("code")[28:]}, "", 400, "invalid_grant"},
		"code and a blank":       {[]string{"code", good.Get("code") + " "}, "", 400, "invalid_grant"},
		"no verifier":            {[]string{"code_verifier", ""}, "", 400, "invalid_request"},
		"another verifier":       {[]string{"code_verifier", flip(verifier)}, "", 400, "invalid_grant"},
		"challenge as verifier":  {[]string{"code_verifier", s256}, "", 400, "invalid_grant"},
		"short verifier":         {[]string{"code_verifier", verifier[:42]}, "", 400, "invalid_grant"},
		"verifier and a blank":   {[]string{"code_verifier", verifier + " "}, "", 400, "invalid_grant"},
		"another redirect URI":   {[]string{"redirect_uri", webURI}, "", 400, "invalid_grant"},
		"another port":           {[]string{"redirect_uri", "http://127.0.0.1:1/callback"}, "", 400, "invalid_grant"},
		"redirect URI and slash": {[]string{"redirect_uri", loopbackURI + "/"}, "", 400, "invalid_grant"},
		"redirect URI by name":   {[]string{"redirect_uri", "http://localhost:33418/callback"}, "", 400, "invalid_grant"},
		"foreign resource":       {[]string{"resource", "https://evil.example/mcp"}, "", 400, "invalid_target"},
		"resource no URI":        {[]string{"resource", "weather"}, "", 400, "invalid_target"},
		"resource fragment":      {[]string{"resource", resource + "#x"}, "", 400, "invalid_target"},
		"two resources":          {nil, "&resource=https://mcp.example.com/ops", 400, "invalid_target"},
		"bad scope":              {[]string{"scope", "m\"cp"}, "", 400, "invalid_scope"},
		"broken escape":          {nil, "&x=%zz", 400, "invalid_request"},
		"not UTF-8":              {nil, "&x=%ff", 400, "invalid_request"},
		"NUL":                    {nil, "&x=%00", 400, "invalid_request"},
		"semicolon":              {nil, ";x=y", 400, "invalid_request"},
		"a nameless value":       {nil, "&=x", 400, "invalid_request"},
		"too many":               {nil, strings.Repeat("&a=b", 100), 400, "invalid_request"},
		"too large":              {nil, "&x=" + strings.Repeat("y", 70_000), 413, "invalid_request"},
		"no refresh token":       {[]string{"grant_type", "refresh_token"}, "", 400, "invalid_request"},
		"code as refresh token":  {[]string{"grant_type", "refresh_token", "refresh_token", good.Get("code")}, "", 400, "invalid_grant"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			resp := w.do(request(http.MethodPost, oauth.PathToken, with(good, tt.override...).Encode()+tt.raw,
				"Content-Type", "application/x-www-form-urlencoded"))
			e := wantError(t, resp, tt.status, tt.code)
			if strings.Contains(e.Description, "evil") || resp.Header.Get("WWW-Authenticate") != "" {
				t.Errorf("%+v, WWW-Authenticate %q", e, resp.Header.Get("WWW-Authenticate"))
			}
		})
	}
	tok := w.redeem(good) // after all of that
	w.wantCall("/mcp", tok.AccessToken, http.StatusOK)
}

// The type decides how a body is read. What a browser may send across sites
// without asking, and what two parsers may read differently, is refused (M-23).
func TestTokenContentTypeConfusion(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := w.register(loopbackURI)
	good := codeForm(id, w.browser().code(authorizeQuery(id, loopbackURI))).Encode()
	const formType = "application/x-www-form-urlencoded"
	for _, types := range [][]string{
		{},
		{""},
		{"application/json"},
		{"text/plain"},
		{"multipart/form-data; boundary=x"},
		{formType + "x"},
		{"application/x-www-form-urlencoded, application/json"},
		{formType, formType},
		{formType, "application/json"},
		{"application/x-www-form-urlencoded; charset"},
		{"x; " + formType},
	} {
		r := request(http.MethodPost, oauth.PathToken, good)
		r.Header["Content-Type"] = types
		wantError(t, w.do(r), http.StatusBadRequest, "invalid_request")
	}
	wantError(t, w.postJSON(oauth.PathToken, `{"grant_type":"authorization_code"}`), http.StatusBadRequest, "invalid_request")
	// Parameters in the query are not parameters (RFC 6749 §2.3.1).
	wantError(t, w.do(request(http.MethodPost, oauth.PathToken+"?"+good, "", "Content-Type", formType)),
		http.StatusUnauthorized, "invalid_client")
	w.wantTokens(w.do(request(http.MethodPost, oauth.PathToken, good, "Content-Type", "Application/X-WWW-Form-Urlencoded; charset=UTF-8")))
}

func basic(id, secret string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(id+":"+secret))
}

// Who a client is, by what it registered and how it comes (R7.3). clients.md:
// clients often authenticate in another way than they registered for, public ones
// send an empty secret; none of that may let a confidential one in without its
// secret. A Basic challenge answers only who tried by header (RFC 6749 §5.2).
func TestClientAuthentication(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	public, post, basicClient := w.registerAs("none", loopbackURI), w.registerAs("client_secret_post", loopbackURI),
		w.registerAs("client_secret_basic", loopbackURI)
	if public.ClientSecret != "" || post.ClientSecret == "" || basicClient.ClientSecret == "" {
		t.Fatal("secrets were issued to the wrong clients")
	}
	const ok = ""
	tests := map[string]struct {
		client    registered
		header    string
		body      []string
		code      string
		challenge bool
	}{
		"public":                          {public, "", nil, ok, false},
		"public, empty secret":            {public, "", []string{"client_secret", "-empty-"}, ok, false},
		"public, empty secret by Basic":   {public, basic(public.ClientID, ""), nil, ok, false},
		"public, header only":             {public, basic(public.ClientID, ""), []string{"client_id", ""}, ok, false},
		"public, with some secret":        {public, "", []string{"client_secret", "whatever"}, ok, false},
		"post by post":                    {post, "", []string{"client_secret", post.ClientSecret}, ok, false},
		"post by Basic":                   {post, basic(post.ClientID, post.ClientSecret), []string{"client_id", ""}, ok, false},
		"Basic by Basic":                  {basicClient, basic(basicClient.ClientID, basicClient.ClientSecret), []string{"client_id", ""}, ok, false},
		"Basic by Basic, id in body":      {basicClient, basic(basicClient.ClientID, basicClient.ClientSecret), nil, ok, false},
		"Basic by post":                   {basicClient, "", []string{"client_secret", basicClient.ClientSecret}, ok, false},
		"Basic, form-encoded":             {basicClient, basic(basicClient.ClientID, strings.ReplaceAll(basicClient.ClientSecret, "_", "%5F")), nil, ok, false},
		"scheme in lower case":            {basicClient, strings.Replace(basic(basicClient.ClientID, basicClient.ClientSecret), "Basic", "basic", 1), nil, ok, false},
		"confidential without secret":     {post, "", nil, "invalid_client", false},
		"confidential, empty secret":      {post, "", []string{"client_secret", "-empty-"}, "invalid_client", false},
		"confidential, wrong secret":      {post, "", []string{"client_secret", flip(post.ClientSecret)}, "invalid_client", false},
		"confidential, secret and more":   {post, "", []string{"client_secret", post.ClientSecret + "x"}, "invalid_client", false},
		"confidential, secret of another": {post, "", []string{"client_secret", basicClient.ClientSecret}, "invalid_client", false},
		"Basic, wrong secret":             {basicClient, basic(basicClient.ClientID, "wrong"), []string{"client_id", ""}, "invalid_client", true},
		"Basic, empty secret":             {basicClient, basic(basicClient.ClientID, ""), []string{"client_id", ""}, "invalid_client", true},
		"Basic, unknown client":           {basicClient, basic("mcpc_unknown", "x"), []string{"client_id", ""}, "invalid_client", true},
		"Basic, no colon":                 {basicClient, "Basic " + base64.StdEncoding.EncodeToString([]byte("x")), nil, "invalid_client", true},
		"Basic, no base64":                {basicClient, "Basic ~", nil, "invalid_client", true},
		"two methods":                     {basicClient, basic(basicClient.ClientID, basicClient.ClientSecret), []string{"client_secret", basicClient.ClientSecret}, "invalid_request", false},
		"another client in the body":      {basicClient, basic(basicClient.ClientID, basicClient.ClientSecret), []string{"client_id", public.ClientID}, "invalid_request", false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			code := w.browser().code(authorizeQuery(tt.client.ClientID, loopbackURI))
			f := with(codeForm(tt.client.ClientID, code), tt.body...)
			if f.Get("client_secret") == "-empty-" {
				f.Set("client_secret", "")
			}
			var header []string
			if tt.header != "" {
				header = []string{"Authorization", tt.header}
			}
			resp := w.postForm(oauth.PathToken, f, header...)
			if tt.code == ok {
				w.wantTokens(resp)
				return
			}
			status := http.StatusUnauthorized
			if tt.code == "invalid_request" {
				status = http.StatusBadRequest
			}
			wantError(t, resp, status, tt.code)
			if got := resp.Header.Get("WWW-Authenticate"); strings.HasPrefix(got, "Basic ") != tt.challenge || (got != "") != tt.challenge {
				t.Errorf("WWW-Authenticate: %q, want a Basic challenge: %v", got, tt.challenge)
			}
		})
	}
}

// An attacker who guesses is slowed down; whoever has the right answer is not,
// because hosted clients share their addresses with everybody's mistakes.
func TestTokenFailuresAreLimited(t *testing.T) {
	t.Parallel()
	w := newWorld(t, limits("tokens", 5))
	id, tok := w.tokens()
	bad := with(refreshForm(id, tok.RefreshToken), "refresh_token", "guess")
	for range 5 {
		wantError(t, w.postForm(oauth.PathToken, bad), http.StatusBadRequest, "invalid_grant")
	}
	resp := w.postForm(oauth.PathToken, bad)
	wantError(t, resp, http.StatusTooManyRequests, "temporarily_unavailable")
	if resp.Header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	for range 20 { // success does not count
		tok = w.redeem(refreshForm(id, tok.RefreshToken))
	}
	elsewhere := request(http.MethodPost, oauth.PathToken, bad.Encode(), "Content-Type", "application/x-www-form-urlencoded")
	elsewhere.RemoteAddr = "[2001:db8::1]:1"
	wantError(t, w.do(elsewhere), http.StatusBadRequest, "invalid_grant")
}

// Two authorization headers, or a scheme that is not ours.
func TestOddAuthorizationHeaders(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.registerAs("client_secret_basic", loopbackURI)
	good := basic(c.ClientID, c.ClientSecret)
	f := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {"x"}}
	wantError(t, w.postForm(oauth.PathToken, f, "Authorization", good, "Authorization", good), http.StatusBadRequest, "invalid_request")
	for _, h := range []string{"Bearer x", "Digest x", "Basic", ""} {
		wantError(t, w.postForm(oauth.PathToken, f, "Authorization", h), http.StatusUnauthorized, "invalid_client")
	}
	wantError(t, w.postForm(oauth.PathToken, f, "Authorization", good), http.StatusBadRequest, "invalid_grant")
}

// A secret of the operator's making may hold what form encoding changes. RFC 6749
// §2.3.1 has clients encode both parts of Basic, the TypeScript SDKs do not: either
// reading is right, and nothing else is.
func TestSecretsThatFormEncodingChanges(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const id, secret = "operators-client", "50%25+more%"
	if err := w.store.CreateClient(t.Context(), &storage.Client{
		Issuer: issuer, ID: id, RedirectURIs: []string{loopbackURI}, AuthMethod: oauth.AuthBasic, SecretHash: token.Hash(secret), CreatedAt: w.clock.Now(),
	}); err != nil {
		t.Fatal(err)
	}
	f := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {"x"}}
	for _, right := range []string{secret, url.QueryEscape(secret)} {
		wantError(t, w.postForm(oauth.PathToken, f, "Authorization", basic(id, right)), http.StatusBadRequest, "invalid_grant")
	}
	for _, wrong := range []string{"50%+more%", "50%25 more%", url.QueryEscape(url.QueryEscape(secret)), ""} {
		wantError(t, w.postForm(oauth.PathToken, f, "Authorization", basic(id, wrong)), http.StatusUnauthorized, "invalid_client")
	}
	wantError(t, w.postForm(oauth.PathToken, with(f, "client_id", id, "client_secret", secret)), http.StatusBadRequest, "invalid_grant")
	wantError(t, w.postForm(oauth.PathToken, with(f, "client_id", id, "client_secret", url.QueryEscape(secret))), http.StatusUnauthorized, "invalid_client")
}
