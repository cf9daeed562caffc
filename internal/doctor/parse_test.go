// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"unicode"

	"github.com/google/go-cmp/cmp"
	"github.com/modelcontextprotocol/go-sdk/oauthex"
)

const prmURL = "https://h/.well-known/oauth-protected-resource/mcp"

// Clients read the same header in three ways, and do not always find the same.
func TestReadingsOfTheChallenge(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name                         string
		values                       []string
		parsed, firstWord, quotedOne string
	}{
		{"as it should be", []string{`Bearer resource_metadata="` + prmURL + `", scope="mcp"`}, prmURL, prmURL, prmURL},
		{"lower case", []string{`bearer resource_metadata="` + prmURL + `"`}, prmURL, prmURL, prmURL},
		{"name in capitals", []string{`Bearer Resource_Metadata="` + prmURL + `"`}, prmURL, "", ""},
		{"not quoted", []string{`Bearer resource_metadata=` + prmURL + `, scope="mcp"`}, prmURL, prmURL, ""},
		{"behind a realm with a comma", []string{`Bearer realm="a, b=c", resource_metadata="` + prmURL + `"`}, prmURL, prmURL, prmURL},
		{"Basic first", []string{`Basic realm="x", Bearer resource_metadata="` + prmURL + `"`}, prmURL, "", prmURL},
		{"Basic first, in a header of its own", []string{`Basic realm="x"`, `Bearer resource_metadata="` + prmURL + `"`}, prmURL, "", prmURL},
		{"Negotiate last", []string{`Bearer resource_metadata="` + prmURL + `", Negotiate`}, prmURL, prmURL, prmURL},
		{"token68 first", []string{`Basic YTpi==, Bearer resource_metadata="` + prmURL + `"`}, prmURL, "", prmURL},
		{"two spaces", []string{`Bearer  resource_metadata="` + prmURL + `"`}, prmURL, "", prmURL},
		{"spaces round the equals sign", []string{`Bearer resource_metadata = "` + prmURL + `"`}, prmURL, "", ""},
		{"a decoy", []string{`Bearer realm="resource_metadata=x", resource_metadata="` + prmURL + `"`}, prmURL, `x"`, prmURL},
		{"escaped", []string{`Bearer resource_metadata="https:\/\/h/x"`}, "https://h/x", `https:\/\/h/x`, `https:\/\/h/x`},
		{"unterminated", []string{`Bearer resource_metadata="` + prmURL}, "", `"` + prmURL, ""},
		{"scheme only", []string{`Bearer`}, "", "", ""},
		{"none", nil, "", "", ""},
		{"empty", []string{""}, "", "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := []string{parsedReading(tt.values), firstWordReading(tt.values), quotedReading(tt.values)}
			if diff := cmp.Diff([]string{tt.parsed, tt.firstWord, tt.quotedOne}, got); diff != "" {
				t.Errorf("parsed, first word, quoted (-want +got):\n%s", diff)
			}
		})
	}
}

func TestParseChallengesRefuses(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{
		`=`, `Bearer a="b`, `Bearer a="b\`, `Bearer a=b=` + "\"", `"Bearer" a="b"`, "Bearer\x00 a=b", `Bearer a="b", "c"`, `Bearer a b`,
	} {
		if list, err := parseChallenges([]string{bad}); !errors.Is(err, errChallenge) {
			t.Errorf("%q: %+v, %v", bad, list, err)
		}
	}
}

// FuzzChallenge: no header makes any of the readings panic, what was parsed is
// well formed, and where the Go SDK's parser understands a header, so does ours.
func FuzzChallenge(f *testing.F) {
	for _, s := range []string{
		`Bearer resource_metadata="` + prmURL + `", scope="mcp"`, `Basic realm="a, b", Bearer error="x"`, `Basic YTpi==, Negotiate`,
		`Bearer a="\"", b=c`, `,, Bearer`, `Bearer realm="resource_metadata=x"`, "Bearer \xff", `DPoP algs="ES256", Bearer x="y"`,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		list, err := parseChallenges([]string{s})
		for _, c := range list {
			if c.scheme == "" || c.scheme != strings.ToLower(c.scheme) || strings.ContainsAny(c.scheme, " ,=\"") {
				t.Errorf("scheme %q", c.scheme)
			}
			for name := range c.params {
				if name == "" || name != strings.ToLower(name) || strings.ContainsAny(name, " ,=\"") {
					t.Errorf("parameter %q", name)
				}
			}
		}
		_ = quotedReading([]string{s})
		if u := firstWordReading([]string{s}); u != "" && !strings.Contains(s, u) {
			t.Errorf("%q is not in %q", u, s)
		}
		theirs, theirErr := oauthex.ParseWWWAuthenticate([]string{s})
		if err != nil || theirErr != nil || len(list) != 1 || len(theirs) != 1 {
			return // the two are not equally strict about malformed headers
		}
		if got, want := list[0].params["resource_metadata"], theirs[0].Params["resource_metadata"]; want != "" && strings.Count(strings.ToLower(s), "resource_metadata") == 1 &&
			list[0].quoted["resource_metadata"] && got != want {
			t.Errorf("%q: we read %q, the Go SDK %q", s, got, want)
		}
	})
}

func jsonExchange(body string) *Exchange {
	return &Exchange{
		Method: http.MethodGet, URL: prmURL, Status: http.StatusOK, Body: []byte(body),
		Header: http.Header{"Content-Type": {"application/json"}},
	}
}

func TestDocumentForm(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]struct {
		unusable        string
		rejected, empty []string
	}{
		`{"resource":"https://h/mcp","authorization_servers":["https://h"]}`: {},
		`{"resource":null}`:                                {rejected: []string{"resource"}, empty: []string{"resource"}},
		`{"resource":7,"scopes_supported":"a"}`:            {rejected: []string{"resource", "scopes_supported"}},
		`{"scopes_supported":["a",null]}`:                  {rejected: []string{"scopes_supported"}},
		`{"scopes_supported":[]}`:                          {empty: []string{"scopes_supported"}},
		`{"resource_name":""}`:                             {empty: []string{"resource_name"}},
		`{"resource_policy_uri":"/policy"}`:                {rejected: []string{"resource_policy_uri"}},
		`{"unknown":{"a":[1,null]}}`:                       {},
		`{"client_id_metadata_document_supported":"true"}`: {rejected: []string{"client_id_metadata_document_supported"}},
		`[]`:            {unusable: "not a JSON object"},
		`null`:          {unusable: "not a JSON object"},
		``:              {unusable: "not a JSON object"},
		`{"a":1`:        {unusable: "not a JSON object"},
		`<html></html>`: {unusable: "a web page instead of JSON"},
	} {
		d := newDocument(jsonExchange(body))
		if d.unusable != want.unusable {
			t.Errorf("%s: %q, want %q", body, d.unusable, want.unusable)
		}
		if diff := cmp.Diff([][]string{want.rejected, want.empty}, [][]string{d.rejected, d.empty}); diff != "" {
			t.Errorf("%s: rejected, empty (-want +got):\n%s", body, diff)
		}
	}
}

// FuzzMetadata: whatever a server serves as metadata, judging it neither panics
// nor lets control characters through to a terminal.
func FuzzMetadata(f *testing.F) {
	for _, s := range []string{
		`{"resource":"https://h/mcp","authorization_servers":["https://h"],"scopes_supported":["a"]}`,
		`{"issuer":"https://h","authorization_endpoint":"https://h/authorize","token_endpoint":"https://h/token",` +
			`"response_types_supported":["code"],"code_challenge_methods_supported":["S256"],"token_endpoint_auth_methods_supported":["none"]}`,
		`{"resource":null}`, `[]`, `{"resource":"\u001b[2J"}`, `{"\u202e":null,"jwks_uri":7}`, "{\"resource\":\"\xff\"}",
		`{"authorization_servers":["http://[::1","",null]}`, `{"registration_endpoint":"javascript:alert(1)"}`,
	} {
		f.Add(s, s)
	}
	target, err := ParseTarget("https://h/mcp")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, resource, server string) {
		refused := &Exchange{
			Method: methodPost, URL: target.URL, Status: http.StatusUnauthorized, Proto: "HTTP/1.1",
			Header: http.Header{"Www-Authenticate": {`Bearer resource_metadata="` + prmURL + `"`}},
		}
		o := &observation{
			target: target, modern: refused, badToken: refused, slash: refused, token: jsonExchange(server),
			bare:     map[string]*Exchange{methodPost: refused, http.MethodGet: refused, http.MethodHead: refused, http.MethodDelete: refused},
			resource: newDocument(jsonExchange(resource)), browser: browserObservation{origin: inspectorOrigin, preflight: refused, post: refused},
			registerPublic: &registration{Exchange: refused, problem: registrationProblem(jsonExchange(server), "none")},
		}
		o.rootResource, o.slashResource, o.named = o.resource, o.resource, o.resource
		o.others = []*Exchange{jsonExchange(server)}
		o.servers = map[string][]*document{
			target.Origin: {newDocument(jsonExchange(server))}, o.serverURL(): {newDocument(jsonExchange(server))},
		}
		r := newReport(o)
		wantExplained(t, r)
		var b strings.Builder
		if err := r.WriteText(&b); err != nil {
			t.Fatal(err)
		}
		for _, c := range b.String() {
			if c != '\n' && !unicode.IsPrint(c) {
				t.Fatalf("the report contains %q", c)
			}
		}
	})
}

func TestParseTarget(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]string{ // the path-inserted metadata address
		"https://h/mcp":       "https://h/.well-known/oauth-protected-resource/mcp",
		"https://h/mcp/":      "https://h/.well-known/oauth-protected-resource/mcp/",
		"https://h":           "https://h/.well-known/oauth-protected-resource",
		"https://h/":          "https://h/.well-known/oauth-protected-resource",
		"https://h:8443/a%20": "https://h:8443/.well-known/oauth-protected-resource/a%20",
		"http://[::1]:80/x?q": "http://[::1]:80/.well-known/oauth-protected-resource/x",
	} {
		target, err := ParseTarget(address)
		if err != nil || target.insert(wellKnownResource) != want {
			t.Errorf("%s: %s, %v; want %s", address, target.insert(wellKnownResource), err, want)
		}
	}
	for _, bad := range []string{
		"", "mcp.example.com/mcp", "ftp://h/mcp", "https://", "https:///mcp", "https://h/#x", "https://h/mcp#", "/mcp", "https://%zz/",
		"https://user:hunter2@h/mcp", "https://hunter2@h/mcp", "https://h/mcp?access_token=hunter2", "https://h/mcp?api-key=hunter2",
		"https://h/mcp?X-Amz-Signature=hunter2", "https://h/" + strings.Repeat("a", 3000), "https://:443/mcp",
	} {
		_, err := ParseTarget(bad)
		if !errors.Is(err, ErrURL) {
			t.Errorf("%q: %v, want ErrURL", bad, err)
		} else if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("the error repeats the secret: %v", err)
		}
	}
}

// The rules of the clients, on the addresses people type.
func TestResourceRules(t *testing.T) {
	t.Parallel()
	rules := []func(Target, string, bool) bool{exactBytes, exactPath, normalisedResource, prefixResource, sameResource}
	for _, tt := range []struct {
		typed, resource string
		root            bool
		want            string // one letter per rule: y or n
	}{
		{"https://h/mcp", "https://h/mcp", false, "yyyyy"},
		{"https://h/mcp", "https://h/mcp/", false, "nnnny"},
		{"https://h/mcp/", "https://h/mcp", false, "nnnyy"},
		{"https://h/mcp", "https://h", false, "nnnyn"},
		{"https://h/mcp", "https://h", true, "ynnyy"},
		{"https://h/mcp", "https://h/", true, "nnnyy"},
		{"https://h/mcp", "https://h/m", false, "nnnnn"},
		{"https://h/mcp", "https://h/other", false, "nnnnn"},
		{"https://h/mcp", "http://h/mcp", false, "nnnnn"},
		{"https://h/mcp", "https://evil/mcp", false, "nnnnn"},
		{"https://h/mcp", "https://h:443/mcp", false, "nnyyy"},
		{"https://H/mcp", "https://h/mcp", false, "nyyyy"},
		{"https://h/mcp?a=b", "https://h/mcp", false, "nynyy"},
		{"https://h", "https://h", false, "ynyyy"},
		{"https://h/", "https://h", false, "nnyyy"},
		{"https://h", "https://h/", false, "nyyyy"},
		{"https://h/mcp", "", false, "nnnnn"},
		{"https://h/mcp", "https://[", false, "nnnnn"},
	} {
		target, err := ParseTarget(tt.typed)
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		for _, rule := range rules {
			if rule(target, tt.resource, tt.root) {
				got += "y"
			} else {
				got += "n"
			}
		}
		if got != tt.want {
			t.Errorf("%s and %s (root %v): %s, want %s", tt.typed, tt.resource, tt.root, got, tt.want)
		}
	}
}
