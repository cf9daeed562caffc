// SPDX-License-Identifier: Apache-2.0

package options_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/google/go-cmp/cmp"

	"github.com/caddy-mcp/caddy-mcp-oauth/caddymodule/internal/options"
)

// FuzzRead: reading ends, what is taken down is what stands there, each mistake has its
// line, and none repeats a password.
func FuzzRead(f *testing.F) {
	for _, s := range []string{
		"path /a\npassword s3cret", "password s3cret s3cret\npassword s3cret", "nodes a b {\nc\n}", "rules a a bad\nsize 12",
		"inner {\ntext {env.X}\n}", "inner {\ninner {\n", "}\n}\npath x", "password \"a\nb\" c", "path <<END\nx\nEND", "fast \\\nx",
		"password {", "\"{\"", "joined\nsize -1", "password `s3cret`", "# s3cret",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, lines string) {
		tokens, err := caddyfile.Tokenize([]byte("engine {\n"+lines+"\n}\n"), "Fuzzfile")
		if err != nil || len(tokens) == 0 {
			return
		}
		readTokens := func() (e engine, err error) {
			d := caddyfile.NewDispenser(slices.Clone(tokens))
			d.Next()
			err = options.Read(d, "engine", e.set())
			return e, err
		}
		e, err := readTokens()
		checkMistakes(t, err)
		if err != nil && onlyPasswordsAreSecret(tokens) && strings.Contains(err.Error(), secretMark) {
			t.Errorf("the error repeats a password: %v", err)
		}
		for _, v := range slices.Concat([]string{e.Path, e.Password, e.Inner}, e.Nodes, e.Rules) {
			if v != "" && !slices.ContainsFunc(tokens, func(tok caddyfile.Token) bool { return tok.Text == v }) {
				t.Errorf("%q was read, which stands nowhere", v)
			}
		}
		again, err2 := readTokens()
		if diff := cmp.Diff(e, again); diff != "" || (err == nil) != (err2 == nil) || err != nil && err.Error() != err2.Error() {
			t.Errorf("read another time: %v, then %v\n%s", err, err2, diff)
		}
	})
}

// checkMistakes wants the line of each of the joined errors.
func checkMistakes(t *testing.T, err error) {
	t.Helper()
	if err == nil {
		return
	}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		for _, e := range joined.Unwrap() {
			checkMistakes(t, e)
		}
		return
	}
	if !strings.Contains(err.Error(), ", at Fuzzfile:") {
		t.Errorf("the error has no line: %v", err)
	}
}

const secretMark = "s3cret"

// onlyPasswordsAreSecret reports that the mark stands only on lines that begin with
// password. Tokens in quotes may be longer than a line, so there must be none.
func onlyPasswordsAreSecret(tokens []caddyfile.Token) bool {
	first := map[int]string{}
	for _, tok := range tokens {
		if _, ok := first[tok.Line]; !ok {
			first[tok.Line] = tok.Text
		}
		if tok.Quoted() || strings.Contains(tok.Text, secretMark) && first[tok.Line] != "password" {
			return false
		}
	}
	return true
}

// FuzzExpand: nothing turns into nothing, what has no placeholder stays as it is, and an
// error consists of fixed words and the placeholders for secrets.
func FuzzExpand(f *testing.F) {
	f.Setenv("OPTIONS_EMPTY", "")
	f.Setenv("OPTIONS_FULL", "sesame")
	for _, s := range []string{
		"", "plain", "{env.OPTIONS_FULL}", "a{env.OPTIONS_EMPTY}b", "{env.OPTIONS_FULL}{env.NOT_SET}", "top{secret}word", `\{env.A\}`,
		"{env.{env.A}}", "{http.request.host}", "{{{{", "}{", "{system.hostname}", "{env.OPTIONS_FULL}{secret}", `{env.A\}B}`,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		if strings.Contains(raw, "{file.") {
			t.Skip("the files of the machine are not the fuzzer's")
		}
		v, err := options.Expand("secret", raw)
		if err == nil {
			if raw != "" && v == "" {
				t.Errorf("%q is empty", raw)
			}
			if !strings.ContainsAny(raw, `{\`) && v != raw {
				t.Errorf("%q became %q", raw, v)
			}
			return
		}
		want := "secret: contains a placeholder that does not exist; use {env.NAME} or {file./path}"
		if used := options.SecretPlaceholder.FindAllString(raw, -1); len(used) > 0 {
			want = "secret: " + strings.Join(used, " or ") + " is not set, empty or not readable"
		}
		if v != "" || err.Error() != want {
			t.Errorf("%q: %q, %v", raw, v, err)
		}
	})
}
