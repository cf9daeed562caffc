// SPDX-License-Identifier: Apache-2.0

package web

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	// maxName bounds a name on a page, in characters. RFC 7591 has no bound.
	maxName = 120
	// maxText bounds a sentence of somebody else's, in characters.
	maxText = 500
	// maxMarks bounds the combining marks on one character, so that a name cannot
	// be drawn over the lines around it. Real scripts need three or four.
	maxMarks = 4
)

// readable prepares a text that somebody else chose for being read: white space
// becomes single spaces, characters that are invisible or change the direction of
// what follows become U+FFFD, and what is too long is cut with an ellipsis. The
// template escapes it and isolates it in a bdi element; that is not enough by
// itself, because a stray U+2069 ends the isolation early.
func readable(s string) string { return readableWithin(s, maxName) }

// readableText is readable for a sentence.
func readableText(s string) string { return readableWithin(s, maxText) }

func readableWithin(s string, most int) string {
	var b strings.Builder
	length, marks := 0, 0
	for _, r := range strings.Join(strings.Fields(s), " ") {
		if unicode.In(r, unicode.Mn, unicode.Me) {
			if marks++; marks > maxMarks {
				continue
			}
		} else {
			marks = 0
		}
		if length++; length > most {
			return strings.TrimSpace(b.String()) + "…"
		}
		if deceptive(r) {
			r = utf8.RuneError
		}
		b.WriteRune(r)
	}
	return b.String()
}

// deceptive reports whether r is unseen, or steers how its neighbours are shown.
// The two joiners stay: scripts and emoji are spelled with them.
func deceptive(r rune) bool {
	const zeroWidthNonJoiner, zeroWidthJoiner = '\u200c', '\u200d'
	switch {
	case r == zeroWidthNonJoiner || r == zeroWidthJoiner:
		return false
	case unicode.Is(unicode.Prepended_Concatenation_Mark, r):
		return false
	case unicode.In(r, unicode.Cc, unicode.Cf, unicode.Co, unicode.Zl, unicode.Zp):
		return true
	case unicode.Is(unicode.Other_Default_Ignorable_Code_Point, r):
		return true
	}
	return false
}

// ascii prepares an address for being read: whatever is not visible ASCII is
// percent-encoded, so that no letter can pass for another one. A punycode host is
// already ASCII and is shown as it is (M-27). Nothing is ever cut from an address.
func ascii(s string) string {
	var b strings.Builder
	for i := range len(s) {
		if c := s[i]; c > ' ' && c <= '~' {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

// breakable splits an address behind its punctuation, where a line may end. The
// parts together are the address.
func breakable(s string) []string {
	var parts []string
	for s != "" {
		i := strings.IndexAny(s, "./:?&=-_") + 1
		if i == 0 {
			i = len(s)
		}
		parts = append(parts, s[:i])
		s = s[i:]
	}
	return parts
}
