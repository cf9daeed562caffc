// SPDX-License-Identifier: Apache-2.0

package oauth

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
)

func TestStrictObject(t *testing.T) {
	t.Parallel()
	nested := func(n int) string { return `{"a":` + strings.Repeat("[", n) + strings.Repeat("]", n) + `}` }
	tests := map[string]struct {
		in   string
		want error
	}{
		"empty object":         {`{}`, nil},
		"same name, elsewhere": {`{"a":{"a":1},"b":[{"a":1},{"a":2}]}`, nil},
		"names differ by case": {`{"a":1,"A":2}`, nil}, // the caller's business
		"deepest":              {nested(maxJSONDepth - 1), nil},
		"too deep":             {nested(maxJSONDepth), errJSONDepth},
		"empty":                {``, errJSONSyntax},
		"null":                 {`null`, errJSONSyntax},
		"number":               {`1`, errJSONSyntax},
		"array":                {`[]`, errJSONSyntax},
		"open":                 {`{"a":1`, errJSONSyntax},
		"open in a name":       {`{"a`, errJSONSyntax},
		"no value":             {`{"a":}`, errJSONSyntax},
		"no colon":             {`{"a" 1}`, errJSONSyntax},
		"name is a number":     {`{1:1}`, errJSONSyntax},
		"two values":           {`{}{}`, errJSONSyntax},
		"mismatch":             {`{"a":[}`, errJSONSyntax},
		"repeated":             {`{"a":1,"a":1}`, errJSONDuplicate},
		"repeated by escape":   {`{"a":1,"\u0061":1}`, errJSONDuplicate},
		"repeated, nested":     {`{"x":[[{"a":1,"b":2,"a":3}]]}`, errJSONDuplicate},
		"repeated empty name":  {`{"":1,"":1}`, errJSONDuplicate},
		"not UTF-8":            {"{\"a\":\"\xff\"}", errJSONEncoding},
		"long nesting":         {strings.Repeat("[", 100_000), errJSONDepth},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := strictObject([]byte(tt.in))
			if !errors.Is(err, tt.want) || (err == nil) != (got != nil) {
				t.Errorf("got %v, %v, want %v", got, err, tt.want)
			}
		})
	}
}

func FuzzStrictObject(f *testing.F) {
	f.Add([]byte(`{"a":[{"b":null}],"c":"\ud800"}`))
	f.Add([]byte(`{"a":1,"a":2}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		members, err := strictObject(body)
		if err != nil {
			return
		}
		var std map[string]any
		if err := json.Unmarshal(body, &std); err != nil {
			t.Fatalf("accepted %q, encoding/json says %v", body, err)
		}
		if len(std) != len(members) {
			t.Fatalf("%q: %d members, encoding/json finds %d", body, len(members), len(std))
		}
		// Strictness survives being written again: no repeats, one value.
		again, err := json.Marshal(std)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := strictObject(again); err != nil && !slices.Equal(body, again) {
			t.Fatalf("%q, written again as %q: %v", body, again, err)
		}
	})
}
