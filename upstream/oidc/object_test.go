// SPDX-License-Identifier: Apache-2.0

package oidc

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestParseObject(t *testing.T) {
	t.Parallel()
	many := func(n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, `"k%d":0,`, i)
		}
		return "{" + strings.TrimSuffix(b.String(), ",") + "}"
	}
	for in, want := range map[string]error{
		`{}`:                          nil,
		` { "a" : 1 } `:               nil,
		`{"a":{"a":1},"A":2}`:         nil,
		many(maxMembers):              nil,
		many(maxMembers + 1):          errMembers,
		`{"a":1,"a":1}`:               errTwice,
		`{"a":1,"\u0061":1}`:          errTwice,
		`{"\ud800":1,"\udbff":1}`:     errTwice, // both are read as the same replacement
		``:                            errNotObject,
		`null`:                        errNotObject,
		`[]`:                          errNotObject,
		`"{}"`:                        errNotObject,
		`{`:                           errNotObject,
		`{"a"}`:                       errNotObject,
		`{"a":}`:                      errNotObject,
		`{"a":1,}`:                    errNotObject,
		`{"a":1 "b":2}`:               errNotObject,
		`{1:1}`:                       errNotObject,
		`{"a":1}}`:                    errNotObject,
		`{"a":1}{"a":1}`:              errNotObject,
		`{"a":1} x`:                   errNotObject,
		`{"a":01}`:                    errNotObject,
		"{\"a\":\"\xff\"}":            errNotObject,
		"\ufeff{}":                    errNotObject,
		`{"a":` + deep(20_000) + `}`:  errNotObject,
		`{"a":1, /* comment */"b":2}`: errNotObject,
	} {
		o, err := parseObject([]byte(in))
		if !errors.Is(err, want) || (err == nil) != (o != nil) {
			t.Errorf("%.60q: %v, want %v", in, err, want)
		}
	}
}

func deep(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }

func TestObjectMembers(t *testing.T) {
	t.Parallel()
	o, err := parseObject([]byte(`{"text":"a\"b","empty":"","null":null,"number":1,"list":["a","b"],"none":[],"mixed":["a",1],
		"true":true,"word":"true","one":1,"time":1764072000,"fraction":1764072000.9,"power":1.764072e9,"zero":0,"negative":-5,"late":1e300,"nested":{"a":"b"}}`))
	if err != nil {
		t.Fatal(err)
	}
	type result struct {
		Text  string
		Texts []string
		Has   bool
		True  bool
		Time  int64
	}
	noon := int64(1764072000)
	for name, want := range map[string]result{
		"text":     {Text: `a"b`, Texts: []string{`a"b`}, Has: true},
		"empty":    {Texts: []string{""}, Has: true},
		"null":     {},
		"missing":  {},
		"number":   {Has: true, Time: 1},
		"list":     {Texts: []string{"a", "b"}, Has: true},
		"none":     {Texts: []string{}, Has: true},
		"mixed":    {Has: true},
		"true":     {Has: true, True: true},
		"word":     {Text: "true", Texts: []string{"true"}, Has: true},
		"one":      {Has: true, Time: 1},
		"time":     {Has: true, Time: noon},
		"fraction": {Has: true, Time: noon},
		"power":    {Has: true, Time: noon},
		"zero":     {Has: true},
		"negative": {Has: true},
		"late":     {Has: true},
		"nested":   {Has: true},
		"Text":     {},
	} {
		got := result{Has: o.has(name), True: o.isTrue(name)}
		got.Text, _ = o.text(name)
		got.Texts, _ = o.texts(name, 2)
		if at, ok := o.time(name); ok {
			got.Time = at.Unix()
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	if _, ok := o.texts("list", 1); ok {
		t.Error("a list that is too long was read")
	}
	if at, ok := o.time("zero"); !ok || !at.Equal(time.Unix(0, 0)) {
		t.Errorf("zero is %v", at)
	}
	var none object
	if none.has("a") || none.list("a") != nil || none.isTrue("a") {
		t.Error("nothing has something")
	}
}

// FuzzParseObject: what is accepted is what encoding/json reads too, with the same
// members; so nothing is accepted that another reader takes for something else.
func FuzzParseObject(f *testing.F) {
	for _, s := range []string{`{}`, `{"a":1,"b":[{"c":null}]}`, `{"a":1,"a":2}`, `{"\ud800":1}`, `{"sub":"x","SUB":"y"}`, `[1]`, `{"a":1}x`, "{\"\xff\":1}"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		o, err := parseObject(raw)
		if err != nil {
			return
		}
		var m map[string]json.RawMessage
		if err := json.Unmarshal(raw, &m); err != nil {
			t.Fatalf("accepted what is no JSON: %v", err)
		}
		if diff := cmp.Diff(m, map[string]json.RawMessage(o)); diff != "" {
			t.Errorf("members (-json +ours):\n%s", diff)
		}
	})
}
