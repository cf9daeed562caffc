// SPDX-License-Identifier: Apache-2.0

package options

import (
	"fmt"
	"log/slog"
	"regexp"
	"strings"

	"github.com/caddyserver/caddy/v2"
)

// SecretPlaceholder matches the placeholders that are meant for secrets. Only these are
// ever repeated in an error: a brace may as well belong to a secret that somebody wrote
// down literally.
var SecretPlaceholder = regexp.MustCompile(`\{(?:env|file)\.[^{}]+\}`)

// Expand resolves the placeholders of an option, when it is provisioned and never while
// it is adapted. An unset variable or an unreadable file is an error, never an empty
// value.
func Expand(option, raw string) (string, error) {
	v, err := caddy.NewReplacer().ReplaceOrErr(raw, true, true)
	if err == nil {
		return v, nil
	}
	if used := SecretPlaceholder.FindAllString(raw, -1); len(used) > 0 {
		return "", fmt.Errorf("%s: %s is not set, empty or not readable", option, strings.Join(used, " or "))
	}
	return "", fmt.Errorf("%s: contains a placeholder that does not exist; use {env.NAME} or {file./path}", option)
}

// ExpandSecret is Expand for a secret, with the warning of WarnOfLiteral.
func ExpandSecret(logger *slog.Logger, option, raw string) (string, error) {
	WarnOfLiteral(logger, option, raw)
	return Expand(option, raw)
}

// WarnOfLiteral warns where a secret itself is written into the configuration, because
// GET /config/ and the autosaved configuration show that to everybody who can read them.
func WarnOfLiteral(logger *slog.Logger, option, raw string) {
	if raw != "" && !strings.Contains(raw, "{") {
		logger.Warn("secret is written into the configuration, where the admin API shows it; use {env.NAME} or {file./path}",
			"option", option)
	}
}
