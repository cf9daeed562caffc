// SPDX-License-Identifier: Apache-2.0

package postgres

import (
	"log/slog"
	"net/url"
	"strings"
	"sync"

	"github.com/caddy-mcp/caddy-mcp-oauth/caddymodule/internal/options"
)

// passwordSource returns a function that resolves the password whenever a
// connection is made. While a file is being replaced the last good value stands.
func passwordSource(raw string) (func() (string, error), error) {
	last, err := options.Expand("password", raw)
	if err != nil {
		return nil, err
	}
	var mu sync.Mutex
	return func() (string, error) {
		v, err := options.Expand("password", raw)
		mu.Lock()
		defer mu.Unlock()
		if err == nil {
			last = v
		}
		return last, nil
	}, nil
}

// warnOfLiterals warns where a password itself is written into the configuration.
func warnOfLiterals(logger *slog.Logger, dsn, password string) {
	options.WarnOfLiteral(logger, "password", password)
	if namesPassword(dsn) {
		options.WarnOfLiteral(logger, "dsn", dsn)
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
