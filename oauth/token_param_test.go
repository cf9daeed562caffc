// SPDX-License-Identifier: Apache-2.0

package oauth

import "testing"

func TestParseTokenParam(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ raw, want, code string }{
		"alone":                 {"token=mcpat_x", "mcpat_x", ""},
		"with a hint":           {"token=t&token_type_hint=refresh_token", "t", ""},
		"with a wrong hint":     {"token=t&token_type_hint=saml2", "t", ""},
		"with an empty hint":    {"token=t&token_type_hint=", "t", ""},
		"escaped":               {"token=a%2Bb%2Fc", "a+b/c", ""},
		"among others":          {"client_id=c&token=t&x=y", "t", ""},
		"missing":               {"token_type_hint=access_token", "", CodeInvalidRequest},
		"empty":                 {"token=", "", CodeInvalidRequest},
		"twice":                 {"token=a&token=b", "", CodeInvalidRequest},
		"twice, the second one": {"token=a&token=", "", CodeInvalidRequest},
		"two hints":             {"token=a&token_type_hint=access_token&token_type_hint=refresh_token", "", CodeInvalidRequest},
		"case of the name":      {"Token=a", "", CodeInvalidRequest},
	} {
		p, err := ParseParams(tt.raw)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		got, err := ParseTokenParam(p)
		code := ""
		if err != nil {
			code = err.Code
		}
		if got != tt.want || code != tt.code {
			t.Errorf("%s: %q %q, want %q %q", name, got, code, tt.want, tt.code)
		}
	}
}
