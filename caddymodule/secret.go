// SPDX-License-Identifier: Apache-2.0

package caddymodule

import (
	"fmt"
	"log/slog"
	"regexp"
	"strings"

	"github.com/caddyserver/caddy/v2"
)

// secretPlaceholder matches the placeholders that are meant for secrets. Only
// these are ever repeated in an error: a brace may as well belong to a secret
// that somebody wrote down literally.
var secretPlaceholder = regexp.MustCompile(`\{(?:env|file)\.[^{}]+\}`)

// expand resolves the placeholders of an option that is no secret. An unset
// variable or an unreadable file is an error, never an empty value.
func expand(option, raw string) (string, error) {
	v, err := caddy.NewReplacer().ReplaceOrErr(raw, true, true)
	if err == nil {
		return v, nil
	}
	if used := secretPlaceholder.FindAllString(raw, -1); len(used) > 0 {
		return "", fmt.Errorf("%s: %s is not set, empty or not readable", option, strings.Join(used, " or "))
	}
	return "", fmt.Errorf("%s: contains a placeholder that does not exist; use {env.NAME} or {file./path}", option)
}

// expandSecret is expand for a secret: it warns where the value itself is
// written into the configuration, because GET /config/ and the autosaved
// configuration show that to everybody who can read them.
func expandSecret(logger *slog.Logger, option, raw string) (string, error) {
	if raw != "" && !strings.Contains(raw, "{") {
		logger.Warn("secret is written into the configuration, where the admin API shows it; use {env.NAME} or {file./path}",
			"option", option)
	}
	return expand(option, raw)
}
