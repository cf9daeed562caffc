// SPDX-License-Identifier: Apache-2.0

package oauth

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseTokenRequest(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		form string
		want TokenRequest
	}{
		"SDK code": {
			encode("grant_type", "authorization_code", "code", "c", "code_verifier", rfcVerifier, "redirect_uri", "http://localhost:1/cb",
				"client_id", "id", "resource", "https://H/mcp/"),
			TokenRequest{
				GrantType: GrantAuthorizationCode, Code: "c", CodeVerifier: rfcVerifier, RedirectURI: "http://localhost:1/cb",
				Resources: []string{"https://h/mcp"},
			},
		},
		"OAuth 2.1 code without redirect_uri": {
			encode("grant_type", "authorization_code", "code", "c", "code_verifier", rfcVerifier),
			TokenRequest{GrantType: GrantAuthorizationCode, Code: "c", CodeVerifier: rfcVerifier},
		},
		"TypeScript refresh": {
			encode("grant_type", "refresh_token", "refresh_token", "r", "resource", "https://h/mcp", "client_id", "id"),
			TokenRequest{GrantType: GrantRefreshToken, RefreshToken: "r", Resources: []string{"https://h/mcp"}},
		},
		"Go refresh, neither resource nor scope": {
			encode("grant_type", "refresh_token", "refresh_token", "r"),
			TokenRequest{GrantType: GrantRefreshToken, RefreshToken: "r"},
		},
		"scope is normalised": {
			encode("grant_type", "refresh_token", "refresh_token", "r", "scope", " b  a b"),
			TokenRequest{GrantType: GrantRefreshToken, RefreshToken: "r", Scope: "b a"},
		},
		"members of the other grant are dropped": {
			encode("grant_type", "refresh_token", "refresh_token", "r", "code", "c", "code_verifier", "short", "redirect_uri", "x"),
			TokenRequest{GrantType: GrantRefreshToken, RefreshToken: "r"},
		},
		"and the other way round": {
			encode("grant_type", "authorization_code", "code", "c", "code_verifier", rfcVerifier, "refresh_token", "r"),
			TokenRequest{GrantType: GrantAuthorizationCode, Code: "c", CodeVerifier: rfcVerifier},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := ParseTokenRequest(mustParams(t, tt.form))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(&tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestParseTokenRequestRefuses(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ form, code string }{
		"nothing":            {"", CodeInvalidRequest},
		"empty grant_type":   {"grant_type=", CodeInvalidRequest},
		"password":           {"grant_type=password&username=a&password=b", CodeUnsupportedGrantType},
		"client_credentials": {"grant_type=client_credentials", CodeUnsupportedGrantType},
		"device code":        {encode("grant_type", "urn:ietf:params:oauth:grant-type:device_code"), CodeUnsupportedGrantType},
		"case of grant_type": {"grant_type=Refresh_Token&refresh_token=r", CodeUnsupportedGrantType},
		"no code":            {encode("grant_type", "authorization_code", "code_verifier", rfcVerifier), CodeInvalidRequest},
		"no verifier":        {"grant_type=authorization_code&code=c", CodeInvalidRequest},
		"short verifier":     {"grant_type=authorization_code&code=c&code_verifier=x", CodeInvalidGrant},
		"no refresh token":   {"grant_type=refresh_token", CodeInvalidRequest},
		"bad scope":          {encode("grant_type", "refresh_token", "refresh_token", "r", "scope", "\""), CodeInvalidScope},
		"bad resource":       {encode("grant_type", "refresh_token", "refresh_token", "r", "resource", "mcp"), CodeInvalidTarget},
		"code twice":         {encode("grant_type", "authorization_code", "code", "a", "code", "b", "code_verifier", rfcVerifier), CodeInvalidRequest},
		"grant_type twice":   {"grant_type=refresh_token&grant_type=refresh_token&refresh_token=r", CodeInvalidRequest},
		"refresh_token twice": {
			"grant_type=refresh_token&refresh_token=r&refresh_token=r", CodeInvalidRequest,
		},
		"verifier twice": {
			"grant_type=authorization_code&code=c&code_verifier=" + rfcVerifier + "&code_verifier=" + rfcVerifier, CodeInvalidRequest,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := ParseTokenRequest(mustParams(t, tt.form))
			if err == nil || err.Code != tt.code {
				t.Fatalf("got %+v, %v, want %s", got, err, tt.code)
			}
		})
	}
}

// Codes, tokens and verifiers must not reach a log by way of an error.
func TestAttackTokenErrorsKeepSecrets(t *testing.T) {
	t.Parallel()
	const secret = "s3cr3t"
	for _, form := range []string{
		encode("grant_type", secret, "code", secret),
		encode("grant_type", "authorization_code", "code", secret, "code_verifier", secret),
		encode("grant_type", "refresh_token", "refresh_token", secret, "refresh_token", secret),
		encode("grant_type", "refresh_token", "refresh_token", "r", "scope", `"`+secret),
		encode("grant_type", "refresh_token", "refresh_token", "r", "resource", secret),
	} {
		_, err := ParseTokenRequest(mustParams(t, form))
		if err == nil || strings.Contains(err.Error(), secret) {
			t.Errorf("%s: %v", form, err)
		}
	}
	if _, err := ParseParams("code=" + secret + "%zz"); err == nil || strings.Contains(err.Error(), secret) {
		t.Errorf("malformed form: %v", err)
	}
}

func FuzzParseTokenRequest(f *testing.F) {
	f.Add("grant_type=refresh_token&refresh_token=r")
	f.Add("grant_type=authorization_code&code=c&code_verifier=" + rfcVerifier)
	f.Fuzz(func(t *testing.T, raw string) {
		p, err := ParseParams(raw)
		if err != nil {
			return
		}
		r, err := ParseTokenRequest(p)
		if err != nil {
			return
		}
		isCode := r.GrantType == GrantAuthorizationCode && r.Code != "" && ValidVerifier(r.CodeVerifier) && r.RefreshToken == ""
		isRefresh := r.GrantType == GrantRefreshToken && r.RefreshToken != "" && r.Code == "" && r.CodeVerifier == ""
		if !isCode && !isRefresh {
			t.Fatalf("%q accepted as %+v", raw, r)
		}
	})
}
