// SPDX-License-Identifier: Apache-2.0

package github

import (
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
