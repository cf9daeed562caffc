// SPDX-License-Identifier: Apache-2.0

package oauth

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

// clientBodies returns the registration bodies of real clients by name. Where no
// capture was published they are assembled from the source or the documentation
// of the client.
func clientBodies(tb testing.TB) map[string][]byte {
	tb.Helper()
	paths, err := filepath.Glob("testdata/registration/*.json")
	if err != nil || len(paths) == 0 {
		tb.Fatalf("no bodies: %v", err)
	}
	bodies := map[string][]byte{}
	for _, p := range paths {
		body, err := os.ReadFile(p)
		if err != nil {
			tb.Fatal(err)
		}
		bodies[strings.TrimSuffix(filepath.Base(p), ".json")] = body
	}
	return bodies
}

// What a client sent comes back as it was: those that compare (the TypeScript
// schema, VS Code) find no surprise.
func TestParseRegistrationOfRealClients(t *testing.T) {
	t.Parallel()
	for name, body := range clientBodies(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, perr := ParseRegistration(body)
			if perr != nil {
				t.Fatal(perr)
			}
			var sent Registration
			if err := json.Unmarshal(body, &sent); err != nil {
				t.Fatal(err)
			}
			want := sent
			want.ResponseTypes = []string{"code"}
			want.GrantTypes = []string{GrantAuthorizationCode, GrantRefreshToken}
			if sent.TokenEndpointAuthMethod == "" {
				want.TokenEndpointAuthMethod = AuthBasic
			}
			if sent.ApplicationType == "" {
				want.ApplicationType = r.ApplicationType
			}
			if diff := cmp.Diff(&want, r); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestParseRegistrationDefaults(t *testing.T) {
	t.Parallel()
	r, err := ParseRegistration([]byte(`{"redirect_uris":["https://h/cb"]}`))
	if err != nil {
		t.Fatal(err)
	}
	want := &Registration{
		RedirectURIs: []string{"https://h/cb"}, TokenEndpointAuthMethod: AuthBasic,
		GrantTypes: []string{GrantAuthorizationCode}, ResponseTypes: []string{"code"}, ApplicationType: ApplicationWeb,
	}
	if diff := cmp.Diff(want, r); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if !r.Confidential() {
		t.Error("the default of RFC 7591 §2 is a confidential client")
	}
}

// registrationWith is a small body with one more member, raw.
func registrationWith(member string) []byte {
	return fmt.Appendf(nil, `{"redirect_uris":["https://h/cb"],%s}`, member)
}

func TestParseRegistrationTolerates(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		body  []byte
		check func(*Registration) bool
	}{
		"unknown members": {
			registrationWith(`"contacts":["a@b"],"x":{"y":[1,null]},"jwks_uri":"http://10.0.0.1/","software_statement":"x"`),
			func(r *Registration) bool { return len(r.RedirectURIs) == 1 },
		},
		"null":                  {registrationWith(`"client_name":null,"grant_types":null,"scope":null`), func(r *Registration) bool { return r.ClientName == "" && len(r.GrantTypes) == 1 }},
		"empty strings":         {registrationWith(`"client_uri":"","logo_uri":"","tos_uri":"","policy_uri":"","scope":"","token_endpoint_auth_method":""`), func(r *Registration) bool { return r.TokenEndpointAuthMethod == AuthBasic && r.LogoURI == "" }},
		"empty lists":           {registrationWith(`"grant_types":[],"response_types":[]`), func(r *Registration) bool { return slices.Equal(r.GrantTypes, []string{GrantAuthorizationCode}) }},
		"unknown grant types":   {registrationWith(`"grant_types":["urn:x","refresh_token"]`), func(r *Registration) bool { return len(r.GrantTypes) == 2 }},
		"only unknown ones":     {registrationWith(`"grant_types":["client_credentials"]`), func(r *Registration) bool { return slices.Equal(r.GrantTypes, []string{GrantAuthorizationCode}) }},
		"further response type": {registrationWith(`"response_types":["code","code id_token"]`), func(r *Registration) bool { return slices.Equal(r.ResponseTypes, []string{"code"}) }},
		"none stays none":       {registrationWith(`"token_endpoint_auth_method":"none"`), func(r *Registration) bool { return !r.Confidential() }},
		"post stays post":       {registrationWith(`"token_endpoint_auth_method":"client_secret_post"`), func(r *Registration) bool { return r.TokenEndpointAuthMethod == AuthPost }},
		"application_type":      {registrationWith(`"application_type":"native"`), func(r *Registration) bool { return r.ApplicationType == ApplicationNative }},
		"odd application_type":  {registrationWith(`"application_type":"browser"`), func(r *Registration) bool { return r.ApplicationType == ApplicationWeb }},
		"javascript as client_uri": {registrationWith(`"client_uri":"javascript:alert(1)","logo_uri":"data:image/png,x","tos_uri":"//h","policy_uri":"https://u@h/"`), func(r *Registration) bool {
			return r.ClientURI == "" && r.LogoURI == "" && r.TOSURI == "" && r.PolicyURI == ""
		}},
		"web addresses":    {registrationWith(`"client_uri":"https://h","tos_uri":"http://h:8080/a?b=c"`), func(r *Registration) bool { return r.ClientURI == "https://h" && r.TOSURI == "http://h:8080/a?b=c" }},
		"repeated URI":     {[]byte(`{"redirect_uris":["https://h/cb","https://h/cb"]}`), func(r *Registration) bool { return len(r.RedirectURIs) == 1 }},
		"web by inference": {[]byte(`{"redirect_uris":["https://h/cb"],"application_type":""}`), func(r *Registration) bool { return r.ApplicationType == ApplicationWeb }},
		// The OpenID default "web" would forbid what most MCP clients use (R4.18).
		"native by inference": {[]byte(`{"redirect_uris":["https://h/cb","http://localhost/cb"]}`), func(r *Registration) bool { return r.ApplicationType == ApplicationNative }},
		"web with loopback":   {[]byte(`{"redirect_uris":["http://localhost/cb"],"application_type":"web"}`), func(r *Registration) bool { return r.ApplicationType == ApplicationWeb }},
		"white space around":  {[]byte("\r\n {\"redirect_uris\" : [ \"https://h/cb\" ] }\n"), func(*Registration) bool { return true }},
		"escaped member name": {[]byte(`{"redirect\u005furis":["https://h/cb"]}`), func(r *Registration) bool { return len(r.RedirectURIs) == 1 }},
		"ten URIs": {[]byte(`{"redirect_uris":[` + strings.Repeat(`"https://h/cb",`, 9) + `"https://h/cb"]}`), func(r *Registration) bool {
			return len(r.RedirectURIs) == 1
		}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, err := ParseRegistration(tt.body)
			if err != nil {
				t.Fatal(err)
			}
			if !tt.check(r) {
				t.Errorf("got %+v", r)
			}
		})
	}
}

func TestParseRegistrationRefuses(t *testing.T) {
	t.Parallel()
	deep := strings.Repeat("[", 20) + strings.Repeat("]", 20)
	tests := map[string]struct{ body, code string }{
		"nothing":             {"", CodeInvalidClientMetadata},
		"not JSON":            {"client_name=x", CodeInvalidClientMetadata},
		"null":                {"null", CodeInvalidClientMetadata},
		"array":               {`[{"redirect_uris":["https://h/cb"]}]`, CodeInvalidClientMetadata},
		"string":              {`"x"`, CodeInvalidClientMetadata},
		"cut off":             {`{"redirect_uris":["https://h/cb"]`, CodeInvalidClientMetadata},
		"trailing object":     {`{"redirect_uris":["https://h/cb"]}{}`, CodeInvalidClientMetadata},
		"trailing garbage":    {`{"redirect_uris":["https://h/cb"]} x`, CodeInvalidClientMetadata},
		"trailing bracket":    {`{"redirect_uris":["https://h/cb"]}}`, CodeInvalidClientMetadata},
		"byte order mark":     {"\ufeff" + `{"redirect_uris":["https://h/cb"]}`, CodeInvalidClientMetadata},
		"not UTF-8":           {string(registrationWith("\"client_name\":\"a\xffb\"")), CodeInvalidClientMetadata},
		"UTF-16":              {"{\x00}\x00", CodeInvalidClientMetadata},
		"comment":             {`{/*x*/"redirect_uris":["https://h/cb"]}`, CodeInvalidClientMetadata},
		"trailing comma":      {`{"redirect_uris":["https://h/cb"],}`, CodeInvalidClientMetadata},
		"raw control":         {string(registrationWith("\"client_name\":\"a\x01b\"")), CodeInvalidClientMetadata},
		"too deep":            {string(registrationWith(`"x":` + deep)), CodeInvalidClientMetadata},
		"too long":            {string(registrationWith(`"x":"` + strings.Repeat("a", maxRegistrationBytes) + `"`)), CodeInvalidClientMetadata},
		"name as number":      {string(registrationWith(`"client_name":1`)), CodeInvalidClientMetadata},
		"name as object":      {string(registrationWith(`"client_name":{}`)), CodeInvalidClientMetadata},
		"scope as list":       {string(registrationWith(`"scope":["a"]`)), CodeInvalidClientMetadata},
		"scope with a quote":  {string(registrationWith(`"scope":"a\"b"`)), CodeInvalidClientMetadata},
		"grants as string":    {string(registrationWith(`"grant_types":"authorization_code"`)), CodeInvalidClientMetadata},
		"grants with a null":  {string(registrationWith(`"grant_types":[null]`)), CodeInvalidClientMetadata},
		"grants with numbers": {string(registrationWith(`"grant_types":[1]`)), CodeInvalidClientMetadata},
		"many grants":         {string(registrationWith(`"grant_types":["a"` + strings.Repeat(`,"a"`, maxListMembers) + `]`)), CodeInvalidClientMetadata},
		"implicit only":       {string(registrationWith(`"response_types":["token"]`)), CodeInvalidClientMetadata},
		"private_key_jwt":     {string(registrationWith(`"token_endpoint_auth_method":"private_key_jwt"`)), CodeInvalidClientMetadata},
		"case of method":      {string(registrationWith(`"token_endpoint_auth_method":"None"`)), CodeInvalidClientMetadata},
		"method as list":      {string(registrationWith(`"token_endpoint_auth_method":["none"]`)), CodeInvalidClientMetadata},

		"no redirect_uris":     {`{}`, CodeInvalidRedirectURI},
		"null redirect_uris":   {`{"redirect_uris":null}`, CodeInvalidRedirectURI},
		"empty redirect_uris":  {`{"redirect_uris":[]}`, CodeInvalidRedirectURI},
		"eleven":               {`{"redirect_uris":[` + strings.Repeat(`"https://h/cb",`, 10) + `"https://h/cb"]}`, CodeInvalidRedirectURI},
		"one is empty":         {`{"redirect_uris":["https://h/cb",""]}`, CodeInvalidRedirectURI},
		"one is javascript":    {`{"redirect_uris":["https://h/cb","javascript:alert(1)"]}`, CodeInvalidRedirectURI},
		"javascript in escape": {`{"redirect_uris":["\u006aavascript:alert(1)"]}`, CodeInvalidRedirectURI},
		"one is http":          {`{"redirect_uris":["http://h/cb"]}`, CodeInvalidRedirectURI},
		"one is a fragment":    {`{"redirect_uris":["https://h/cb#"]}`, CodeInvalidRedirectURI},
		"NUL in escape":        {`{"redirect_uris":["https://h/cb\u0000"]}`, CodeInvalidRedirectURI},
		"lone surrogate":       {`{"redirect_uris":["https://h/\ud800"]}`, CodeInvalidRedirectURI},
		"a string":             {`{"redirect_uris":"https://h/cb"}`, CodeInvalidClientMetadata},
		"a number":             {`{"redirect_uris":[1]}`, CodeInvalidClientMetadata},
		"a null":               {`{"redirect_uris":[null]}`, CodeInvalidClientMetadata},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, err := ParseRegistration([]byte(tt.body))
			if err == nil || err.Code != tt.code || err.HTTPStatus() != 400 {
				t.Fatalf("got %+v, %v, want %s", r, err, tt.code)
			}
		})
	}
}

// A filter in front of us looks at the first of two members, or at the exact
// name; a lenient decoder takes the last, or any case. Whatever differs is
// refused (the CVE-2026-27896 class).
func TestAttackRegistrationParserDifferential(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]string{
		"twice":               `{"redirect_uris":["https://good/cb"],"redirect_uris":["https://evil/cb"]}`,
		"twice by escape":     `{"redirect_uris":["https://good/cb"],"redirect\u005furis":["https://evil/cb"]}`,
		"case":                `{"redirect_uris":["https://good/cb"],"Redirect_URIs":["https://evil/cb"]}`,
		"only the other case": `{"REDIRECT_URIS":["https://evil/cb"]}`,
		"long s":              `{"redirect_uris":["https://good/cb"],"redirect_uri\u017f":["https://evil/cb"]}`,
		"Kelvin sign":         string(registrationWith(`"to\u212aen_endpoint_auth_method":"none"`)),
		"twice, unknown":      string(registrationWith(`"x":1,"x":2`)),
		"twice, nested":       string(registrationWith(`"jwks":{"keys":[{"kid":"a","kid":"b"}]}`)),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if r, err := ParseRegistration([]byte(body)); err == nil || err.Code != CodeInvalidClientMetadata {
				t.Errorf("got %+v, %v, want invalid_client_metadata", r, err)
			}
		})
	}
}

func TestRegistrationErrorNamesIndexNotText(t *testing.T) {
	t.Parallel()
	_, err := ParseRegistration([]byte(`{"redirect_uris":["https://h/cb","javascript:alert(1)"]}`))
	want := &Error{Code: CodeInvalidRedirectURI, Description: "redirect_uris[1] has a scheme that is not allowed"}
	if diff := cmp.Diff(want, err); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func FuzzParseRegistration(f *testing.F) {
	for _, body := range clientBodies(f) {
		f.Add(body)
	}
	f.Add([]byte(`{"redirect_uris":["https://h/cb"],"Client_Name":"x"}`))
	f.Add([]byte(`{"redirect_uris":["https://h/cb"],"client_name":"\u202eevil"}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		r, perr := ParseRegistration(body)
		if perr != nil {
			return
		}
		if !json.Valid(body) {
			t.Fatalf("accepted invalid JSON %q", body)
		}
		if n := len(r.RedirectURIs); n == 0 || n > maxRedirectURIs || utf8.RuneCountInString(r.ClientName) > maxDisplayRunes {
			t.Fatalf("%q accepted as %+v", body, r)
		}
		for _, u := range r.RedirectURIs {
			if _, err := ParseRedirectURI(u); err != nil {
				t.Fatalf("%q got through: %v", u, err)
			}
		}
		// What we answer is itself a registration with the same meaning.
		out, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		again, perr := ParseRegistration(out)
		if perr != nil {
			t.Fatalf("our own answer %s is refused: %v", out, perr)
		}
		if diff := cmp.Diff(r, again); diff != "" {
			t.Fatalf("our own answer means something else (-first +second):\n%s", diff)
		}
	})
}
