// SPDX-License-Identifier: Apache-2.0

package web

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

func TestReadable(t *testing.T) {
	t.Parallel()
	const swap = "\ufffd"
	for _, tc := range []struct{ name, in, want string }{
		{"empty", "", ""},
		{"plain", "MCP Inspector", "MCP Inspector"},
		{"white space of all kinds", "  a\t\n\u2003b\u00a0c ", "a b c"},
		{"right-to-left name", "שלום עולם", "שלום עולם"},
		{"Arabic", "مرحبا", "مرحبا"},
		{"Persian spelt with a joiner", "می\u200cخواهم", "می\u200cخواهم"},
		{"family emoji", "👩\u200d👩\u200d👧", "👩\u200d👩\u200d👧"},
		{"emoji variation", "❤\ufe0f", "❤\ufe0f"},
		{"Thai vowels and tones", "ที่นี่", "ที่นี่"},
		{"bidi override", "\u202egnp.exe", swap + "gnp.exe"},
		{"end of isolation, to break out of bdi", "a\u2069b", "a" + swap + "b"},
		{"embedding marks", "\u200e\u200f\u202a\u2066", swap + swap + swap + swap},
		{"zero width space", "Cl\u200baude", "Cl" + swap + "aude"},
		{"byte order mark", "\ufeffx", swap + "x"},
		{"soft hyphen", "Cl\u00adaude", "Cl" + swap + "aude"},
		{"Hangul filler", "\u3164", swap},
		{"NUL and escape", "a\x00b\x1b[31m", "a" + swap + "b" + swap + "[31m"},
		{"line separator", "a\u2028b", "a b"},
		{"private use", "\ue000", swap},
		{"tag characters", "x\U000e0041", "x" + swap},
		{"not UTF-8", "a\xffb", "a" + swap + "b"},
		{"stacked marks", "Z" + strings.Repeat("\u0335", 50) + "y", "Z" + strings.Repeat("\u0335", maxMarks) + "y"},
		{"as long as allowed", strings.Repeat("é", maxName), strings.Repeat("é", maxName)},
		{"too long", strings.Repeat("é", maxName+1), strings.Repeat("é", maxName) + "…"},
		{"cut at a space", strings.Repeat("a", maxName-1) + " bc", strings.Repeat("a", maxName-1) + "…"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			if got := readable(tc.in); got != tc.want {
				t.Errorf("%+q, want %+q", got, tc.want)
			}
		})
	}
}

func FuzzReadable(f *testing.F) {
	for _, s := range []string{"", "Claude", "\u202ea\u2069", "\xff\xfe", strings.Repeat("Z\u0335", 300), "\u2028 \u2029"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in string) {
		out := readable(in)
		if !utf8.ValidString(out) {
			t.Errorf("%+q is not UTF-8", out)
		}
		if n := utf8.RuneCountInString(out); n > maxName+1 {
			t.Errorf("%d characters", n)
		}
		if strings.ContainsFunc(out, func(r rune) bool { return unicode.IsControl(r) || bidi(r) }) {
			t.Errorf("%+q has control characters", out)
		}
		if readable(out) != out {
			t.Errorf("%+q is changed again to %+q", out, readable(out))
		}
	})
}

// bidi names the direction controls of UAX #9 one by one, other than display.go.
func bidi(r rune) bool {
	return r == '\u061c' || r == '\u200e' || r == '\u200f' || r >= '\u202a' && r <= '\u202e' || r >= '\u2066' && r <= '\u2069'
}

func FuzzASCII(f *testing.F) {
	for _, s := range []string{"", "claude.ai", "xn--pypal-4ve.com", "b\u00fccher", "a b", "\x00\xff", "a.b/c-d_e?f=g&h:"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in string) {
		out := ascii(in)
		if strings.ContainsFunc(out, func(r rune) bool { return r <= ' ' || r > '~' }) {
			t.Errorf("%+q has more than visible ASCII", out)
		}
		if strings.ContainsFunc(in, func(r rune) bool { return r <= ' ' || r > '~' }) == (in == out) {
			t.Errorf("%+q became %+q", in, out)
		}
		if got := strings.Join(breakable(out), ""); got != out {
			t.Errorf("breakable changed %q to %q", out, got)
		}
	})
}

func FuzzSafeHref(f *testing.F) {
	for _, s := range []string{"https://a.example/", "cursor://x/y", "javascript:alert(1)", "/a", "//a", "java\nscript:1", "a:b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in string) {
		href, err := safeHref(in)
		if err != nil {
			return
		}
		if string(href) != in {
			t.Errorf("%q became %q", in, href)
		}
		// As a browser reads it: surrounding controls off, tabs and line ends out.
		read := strings.NewReplacer("\t", "", "\n", "", "\r", "").Replace(strings.TrimFunc(in, func(r rune) bool { return r <= ' ' }))
		for _, scheme := range []string{"javascript:", "data:", "vbscript:", "file:", "blob:"} {
			if strings.HasPrefix(strings.ToLower(read), scheme) {
				t.Errorf("%q passed", in)
			}
		}
		if strings.HasPrefix(read, "//") || strings.HasPrefix(read, `/\`) {
			t.Errorf("%q leads to another host", in)
		}
	})
}
