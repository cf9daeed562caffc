// SPDX-License-Identifier: Apache-2.0

package options_test

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddy-mcp/caddy-mcp-oauth/caddymodule/internal/options"
)

func TestExpand(t *testing.T) {
	t.Setenv("OPTIONS_FULL", "sesame")
	t.Setenv("OPTIONS_BRACES", "{env.OPTIONS_FULL}")
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte("from a file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for raw, want := range map[string]string{
		"":                              "",
		"plain":                         "plain",
		"a}b":                           "a}b",
		"an open { brace":               "an open { brace",
		`an escaped \{brace\}`:          "an escaped {brace}",
		"{env.OPTIONS_FULL}":            "sesame",
		"open {env.OPTIONS_FULL}!":      "open sesame!",
		"{env.OPTIONS_FULL}{env.HOME}":  "sesame" + os.Getenv("HOME"),
		"{file." + file + "}":           "from a file",
		"x{file." + file + "}y":         "xfrom a filey",
		"{env.OPTIONS_BRACES}":          "{env.OPTIONS_FULL}", // a value is not looked into
		"https://{env.OPTIONS_FULL}/":   "https://sesame/",
		"{env.OPTIONS_FULL} {unclosed":  "sesame {unclosed",
		"$2a$10$N9qo8uLOickgx2ZMRZoMye": "$2a$10$N9qo8uLOickgx2ZMRZoMye",
	} {
		got, err := options.Expand("secret", raw)
		if err != nil || got != want {
			t.Errorf("%q: got %q, %v; want %q", raw, got, err, want)
		}
	}
}

// No value shows, not even where a literal secret happens to contain braces.
func TestExpandSaysWhatIsWrong(t *testing.T) {
	t.Setenv("OPTIONS_EMPTY", "")
	t.Setenv("OPTIONS_FULL", "sesame")
	empty := filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(empty, []byte("\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	const (
		unset   = " is not set, empty or not readable"
		foreign = "contains a placeholder that does not exist; use {env.NAME} or {file./path}"
	)
	for raw, want := range map[string]string{
		"{env.OPTIONS_EMPTY}":                   "{env.OPTIONS_EMPTY}" + unset,
		"{env.OPTIONS_NOT_SET}":                 "{env.OPTIONS_NOT_SET}" + unset,
		"{file./does/not/exist}":                "{file./does/not/exist}" + unset,
		"{file." + empty + "}":                  "{file." + empty + "}" + unset,
		"sesame{env.OPTIONS_EMPTY}top":          "{env.OPTIONS_EMPTY}" + unset,
		"{env.OPTIONS_FULL}{env.OPTIONS_EMPTY}": "{env.OPTIONS_FULL} or {env.OPTIONS_EMPTY}" + unset,
		"top{secret}word":                       foreign,
		"{http.request.host}":                   foreign, // there is no request yet
		"{env}":                                 foreign,
		"{}":                                    foreign,
		"{$OPTIONS_FULL}":                       foreign, // of a Caddyfile that was not adapted
		strings.Repeat("{", 200):                foreign,
	} {
		v, err := options.Expand("client_secret", raw)
		if err == nil || v != "" {
			t.Errorf("%s: resolved to %q", raw, v)
			continue
		}
		if got := err.Error(); got != "client_secret: "+want {
			t.Errorf("%s: got\n%s\nwant\n%s", raw, got, "client_secret: "+want)
		}
		if strings.Contains(err.Error(), "sesame") || strings.Contains(err.Error(), "word") {
			t.Errorf("%s: the error shows a value: %v", raw, err)
		}
	}
}

func TestLiteralSecretsAreWarnedOf(t *testing.T) {
	t.Setenv("OPTIONS_FULL", "sesame")
	for raw, warned := range map[string]bool{
		"literal-value": true, "literal}value": true, "": false, "{env.OPTIONS_FULL}": false, "literal{env.OPTIONS_FULL}": false,
	} {
		var log bytes.Buffer
		logger := slog.New(slog.NewTextHandler(&log, nil))
		v, err := options.ExpandSecret(logger, "client_secret", raw)
		if err != nil || v != strings.ReplaceAll(raw, "{env.OPTIONS_FULL}", "sesame") {
			t.Errorf("%q: %q, %v", raw, v, err)
		}
		if got := strings.Contains(log.String(), "level=WARN") && strings.Contains(log.String(), "option=client_secret"); got != warned {
			t.Errorf("%q: log %q, want a warning: %t", raw, log.String(), warned)
		}
		if strings.Contains(log.String(), "literal") || strings.Contains(log.String(), "sesame") {
			t.Errorf("%q: the log shows it: %s", raw, log.String())
		}
	}
}

func TestSecretPlaceholder(t *testing.T) {
	for s, want := range map[string]string{
		"{env.A}": "{env.A}", "x{file./a b}y": "{file./a b}", "{env.}": "", "{file.}": "", "{env.A": "", "env.A}": "",
		"{http.request.host}": "", "{environment}": "", "{ env.A}": "", "{env.{env.A}}": "{env.A}",
	} {
		if got := options.SecretPlaceholder.FindString(s); got != want {
			t.Errorf("%q: found %q, want %q", s, got, want)
		}
	}
}
