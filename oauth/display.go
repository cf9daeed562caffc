// SPDX-License-Identifier: Apache-2.0

package oauth

import (
	"strings"
	"unicode"
)

const maxDisplayRunes = 200

// displayText makes a stranger's text fit to be shown in one line of a page that
// asks for trust: no control characters, no characters that turn the writing
// direction or are invisible (they make "exe.gpj" of "jpg.exe"), white space
// collapsed, at most 200 runes. It does not escape anything.
func displayText(s string) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case r == '\u200c' || r == '\u200d':
			// Joiners: needed by several scripts and by emoji.
			return r
		case unicode.In(r, unicode.Cc, unicode.Cf, unicode.Co, unicode.Zl, unicode.Zp) || r == unicode.ReplacementChar:
			return -1
		}
		return r
	}, s)
	s = strings.Join(strings.Fields(s), " ")
	if runes := []rune(s); len(runes) > maxDisplayRunes {
		s = strings.TrimSpace(string(runes[:maxDisplayRunes]))
	}
	return s
}

// webURL returns s if it is a plain http or https URL and nothing if not: what
// ends up in a link or in our answers must not be a javascript: one.
func webURL(s string) string {
	withoutFragment, _, _ := strings.Cut(s, "#")
	u, reason := splitURI(withoutFragment)
	if reason != "" || u.scheme != "https" && u.scheme != "http" || u.httpHost() != "" || withoutFragment != s {
		return ""
	}
	return s
}
