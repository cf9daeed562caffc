// SPDX-License-Identifier: Apache-2.0

package oauth

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

func TestDisplayText(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ in, want string }{
		"plain":                   {"Claude Code (weather)", "Claude Code (weather)"},
		"other scripts":           {"Ünïcode 客户端 клиент", "Ünïcode 客户端 клиент"},
		"emoji with joiners":      {"👩\u200d💻 app", "👩\u200d💻 app"},
		"markup is left alone":    {"<b>&amp;", "<b>&amp;"}, // the page escapes it
		"white space":             {" \ta \r\n\u00a0 b\u2003c\u3000", "a b c"},
		"control":                 {"a\x00b\x1b[31mc\u0085d", "ab[31mc d"},
		"right-to-left override":  {"Claude\u202egpj.exe", "Claudegpj.exe"},
		"isolates and marks":      {"a\u2066b\u2069c\u200ed\u200fe\u061cf", "abcdef"},
		"zero width":              {"Cla\u200bude\ufeff\u2060", "Claude"},
		"soft hyphen":             {"Cl\u00adaude", "Claude"},
		"line separators":         {"a\u2028b\u2029c", "a b c"},
		"tag characters":          {"a\U000e0041b", "ab"},
		"private use":             {"a\ue000b", "ab"},
		"replacement character":   {"a\ufffdb", "ab"},
		"nothing left":            {"\u202e\u200b ", ""},
		"long":                    {strings.Repeat("é", 201), strings.Repeat("é", 200)},
		"long, cut at a space":    {strings.Repeat("a", 199) + " bc", strings.Repeat("a", 199)},
		"long only by what goes":  {strings.Repeat("\u202e", 500) + "x", "x"},
		"not UTF-8 (never comes)": {"a\xffb", "ab"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := displayText(tt.in); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestWebURL(t *testing.T) {
	t.Parallel()
	for _, s := range []string{"https://h", "https://h/a?b=c", "http://localhost:1/", "HTTPS://H/"} {
		if got := webURL(s); got != s {
			t.Errorf("webURL(%q) = %q", s, got)
		}
	}
	for _, s := range []string{
		"", "h", "//h", "javascript:alert(1)", "data:x", "ftp://h", "cursor://x", "https://", "https://u@h", "https://h\\@g", "https://h/\n", "https://é", "https://127.1", "https://h/#x",
	} {
		if got := webURL(s); got != "" {
			t.Errorf("webURL(%q) = %q, want nothing", s, got)
		}
	}
}

func FuzzDisplayText(f *testing.F) {
	f.Add("Claude\u202e")
	f.Add("a\x00 b")
	f.Fuzz(func(t *testing.T, s string) {
		got := displayText(s)
		if !utf8.ValidString(got) || utf8.RuneCountInString(got) > maxDisplayRunes || strings.TrimSpace(got) != got {
			t.Fatalf("%q became %q", s, got)
		}
		for _, r := range got {
			if unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) {
				t.Fatalf("%q became %q with %U", s, got, r)
			}
		}
		if again := displayText(got); again != got {
			t.Fatalf("%q, then %q", got, again)
		}
	})
}
