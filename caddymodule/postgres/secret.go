// SPDX-License-Identifier: Apache-2.0

package postgres

import (
	"fmt"
	"log/slog"
	"net/url"
	"regexp"
	"strings"
	"sync"

	"github.com/caddyserver/caddy/v2"
)

// secretPlaceholder matches the placeholders that are meant for secrets. Only
// these are ever repeated in an error: a brace may as well belong to a secret that
// somebody wrote down literally.
var secretPlaceholder = regexp.MustCompile(`\{(?:env|file)\.[^{}]+\}`)

// expand resolves the placeholders of an option. An unset variable or an unreadable
// file is an error, never an empty value.
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

// passwordSource returns a function that resolves the password whenever a
// connection is made. While a file is being replaced the last good value stands.
func passwordSource(raw string) (func() (string, error), error) {
	last, err := expand("password", raw)
	if err != nil {
		return nil, err
	}
	var mu sync.Mutex
	return func() (string, error) {
		v, err := expand("password", raw)
		mu.Lock()
		defer mu.Unlock()
		if err == nil {
			last = v
		}
		return last, nil
	}, nil
}

// warnOfLiterals warns where a password itself is written into the configuration,
// because GET /config/ and the autosaved configuration show that to everybody who
// can read them.
func warnOfLiterals(logger *slog.Logger, dsn, password string) {
	const text = "secret is written into the configuration, where the admin API shows it; use {env.NAME} or {file./path}"
	if password != "" && !strings.Contains(password, "{") {
		logger.Warn(text, "option", "password")
	}
	if !strings.Contains(dsn, "{") && namesPassword(dsn) {
		logger.Warn(text, "option", "dsn")
	}
}

func namesPassword(dsn string) bool {
	if u, err := url.Parse(dsn); err == nil && u.User != nil {
		if password, _ := u.User.Password(); password != "" {
			return true
		}
	}
	return strings.Contains(dsn, "password")
}
