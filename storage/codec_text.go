// SPDX-License-Identifier: Apache-2.0

package storage

import (
	"reflect"
	"strings"
	"time"
	"unicode/utf8"
)

// JSON text is Unicode, but a state parameter is whatever bytes a client sent,
// and it has to come back byte for byte. So a byte that is not part of valid
// UTF-8 travels as one rune of a block at the end of the private-use planes, and
// so do the bytes of a genuine rune of that block, which keeps the mapping
// reversible.
const (
	escapeFirst = rune(0x10FE00)
	escapeLast  = escapeFirst + 0xFF
)

func escaped(r rune) bool { return escapeFirst <= r && r <= escapeLast }

// plain reports whether escape and unescape leave s as it is.
func plain(s string) bool {
	const lead = 0xF4 // first byte of every escaped rune, and of few others
	return utf8.ValidString(s) && (strings.IndexByte(s, lead) < 0 || strings.IndexFunc(s, escaped) < 0)
}

// escape returns s as valid UTF-8.
func escape(s string) string {
	if plain(s) {
		return s
	}
	var b strings.Builder
	for len(s) > 0 {
		r, size := utf8.DecodeRuneInString(s)
		if r == utf8.RuneError && size == 1 || escaped(r) {
			for _, c := range []byte(s[:size]) {
				b.WriteRune(escapeFirst + rune(c))
			}
		} else {
			b.WriteString(s[:size])
		}
		s = s[size:]
	}
	return b.String()
}

// unescape undoes escape.
func unescape(s string) string {
	if plain(s) {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		if escaped(r) {
			b.WriteByte(byte(r - escapeFirst))
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}

// rewriteStrings returns rec if all strings in it are plain, as nearly always, or a
// copy with f applied to them. The copy may share what has no strings, times and byte
// slices.
func rewriteStrings[R Record](rec *R, f func(string) string) *R {
	v := reflect.ValueOf(rec).Elem()
	if allPlain(v) {
		return rec
	}
	out := mapStrings(v, f)
	copied, _ := out.Interface().(R)
	return &copied
}

func allPlain(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.String:
		return plain(v.String())
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			return true
		}
		for i := range v.NumField() {
			if !allPlain(v.Field(i)) {
				return false
			}
		}
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			return true
		}
		for i := range v.Len() {
			if !allPlain(v.Index(i)) {
				return false
			}
		}
	default:
	}
	return true
}

func mapStrings(v reflect.Value, f func(string) string) reflect.Value {
	out := reflect.New(v.Type()).Elem()
	switch v.Kind() {
	case reflect.String:
		out.SetString(f(v.String()))
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			return v
		}
		for i := range v.NumField() {
			out.Field(i).Set(mapStrings(v.Field(i), f))
		}
	case reflect.Slice:
		if v.IsNil() || v.Type().Elem().Kind() == reflect.Uint8 {
			return v
		}
		out = reflect.MakeSlice(v.Type(), v.Len(), v.Len())
		for i := range v.Len() {
			out.Index(i).Set(mapStrings(v.Index(i), f))
		}
	default:
		return v
	}
	return out
}
