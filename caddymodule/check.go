// SPDX-License-Identifier: Apache-2.0

package caddymodule

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/caddy-mcp/caddy-mcp-oauth/gateway"
)

const maxNameLen = 120

// checkPath says what is wrong with the path of a resource, and what to write
// instead. Paths are compared by Caddy's path matcher, so the characters that
// mean something there are refused.
func checkPath(p string) error {
	switch {
	case p == "" || p[0] != '/':
		return fmt.Errorf("%q is not a path: it begins with a slash, as in /mcp", p)
	case p == "/":
		return nil
	case strings.HasSuffix(p, "/*"), strings.HasSuffix(p, "/"):
		bare := strings.TrimRight(p, "/*")
		return fmt.Errorf("path %q: write %s, which covers everything below it too", p, orSlash(bare))
	case strings.ContainsAny(p, "*?[]\\{}%;#\"'<>"):
		return fmt.Errorf("path %q: wildcards, placeholders, escapes and queries are not possible; write it out plainly, as in /mcp", p)
	case strings.Contains(p, "//"), hasDotSegment(p):
		return fmt.Errorf("path %q: empty and dot segments are not possible", p)
	case !isPlainText(p) || strings.Contains(p, " "):
		return fmt.Errorf("path %q: only visible ASCII characters are possible", p)
	case gateway.ReservedPath(p):
		return fmt.Errorf("path %q belongs to the authorization server itself; choose another one, as /mcp", p)
	}
	return nil
}

func orSlash(s string) string {
	if s == "" {
		return "/"
	}
	return s
}

func hasDotSegment(p string) bool {
	for seg := range strings.SplitSeq(p, "/") {
		if seg == "." || seg == ".." {
			return true
		}
	}
	return false
}

// isPlainText reports visible ASCII and blanks.
func isPlainText(s string) bool {
	return strings.IndexFunc(s, func(c rune) bool { return c < ' ' || c > '~' }) < 0
}

// checkScope applies the grammar of a scope token (RFC 6749 §3.3).
func checkScope(s string) error {
	bad := func(c rune) bool { return c <= ' ' || c > '~' || c == '"' || c == '\\' }
	if s == "" || strings.IndexFunc(s, bad) >= 0 {
		return fmt.Errorf("scope %q: only visible ASCII characters without quotes and backslashes are possible", s)
	}
	return nil
}

// checkName refuses what would not show on the consent page as it was written.
func checkName(s string) error {
	switch {
	case strings.TrimSpace(s) == "":
		return errors.New("name is empty")
	case len(s) > maxNameLen || !utf8.ValidString(s):
		return fmt.Errorf("name is not UTF-8 or longer than %d bytes", maxNameLen)
	case strings.IndexFunc(s, func(c rune) bool { return c != ' ' && !unicode.IsPrint(c) }) >= 0:
		return errors.New("name contains an unprintable character")
	}
	return nil
}

// checkAllowedOrigin wants one exact browser origin.
func checkAllowedOrigin(s string) error {
	if strings.Contains(s, "*") {
		return fmt.Errorf("%q: wildcards are not possible, list each origin as in https://app.example.com", s)
	}
	scheme, rest, ok := strings.Cut(s, "://")
	if !ok || rest == "" || scheme != "http" && scheme != "https" || strings.ContainsAny(rest, "/?#@ {}") ||
		strings.ToLower(s) != s || !isPlainText(s) {
		return fmt.Errorf("%q is not an origin; write it in lower case and without path, as in https://app.example.com", s)
	}
	return nil
}

// checkResource checks the parts of one resource against each other. Path and
// also are compared without regard to case, like Caddy's path matcher does.
func checkPaths(path string, also []string, backendPath string) []error {
	var errs []error
	seen := map[string]bool{}
	for i, p := range append([]string{path}, also...) {
		if err := checkPath(p); err != nil {
			errs = append(errs, err)
			continue
		}
		if seen[strings.ToLower(p)] {
			errs = append(errs, fmt.Errorf("path %q is listed twice", p))
		}
		seen[strings.ToLower(p)] = true
		if i > 0 && p == "/" {
			errs = append(errs, errors.New(`also "/" would cover every path; make it the path of the resource instead`))
		}
	}
	if backendPath != "" && len(also) > 0 {
		errs = append(errs, fmt.Errorf("a backend with a path (%s) and also exclude each other: "+
			"with several paths there is none to rewrite them all to; leave the path off the backend", backendPath))
	}
	return errs
}
