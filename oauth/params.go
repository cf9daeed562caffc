// SPDX-License-Identifier: Apache-2.0

package oauth

import (
	"net/url"
	"strings"
	"unicode/utf8"
)

const (
	maxParams     = 100
	maxParamName  = 128
	maxParamBytes = 64 << 10
)

// Params are the parameters of one request: the query of an authorization
// request or the form of a token request. Unlike [url.Values] they know the
// difference between a value and the second of two (RFC 6749 §3.1, §3.2: no
// parameter more than once).
type Params struct {
	values map[string][]string
}

// ParseParams reads a raw query string or a form-encoded body, without the "?".
//
// It is stricter than [url.ParseQuery], because whatever two parsers read
// differently an attacker can use: a bad escape, a semicolon as a separator, a
// name or value that is not UTF-8 or holds a control character, a pair without
// a name, more than 100 pairs or more than 64 KiB is invalid_request.
func ParseParams(raw string) (Params, *Error) {
	if len(raw) > maxParamBytes {
		return Params{}, NewError(CodeInvalidRequest, "the parameters are longer than %d bytes", maxParamBytes)
	}
	p := Params{values: make(map[string][]string)}
	pairs := 0
	for pair := range strings.SplitSeq(raw, "&") {
		if pair == "" {
			continue
		}
		if pairs++; pairs > maxParams {
			return Params{}, NewError(CodeInvalidRequest, "more than %d parameters", maxParams)
		}
		name, value, err := parsePair(pair)
		if err != nil {
			return Params{}, err
		}
		p.values[name] = append(p.values[name], value)
	}
	return p, nil
}

// parsePair decodes one name=value.
func parsePair(pair string) (name, value string, err *Error) {
	// url.ParseQuery refuses semicolons, older parsers split at them: a raw one
	// means two things, so it means nothing. An escaped one is data.
	if strings.Contains(pair, ";") {
		return "", "", NewError(CodeInvalidRequest, "a semicolon is not a separator and must be escaped")
	}
	rawName, rawValue, _ := strings.Cut(pair, "=")
	name, nameErr := url.QueryUnescape(rawName)
	if nameErr != nil || name == "" || len(name) > maxParamName || !cleanText(name) {
		return "", "", NewError(CodeInvalidRequest, "a parameter name is malformed")
	}
	value, valueErr := url.QueryUnescape(rawValue)
	if valueErr != nil || !cleanText(value) {
		return "", "", NewError(CodeInvalidRequest, "the value of parameter %s is malformed", printable(name))
	}
	return name, value, nil
}

// Get returns the value of a parameter that may occur at most once. An empty
// value is an absent one (RFC 6749 §3.1). A second occurrence, even of the same
// or an empty value, is invalid_request.
func (p Params) Get(name string) (string, *Error) {
	switch v := p.values[name]; len(v) {
	case 0:
		return "", nil
	case 1:
		return v[0], nil
	default:
		return "", NewError(CodeInvalidRequest, "parameter %s is repeated", printable(name))
	}
}

// All returns the non-empty values of a parameter that may be repeated, in
// order: `resource` (RFC 8707 §2).
func (p Params) All(name string) []string {
	var all []string
	for _, v := range p.values[name] {
		if v != "" {
			all = append(all, v)
		}
	}
	return all
}

// getAll reads several single parameters; the first repeated one is the error.
func (p Params) getAll(into map[string]*string, order ...string) *Error {
	for _, name := range order {
		v, err := p.Get(name)
		if err != nil {
			return err
		}
		*into[name] = v
	}
	return nil
}

// cleanText reports whether s is UTF-8 without control characters. No OAuth
// parameter of ours may hold one, not even a line break.
func cleanText(s string) bool {
	if !utf8.ValidString(s) {
		return false
	}
	for _, r := range s {
		if r < 0x20 || r >= 0x7f && r <= 0x9f {
			return false
		}
	}
	return true
}

// printable returns name if it looks like a parameter name and a stand-in if
// not, so that an error never carries a stranger's text.
func printable(name string) string {
	if name == "" || len(name) > 40 {
		return "(unnamed)"
	}
	for _, c := range []byte(name) {
		if c != '_' && c != '-' && (c < 'a' || c > 'z') {
			return "(unnamed)"
		}
	}
	return name
}
