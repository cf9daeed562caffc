// SPDX-License-Identifier: Apache-2.0

package storage

import (
	"bytes"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// FuzzDecode feeds the decoder what a damaged or forged file may hold. What it
// accepts it must be able to write and read again, and rewriting must lose
// nothing.
func FuzzDecode(f *testing.F) {
	for _, rec := range []*Grant{{}, {ID: "a\xffb\U0010fe00", Scopes: []string{""}}} {
		raw, err := Encode(rec)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	f.Add([]byte("\x01" + `{"ID":"x","id":"y","future":{"a":1},"identity":{"more":[]},"refresh":null,"code":{"hash":null}}`))
	f.Add([]byte("\x01" + `{"sCopes":[],"redirect_uris":[]}`))
	f.Add([]byte("\x01" + "{\"\u017fubject\":\"x\",\"more\":1}"))
	f.Add([]byte("\x01" + `{"subject":"github:1","identity":{"upstream":"github"},"token":"v1.x","revision":18446744073709551615}`))
	f.Add([]byte("\x01" + `{"revision":-1}`))
	f.Add([]byte("\x01" + `{"revision":1e3,"Revision":2}`))
	f.Add([]byte("\x01" + `{"issuer":"i","id":"k","kid":"k","public":"e30=","private":"v1.x","signs_from":"2026-03-01T12:00:00Z","expires_at":"2026-03-01T12:00:00Z"}`))
	f.Add([]byte("\x01" + `{"public":"e3","kid":null,"private":["x"]}`))
	f.Add([]byte("\x02{}"))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, raw []byte) {
		fuzzRecord[Client](t, raw)
		fuzzRecord[Pending](t, raw)
		fuzzRecord[Account](t, raw)
		fuzzRecord[Grant](t, raw)
		fuzzRecord[Session](t, raw)
		fuzzRecord[Consent](t, raw)
		fuzzRecord[Once](t, raw)
		fuzzRecord[Key](t, raw)
	})
}

func fuzzRecord[R Record](t *testing.T, raw []byte) {
	t.Helper()
	rec, form, err := Decode[R](raw)
	if err != nil {
		return
	}
	again, err := form.Rewrite(rec)
	if err != nil {
		t.Fatalf("an accepted record cannot be rewritten: %v", err)
	}
	// The short way, for a record of which everything is known, ends where the long does.
	form.strange = true
	if long, err := form.Rewrite(rec); err != nil || !bytes.Equal(long, again) {
		t.Fatalf("rewritten %q, and %q, %v where unknown fields were looked for", again, long, err)
	}
	back, form, err := Decode[R](again)
	if err != nil {
		t.Fatalf("a rewritten record cannot be read: %v", err)
	}
	// An empty list is written as none: they are the same.
	if diff := cmp.Diff(rec, back, cmpopts.EquateEmpty()); diff != "" {
		t.Fatalf("rewriting changed the record (-before +after):\n%s", diff)
	}
	third, err := form.Rewrite(back)
	if err != nil || !bytes.Equal(again, third) {
		t.Fatalf("rewriting is not stable: %q, then %q, %v", again, third, err)
	}
}

// FuzzEscape: any bytes become valid UTF-8 and come back, and no two become the
// same.
func FuzzEscape(f *testing.F) {
	for _, s := range []string{"", "text", "\xff", "\U0010fe00", "\U0010fdff\U0010ff00", "\xf4\x8f\xb8", "\ufffd\xff\ufffd", "\xed\xa0\x80"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		e := escape(s)
		if !utf8.ValidString(e) {
			t.Fatalf("escape(%q) = %q is no UTF-8", s, e)
		}
		if got := unescape(e); got != s {
			t.Fatalf("%q came back as %q", s, got)
		}
	})
}
