// SPDX-License-Identifier: Apache-2.0

package oauth

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// authorizeWith is a good authorization request with some parameters replaced; ""
// removes one.
func authorizeWith(t *testing.T, changes ...string) Params {
	t.Helper()
	pairs := []string{
		"response_type", "code", "client_id", "mcpc_1", "redirect_uri", "http://127.0.0.1:33418/", "state", "st",
		"code_challenge", rfcChallenge, "code_challenge_method", "S256", "resource", "https://h/mcp", "scope", "mcp",
	}
	for i := 0; i < len(changes); i += 2 {
		replaced := false
		for j := 0; j < len(pairs); j += 2 {
			if pairs[j] == changes[i] {
				pairs[j+1], replaced = changes[i+1], true
			}
		}
		if !replaced {
			pairs = append(pairs, changes[i], changes[i+1])
		}
	}
	return mustParams(t, encode(pairs...))
}

func TestParseAuthorizationRequest(t *testing.T) {
	t.Parallel()
	base := AuthorizationRequest{
		ClientID: "mcpc_1", RedirectURI: "http://127.0.0.1:33418/", ResponseType: "code", State: "st", Scope: "mcp",
		CodeChallenge: rfcChallenge, CodeChallengeMethod: "S256", Resources: []string{"https://h/mcp"},
	}
	with := func(change func(*AuthorizationRequest)) AuthorizationRequest {
		r := base
		change(&r)
		return r
	}
	tests := map[string]struct {
		changes []string
		want    AuthorizationRequest
	}{
		"complete":             {nil, base},
		"unknown parameters":   {[]string{"audience", "x", "nonce", "y", "access_type", "offline"}, base},
		"no state":             {[]string{"state", ""}, with(func(r *AuthorizationRequest) { r.State = "" })},
		"no scope (Studio)":    {[]string{"scope", ""}, with(func(r *AuthorizationRequest) { r.Scope = "" })},
		"no resource (Codex)":  {[]string{"resource", ""}, with(func(r *AuthorizationRequest) { r.Resources = nil })},
		"no redirect_uri":      {[]string{"redirect_uri", ""}, with(func(r *AuthorizationRequest) { r.RedirectURI = "" })},
		"prompt (SDK 2)":       {[]string{"prompt", "consent"}, with(func(r *AuthorizationRequest) { r.Prompt = "consent" })},
		"scope is normalised":  {[]string{"scope", "mcp  offline_access mcp"}, with(func(r *AuthorizationRequest) { r.Scope = "mcp offline_access" })},
		"resource is as well":  {[]string{"resource", "https://H:443/mcp/"}, base},
		"state is not touched": {[]string{"state", ` a+b%41&é"\<>;#`}, with(func(r *AuthorizationRequest) { r.State = ` a+b%41&é"\<>;#` })},
		"longest state": {
			[]string{"state", strings.Repeat("s", maxStateBytes)},
			with(func(r *AuthorizationRequest) { r.State = strings.Repeat("s", maxStateBytes) }),
		},
		"client_id is a URL": {
			[]string{"client_id", "https://claude.ai/oauth/mcp-oauth-client-metadata"},
			with(func(r *AuthorizationRequest) { r.ClientID = "https://claude.ai/oauth/mcp-oauth-client-metadata" }),
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := ParseAuthorizationRequest(authorizeWith(t, tt.changes...))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(&tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestParseAuthorizationRequestRefuses(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		changes []string
		code    string
	}{
		"no response_type":        {[]string{"response_type", ""}, CodeInvalidRequest},
		"implicit":                {[]string{"response_type", "token"}, CodeUnsupportedResponseType},
		"hybrid":                  {[]string{"response_type", "code id_token"}, CodeUnsupportedResponseType},
		"case of response_type":   {[]string{"response_type", "Code"}, CodeUnsupportedResponseType},
		"no challenge":            {[]string{"code_challenge", ""}, CodeInvalidRequest},
		"no method means plain":   {[]string{"code_challenge_method", ""}, CodeInvalidRequest},
		"plain":                   {[]string{"code_challenge_method", "plain"}, CodeInvalidRequest},
		"case of method":          {[]string{"code_challenge_method", "s256"}, CodeInvalidRequest},
		"challenge too short":     {[]string{"code_challenge", rfcChallenge[1:]}, CodeInvalidRequest},
		"challenge is padded":     {[]string{"code_challenge", rfcChallenge + "="}, CodeInvalidRequest},
		"relative resource":       {[]string{"resource", "/mcp"}, CodeInvalidTarget},
		"resource with fragment":  {[]string{"resource", "https://h/mcp#x"}, CodeInvalidTarget},
		"scope with a quote":      {[]string{"scope", `a"b`}, CodeInvalidScope},
		"PKCE before resource":    {[]string{"code_challenge", "", "resource", "/mcp"}, CodeInvalidRequest},
		"resource before scope":   {[]string{"resource", "/mcp", "scope", `"`}, CodeInvalidTarget},
		"response_type before it": {[]string{"response_type", "token", "code_challenge", ""}, CodeUnsupportedResponseType},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := ParseAuthorizationRequest(authorizeWith(t, tt.changes...))
			if err == nil || err.Code != tt.code {
				t.Fatalf("got %v, want %s", err, tt.code)
			}
			// R5.4: the error is redirected with the state, and with nothing that
			// was not checked.
			want := &AuthorizationRequest{ClientID: "mcpc_1", RedirectURI: "http://127.0.0.1:33418/", State: "st"}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestParseAuthorizationRequestRepeats(t *testing.T) {
	t.Parallel()
	good := encode("response_type", "code", "client_id", "c", "redirect_uri", "https://h/cb", "state", "s",
		"code_challenge", rfcChallenge, "code_challenge_method", "S256", "scope", "mcp", "prompt", "none")
	for _, name := range []string{
		"response_type", "client_id", "redirect_uri", "state", "code_challenge", "code_challenge_method", "scope", "prompt",
	} {
		got, err := ParseAuthorizationRequest(mustParams(t, good+"&"+name+"=x"))
		if err == nil || err.Code != CodeInvalidRequest || !strings.Contains(err.Description, name) {
			t.Errorf("%s: %v, want invalid_request naming it", name, err)
		}
		if name == "state" && (got == nil || got.State != "") {
			t.Errorf("two states: %+v, want none of them kept", got)
		}
	}
}

func TestParseAuthorizationRequestStateTooLong(t *testing.T) {
	t.Parallel()
	got, err := ParseAuthorizationRequest(authorizeWith(t, "state", strings.Repeat("s", maxStateBytes+1)))
	if err == nil || err.Code != CodeInvalidRequest || got == nil || got.State != "" {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestParseClientParams(t *testing.T) {
	t.Parallel()
	id, uri, err := ParseClientParams(mustParams(t, encode("client_id", "c", "redirect_uri", "https://h/cb")))
	if err != nil || id != "c" || uri != "https://h/cb" {
		t.Errorf("got %q, %q, %v", id, uri, err)
	}
	for name, raw := range map[string]string{
		"none":                  "redirect_uri=x",
		"empty":                 "client_id=",
		"twice":                 "client_id=a&client_id=b",
		"redirect_uri twice":    "client_id=a&redirect_uri=a&redirect_uri=a",
		"not ASCII":             "client_id=%C3%A9",
		"too long":              "client_id=" + strings.Repeat("a", maxClientIDBytes+1),
		"redirect_uri too long": "client_id=a&redirect_uri=" + strings.Repeat("a", maxURIBytes+1),
	} {
		id, uri, err := ParseClientParams(mustParams(t, raw))
		if err == nil || err.Code != CodeInvalidRequest || id != "" || uri != "" {
			t.Errorf("%s: got %q, %q, %v", name, id, uri, err)
		}
		if request, err := ParseAuthorizationRequest(mustParams(t, raw)); err == nil || request != nil {
			t.Errorf("%s: a request without a known client came back: %+v, %v", name, request, err)
		}
	}
}

func FuzzParseAuthorizationRequest(f *testing.F) {
	f.Add(encode("response_type", "code", "client_id", "c", "redirect_uri", "https://h/cb", "state", "s",
		"code_challenge", rfcChallenge, "code_challenge_method", "S256", "scope", "mcp", "resource", "https://h/"))
	f.Add("client_id=a&response_type=token")
	f.Fuzz(func(t *testing.T, raw string) {
		p, err := ParseParams(raw)
		if err != nil {
			return
		}
		r, err := ParseAuthorizationRequest(p)
		if err != nil {
			if r != nil && (r.Scope != "" || r.CodeChallenge != "" || r.Resources != nil) {
				t.Fatalf("unchecked values beside %v: %+v", err, r)
			}
			return
		}
		if r.ClientID == "" || r.ResponseType != "code" || r.CodeChallengeMethod != "S256" || !ValidChallenge(r.CodeChallenge) || len(r.State) > maxStateBytes {
			t.Fatalf("%q accepted as %+v", raw, r)
		}
	})
}
