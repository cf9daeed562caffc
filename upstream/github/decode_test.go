// SPDX-License-Identifier: Apache-2.0

package github

import (
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

func TestDecodeUser(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]userFacts{
		`{"id":1,"login":"mona"}`:                                    {"1", "mona", ""},
		`{"id":9223372036854775807,"login":"mona"}`:                  {"9223372036854775807", "mona", ""},
		`{"id":1,"login":"mona_acme","name":null}`:                   {"1", "mona_acme", ""},
		`{"id":1,"login":"mona","name":"Mona Lisa"}`:                 {"1", "mona", "Mona Lisa"},
		`{"id":1,"login":"mona","name":" a\r\nSet-Cookie: b\u0000"}`: {"1", "mona", "aSet-Cookie: b"},
		`{"id":1,"login":"mona","name":"\u202eanom"}`:                {"1", "mona", "anom"},
		`{"id":1,"login":"mona","email":"a@b","extra":{"id":2}}`:     {"1", "mona", ""},
	} {
		got, err := decodeUser([]byte(body))
		if err != nil {
			t.Errorf("%s: %v", body, err)
			continue
		}
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(userFacts{})); diff != "" {
			t.Errorf("%s: %s", body, diff)
		}
	}
}

// TestDecodeUserRefuses holds that nobody is identified by half an answer.
func TestDecodeUserRefuses(t *testing.T) {
	t.Parallel()
	for _, body := range []string{
		``, `null`, `[]`, `"mona"`, `1`, `{`, `{}`, `{"id":1}`, `{"login":"mona"}`,
		`{"id":0,"login":"mona"}`, `{"id":-1,"login":"mona"}`, `{"id":null,"login":"mona"}`,
		`{"id":"1","login":"mona"}`, `{"id":1.5,"login":"mona"}`, `{"id":1e3,"login":"mona"}`,
		`{"id":9223372036854775808,"login":"mona"}`, `{"id":true,"login":"mona"}`, `{"id":[1],"login":"mona"}`,
		`{"id":1,"login":""}`, `{"id":1,"login":null}`, `{"id":1,"login":2}`, `{"id":1,"login":["mona"]}`,
		`{"id":1,"login":"mo na"}`, `{"id":1,"login":"mo/na"}`, `{"id":1,"login":"mo\nna"}`, `{"id":1,"login":"m,o"}`,
		`{"id":1,"login":"mon\u00e4"}`, `{"id":1,"login":"mona\u0000"}`, `{"id":1,"login":"` + strings.Repeat("m", 101) + `"}`,
		`{"id":1,"login":"mona","name":1}`, `{"id":1,"login":"mona"} {}`, `{"message":"Bad credentials"}`,
	} {
		if u, err := decodeUser([]byte(body)); err == nil {
			t.Errorf("%s is taken for %+v", body, u)
		} else if u != (userFacts{}) {
			t.Errorf("%s: %+v with an error", body, u)
		}
	}
}

func TestDecodeMemberships(t *testing.T) {
	t.Parallel()
	orgs, err := decodeOrgs([]byte(`[{"login":"Acme","id":1},{"login":"evil-corp"}]`))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"acme", "evil-corp"}, orgs); diff != "" {
		t.Error(diff)
	}
	teams, err := decodeTeams([]byte(`[{"slug":"Platform","name":"The Platform","organization":{"login":"Acme"}}]`))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"acme/platform"}, teams); diff != "" {
		t.Error(diff)
	}
}

// TestAttackOrgNamedLikeATeam: an organization or slug that would read as
// another thing in the list of groups spoils the whole answer. Leaving out one
// entry would be guessing what GitHub meant.
func TestAttackOrgNamedLikeATeam(t *testing.T) {
	t.Parallel()
	for _, s := range []string{"acme/platform", "acme,evil", "", " acme", "acme\\n", "acme\\u0000", "\\u212aiss", "a:b", strings.Repeat("a", 101)} {
		if got, err := decodeOrgs([]byte(`[{"login":"fine"},{"login":"` + s + `"}]`)); err == nil {
			t.Errorf("organization %q: %q", s, got)
		}
		if got, err := decodeTeams([]byte(`[{"slug":"` + s + `","organization":{"login":"acme"}}]`)); err == nil {
			t.Errorf("team %q: %q", s, got)
		}
		if got, err := decodeTeams([]byte(`[{"slug":"ops","organization":{"login":"` + s + `"}}]`)); err == nil {
			t.Errorf("team of %q: %q", s, got)
		}
	}
	for _, body := range []string{`[{"slug":"ops"}]`, `[{"slug":"ops","organization":null}]`, `[{"slug":"ops","organization":"acme"}]`, `[{"organization":{"login":"acme"}}]`, `[[]]`, `{"0":{}}`} {
		if got, err := decodeTeams([]byte(body)); err == nil {
			t.Errorf("%s: %q", body, got)
		}
	}
}

func TestDisplayNameIsBounded(t *testing.T) {
	t.Parallel()
	got := displayName(strings.Repeat("ä", 200))
	if len(got) != maxName || !utf8.ValidString(got) {
		t.Errorf("%d bytes, valid %v", len(got), utf8.ValidString(got))
	}
	if got := displayName(strings.Repeat("x", maxName-1) + "ä"); len(got) != maxName-1 {
		t.Errorf("%d bytes: a letter was cut in two", len(got))
	}
}

func FuzzDecodeUser(f *testing.F) {
	for _, s := range []string{`{"id":1,"login":"mona","name":"Mona"}`, `{"id":"1"}`, `null`, `{"ID":1,"Login":"x"}`, `{"id":1,"login":"x","name":"\ud800"}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		u, err := decodeUser(body)
		if err != nil {
			return
		}
		if n, err := strconv.ParseInt(u.id, 10, 64); err != nil || n <= 0 || strconv.FormatInt(n, 10) != u.id {
			t.Errorf("id %q", u.id)
		}
		if !isName(u.login) {
			t.Errorf("login %q", u.login)
		}
		if len(u.name) > maxName || !utf8.ValidString(u.name) || strings.ContainsAny(u.name, "\r\n\x00") {
			t.Errorf("name %q", u.name)
		}
	})
}

func FuzzDecodeLists(f *testing.F) {
	for _, s := range []string{`[]`, `[{"login":"a"}]`, `[{"slug":"t","organization":{"login":"a"}}]`, `[null]`, `null`, `[{"email":"a@b","primary":true,"verified":true}]`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		if orgs, err := decodeOrgs(body); err == nil && slices.ContainsFunc(orgs, func(s string) bool { return strings.ContainsAny(s, "/, ") || s != lowerASCII(s) }) {
			t.Errorf("organizations %q", orgs)
		}
		if teams, err := decodeTeams(body); err == nil && slices.ContainsFunc(teams, func(s string) bool { return strings.Count(s, "/") != 1 || strings.ContainsAny(s, ", ") }) {
			t.Errorf("teams %q", teams)
		}
		if mail, err := decodePrimaryEmail(body); err == nil && mail != "" && !isAddress(mail) {
			t.Errorf("address %q", mail)
		}
	})
}
