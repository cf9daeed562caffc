// SPDX-License-Identifier: Apache-2.0

package caddymodule

import (
	"log/slog"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-mcp/caddy-mcp-oauth/caddymodule/internal/options"
)

// What the directives of this package read their options with, by short names: their
// tables are read more often than this file.
type (
	option    = options.Reader
	optionSet = options.Set
)

func parseOptions(d *caddyfile.Dispenser, directive string, known optionSet) error {
	return options.Read(d, directive, known)
}

func parseOption(segment caddyfile.Segment, directive string, known optionSet) error {
	return options.ReadOne(segment, directive, known)
}

func single(target *string) option { return options.Single(target) }

// secret says what single is right for as well.
func secret(target *string) option { return options.Single(target) }

func list(target *[]string, check func(string) error) option { return options.Distinct(target, check) }

// What they are resolved with.
var secretPlaceholder = options.SecretPlaceholder

func expand(option, raw string) (string, error) { return options.Expand(option, raw) }

func expandSecret(logger *slog.Logger, option, raw string) (string, error) {
	return options.ExpandSecret(logger, option, raw)
}
