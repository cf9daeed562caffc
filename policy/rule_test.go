// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseRule(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]Rule{
		"any":                      {Type: TypeAny},
		"github/any":               {Upstream: "github", Type: TypeAny},
		"user:octocat":             {Type: TypeUser, Value: "octocat"},
		"user:octo-cat_acme":       {Type: TypeUser, Value: "octo-cat_acme"},
		"id:583231":                {Type: TypeID, Value: "583231"},
		"org:acme":                 {Type: TypeOrg, Value: "acme"},
		"org:any":                  {Type: TypeOrg, Value: "any"},
		"team:acme/platform":       {Type: TypeTeam, Value: "acme/platform"},
		"email:a@b.example":        {Type: TypeEmail, Value: "a@b.example"},
		"domain:acme.com":          {Type: TypeDomain, Value: "acme.com"},
		"domain:münchen.example":   {Type: TypeDomain, Value: "münchen.example"},
		"group:realm/Admins: EMEA": {Type: TypeGroup, Value: "realm/Admins: EMEA"},
		"local:bob":                {Type: TypeLocal, Value: "bob"},
		"ghe/team:acme/platform":   {Upstream: "ghe", Type: TypeTeam, Value: "acme/platform"},
		"corp.sso/group:a/b":       {Upstream: "corp.sso", Type: TypeGroup, Value: "a/b"},
	} {
		t.Run(in, func(t *testing.T) {
			t.Parallel()
			got, err := ParseRule(in)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
			if got.String() != in {
				t.Errorf("String() = %q, want the written form back", got.String())
			}
		})
	}
}

// TestParseRuleErrors holds that a mistake is named, together with the way out.
func TestParseRuleErrors(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"":                           "user:<login>",
		"octocat":                    "no type",
		"acme/platform":              "no type",
		"*":                          "write any",
		"all":                        "write any",
		"ANY":                        "write any",
		"any:octocat":                "takes no value",
		"any:":                       "nothing after the colon",
		"user:":                      "nothing after the colon",
		"user":                       "write user:<login>",
		"User:octocat":               `unknown type "User"`,
		"username:octocat":           "unknown type",
		"user:@octocat":              "without @",
		"user:octo cat":              "not a GitHub login",
		"user:octocat ":              "blank",
		"user: octocat":              "blank",
		"id:octocat":                 "numeric GitHub user id",
		"id:007":                     "numeric GitHub user id",
		"id:0":                       "numeric GitHub user id",
		"id:-1":                      "numeric GitHub user id",
		"id:+1":                      "numeric GitHub user id",
		"id:1.0":                     "numeric GitHub user id",
		"id:١":                       "numeric GitHub user id",
		"id:99999999999999999999":    "numeric GitHub user id",
		"org:acme/platform":          "write team:acme/platform",
		"org:acme*":                  "not a GitHub organization",
		"team:platform":              "write team:<org>/<team>",
		"team:acme/":                 "write team:<org>/<team>",
		"team:/x":                    "write team:<org>/<team>",
		"team:acme/a/b":              "not a team slug",
		"team:acme/Platform Team":    "slug",
		"email:acme.com":             "not an e-mail address",
		"email:@acme.com":            "not an e-mail address",
		"email:a@":                   "not an e-mail address",
		"email:a@b@c":                "not an e-mail address",
		"email:a b@acme.com":         "not an e-mail address",
		"domain:@acme.com":           "without @",
		"domain:a@acme.com":          "without @",
		"domain:*.acme.com":          "no wildcard",
		"domain:.acme.com":           "not a domain",
		"domain:acme.com.":           "not a domain",
		"domain:https://acme.com":    "not a domain",
		"domain:acme..com":           "not a domain",
		"group:a\x00b":               "unprintable",
		"group:a\nb":                 "unprintable",
		"group:a\u200bb":             "unprintable",
		"group:\xff":                 "not UTF-8",
		"local:":                     "nothing after the colon",
		"/user:octocat":              "not a name of an upstream",
		"a b/user:octocat":           "not a name of an upstream",
		"../user:octocat":            "not a name of an upstream",
		"ghe/":                       "no type",
		"ghe/all":                    "write any",
		"group:" + longText(300):     "longer than",
		"user:" + longText(101):      "not a GitHub login",
		longText(101) + "/user:mona": "not a name of an upstream",
	} {
		t.Run(in, func(t *testing.T) {
			t.Parallel()
			r, err := ParseRule(in)
			if err == nil {
				t.Fatalf("accepted as %+v", r)
			}
			if !strings.Contains(err.Error(), want) {
				t.Errorf("error %q does not say %q", err, want)
			}
			if r != (Rule{}) {
				t.Errorf("returned %+v with an error", r)
			}
		})
	}
}

func longText(n int) string { return strings.Repeat("x", n) }

// FuzzParseRule holds that whatever is accepted can be written down and read
// back as the same rule, and that New agrees about it.
func FuzzParseRule(f *testing.F) {
	for _, s := range []string{"any", "user:octocat", "ghe/team:a/b", "group:a: b", "a/b/c:d", ":", "/", "any:", "id:1", "email:\"a@b\"@c"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r, err := ParseRule(s)
		if err != nil {
			return
		}
		if r.String() != s {
			t.Errorf("%q is written back as %q", s, r)
		}
		again, err := ParseRule(r.String())
		if err != nil || again != r {
			t.Errorf("%q reads back as %+v, %v; was %+v", s, again, err, r)
		}
		if err := r.check(); err != nil {
			t.Errorf("%q was accepted, but does not pass its own check: %v", s, err)
		}
	})
}
