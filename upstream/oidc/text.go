// SPDX-License-Identifier: Apache-2.0

package oidc

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxText bounds a name, a login and the name of a group, in bytes. No allow rule
// is longer.
const maxText = 256

// text keeps what can be shown: people put anything into their names.
func text(s string) string {
	s = strings.Map(func(c rune) rune {
		if c == utf8.RuneError || c != ' ' && !unicode.IsPrint(c) {
			return -1
		}
		return c
	}, s)
	for len(s) > maxText {
		_, size := utf8.DecodeLastRuneInString(s)
		s = s[:len(s)-size]
	}
	return strings.TrimSpace(s)
}

func isAddress(s string) bool {
	at := strings.LastIndexByte(s, '@')
	if at <= 0 || at == len(s)-1 || len(s) > 254 || !utf8.ValidString(s) {
		return false
	}
	return !strings.ContainsFunc(s, func(c rune) bool {
		return c == ' ' || c == utf8.RuneError || !unicode.IsPrint(c)
	})
}

// isSubject accepts what identifies a user (OpenID Connect Core §2: at most 255
// ASCII characters) and survives a header: no control characters, and no blank at
// an end, where a header would lose it and make two users one.
func isSubject(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return s != "" && len(s) <= 255 && strings.TrimSpace(s) == s
}

// isHeaderSafe is b64token of RFC 6750 §2.1, loosely.
func isHeaderSafe(token string) bool {
	for i := range len(token) {
		if token[i] <= ' ' || token[i] > '~' {
			return false
		}
	}
	return token != ""
}

// quote is a value from outside, short enough and safe for a log line.
func quote(s string) string { return strconv.Quote(printable(s)) }

func printable(s string) string {
	const most = 120
	s = strings.Map(func(c rune) rune {
		if c < ' ' || c > '~' {
			return '?'
		}
		return c
	}, s)
	if len(s) > most {
		s = s[:most] + "..."
	}
	return s
}
