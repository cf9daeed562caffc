// SPDX-License-Identifier: Apache-2.0

package storage

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/caddy-mcp/caddy-mcp-oauth/identity"
)

// filled returns a record with something in every field, so that a test notices
// the ones that are added later.
func filled[R Record](t *testing.T) *R {
	t.Helper()
	rec := new(R)
	fill(reflect.ValueOf(rec).Elem())
	return rec
}

func fill(v reflect.Value) {
	switch v.Kind() {
	case reflect.String:
		v.SetString("text \xff " + v.Type().Name())
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Uint8:
		v.SetUint(0x5a)
	case reflect.Uint64:
		v.SetUint(1<<64 - 1)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		for i := range v.Len() {
			fill(v.Index(i))
		}
	case reflect.Array:
		for i := range v.Len() {
			fill(v.Index(i))
		}
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			v.Set(reflect.ValueOf(noon.Add(123456789)))
			return
		}
		for i := range v.NumField() {
			fill(v.Field(i))
		}
	default:
		panic("the codec's tests do not know fields of kind " + v.Kind().String())
	}
}

func testRoundTrip[R Record](t *testing.T) {
	t.Helper()
	for _, want := range []*R{new(R), filled[R](t)} {
		raw, err := Encode(want)
		if err != nil {
			t.Fatal(err)
		}
		if raw[0] != 1 {
			t.Errorf("version byte %d, want 1", raw[0])
		}
		got, form, err := Decode[R](raw)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%T (-want +got):\n%s", want, diff)
		}
		rewritten, err := form.Rewrite(want)
		if err != nil || string(rewritten) != string(raw) {
			t.Errorf("rewriting a record with itself gave %q, %v, want %q", rewritten, err, raw)
		}
	}
}

func TestRecordsRoundTrip(t *testing.T) {
	t.Parallel()
	testRoundTrip[Client](t)
	testRoundTrip[Pending](t)
	testRoundTrip[Account](t)
	testRoundTrip[Grant](t)
	testRoundTrip[Session](t)
	testRoundTrip[Consent](t)
	testRoundTrip[Once](t)
	testRoundTrip[Key](t)
}

// What is on disks out there must stay readable. A change that fails this test
// needs a new version byte and a way from the old form to the new one.
func TestStoredFormIsStable(t *testing.T) {
	t.Parallel()
	g := &Grant{
		Issuer: "https://a.example.com", ID: "id", Subject: "github:1", ClientID: "c", Resource: "https://a.example.com/mcp", Scopes: []string{"mcp"},
		Identity: identity.Identity{Upstream: "github", Kind: "github", ID: "1"},
		Code:     Code{Challenge: "ch", RedirectURI: "http://127.0.0.1/", ExpiresAt: noon, RedeemedAt: noon},
		Refresh:  Refresh{Current: Hash{1}, Retired: []Retired{{Nonce: []byte{1, 2}, RetiredAt: noon}}},

		CreatedAt: noon, ExpiresAt: noon,
	}
	const zeros = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
	want := "\x01" + `{"issuer":"https://a.example.com","id":"id","subject":"github:1","client_id":"c","resource":"https://a.example.com/mcp","scopes":["mcp"],` +
		`"identity":{"upstream":"github","kind":"github","id":"1"},` +
		`"code":{"hash":"` + zeros + `","challenge":"ch","redirect_uri":"http://127.0.0.1/","expires_at":"2026-03-01T12:00:00Z","redeemed_at":"2026-03-01T12:00:00Z"},` +
		`"refresh":{"current":"AQ` + zeros[2:] + `","retired":[{"hash":"` + zeros + `","nonce":"AQI=","retired_at":"2026-03-01T12:00:00Z"}]},` +
		`"created_at":"2026-03-01T12:00:00Z","expires_at":"2026-03-01T12:00:00Z"}`
	got, err := Encode(g)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("stored form (-want +got):\n%s", diff)
	}
}

// A file from before a field has no such field, which must read as none.
func TestClientOfAnOlderVersionHasNoRegistrationToken(t *testing.T) {
	t.Parallel()
	c, _, err := Decode[Client]([]byte("\x01" + `{"issuer":"i","id":"c","redirect_uris":["http://127.0.0.1/"],"auth_method":"none","created_at":"2026-03-01T12:00:00Z"}`))
	if err != nil {
		t.Fatal(err)
	}
	if c.RegistrationHash != (Hash{}) {
		t.Errorf("got %v", c.RegistrationHash)
	}
	raw, err := Encode(c)
	if err != nil || strings.Contains(string(raw), "registration_hash") {
		t.Errorf("got %s, %v, want no registration_hash", raw, err)
	}
}

func TestStoredFormOfShortRecordsIsStable(t *testing.T) {
	t.Parallel()
	const one = "AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
	session := &Session{
		Issuer: "https://a.example.com", ID: Hash{1}, Subject: "github:1",
		Identity:  identity.Identity{Upstream: "github", Kind: "github", ID: "1"},
		CreatedAt: noon, IdleAt: noon, ExpiresAt: noon,
	}
	consent := &Consent{Issuer: "https://a.example.com", ID: Hash{1}, Subject: "github:1", CreatedAt: noon, ExpiresAt: noon}
	once := &Once{Issuer: "https://a.example.com", ID: Hash{1}, ExpiresAt: noon}
	wantEncoded(t, session, `{"issuer":"https://a.example.com","id":"`+one+`","subject":"github:1",`+
		`"identity":{"upstream":"github","kind":"github","id":"1"},`+
		`"created_at":"2026-03-01T12:00:00Z","idle_at":"2026-03-01T12:00:00Z","expires_at":"2026-03-01T12:00:00Z"}`)
	wantEncoded(t, consent, `{"issuer":"https://a.example.com","id":"`+one+`","subject":"github:1",`+
		`"created_at":"2026-03-01T12:00:00Z","expires_at":"2026-03-01T12:00:00Z"}`)
	wantEncoded(t, once, `{"issuer":"https://a.example.com","id":"`+one+`","expires_at":"2026-03-01T12:00:00Z"}`)
}

func wantEncoded[R Record](t *testing.T, rec *R, want string) {
	t.Helper()
	got, err := Encode(rec)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff("\x01"+want, string(got)); diff != "" {
		t.Errorf("stored form of %T (-want +got):\n%s", rec, diff)
	}
}

// A server is upgraded, writes a field only it knows, and is downgraded again.
// The old version rewrites the record; after the next upgrade the field is there.
func TestRewriteKeepsFieldsOfANewerVersion(t *testing.T) {
	t.Parallel()
	old := "\x01" + `{"issuer":"i","id":"g","future":{"a":[1,2.50,"x"]},"FLAG":true,"big":12345678901234567890,` +
		`"identity":{"id":"7","login":"gone","avatar":"a<b>"},"code":{"hash":"` + strings.Repeat("A", 43) + `","dpop":"k"},` +
		`"refresh":{"retired":[{"hash":"` + strings.Repeat("A", 43) + `","nonce":"AQI=","retired_at":"2026-03-01T12:00:00Z"}],"window":9},"scopes":["s"],` +
		`"created_at":"2026-03-01T12:00:00Z","expires_at":"2026-03-01T12:00:00Z"}`
	g, form, err := Decode[Grant]([]byte(old))
	if err != nil {
		t.Fatal(err)
	}
	g.Identity.Login, g.Scopes, g.Refresh.Retired = "", nil, nil // known ones must not come back
	g.ClientID = "new"
	raw, err := form.Rewrite(g)
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	dec := json.NewDecoder(strings.NewReader(string(raw[1:])))
	dec.UseNumber()
	if err := dec.Decode(&got); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"future": map[string]any{"a": []any{json.Number("1"), json.Number("2.50"), "x"}}, "FLAG": true, "big": json.Number("12345678901234567890"),
		"identity":  map[string]any{"upstream": "", "kind": "", "id": "7", "avatar": "a<b>"},
		"refresh":   map[string]any{"window": json.Number("9")},
		"client_id": "new", "issuer": "i", "id": "g", "subject": "", "resource": "",
		"code": map[string]any{
			"hash": strings.Repeat("A", 43), "dpop": "k", "challenge": "", "redirect_uri": "", "expires_at": "0001-01-01T00:00:00Z",
		},
		"created_at": "2026-03-01T12:00:00Z", "expires_at": "2026-03-01T12:00:00Z",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("rewritten record (-want +got):\n%s", diff)
	}
	if back, _, err := Decode[Grant](raw); err != nil || !cmp.Equal(back, g) {
		t.Errorf("the rewritten record reads as %+v, %v", back, err)
	}
}

// The next version may have them in any of our objects.
func TestDecodeNoticesUnknownFields(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]bool{
		`{"id":"g","future":1}`: true, `{"identity":{"avatar":""}}`: true, `{"code":{"dpop":null}}`: true,
		`{"refresh":{"window":9,"retired":[]}}`: true, `{"refresh":{"retired":[{"by":"x"}]}}`: true,
		`{}`: false, `{"id":"g","scopes":null,"identity":{"id":"1"}}`: false, `{"ID":"g"}`: false,
	} {
		_, form, err := Decode[Grant]([]byte("\x01" + raw))
		if err != nil || form.strange != want {
			t.Errorf("%s: unknown fields %t, %v, want %t", raw, form.strange, err, want)
		}
	}
}

// encoding/json reads a name in any case. One in another case is no unknown
// field: kept, it would bring back what was deleted.
func TestRewriteKnowsFieldsInAnyCase(t *testing.T) {
	t.Parallel()
	for _, unknown := range []string{``, `,"future":1`} {
		old := `{"Scopes":["admin"],"\u017fubject":"github:1","CODE":{"Redeemed_At":"2026-03-01T12:00:00Z"}` + unknown + `}`
		_, form, err := Decode[Grant]([]byte("\x01" + old))
		if err != nil {
			t.Fatal(err)
		}
		raw, err := form.Rewrite(&Grant{})
		if err != nil {
			t.Fatal(err)
		}
		if g, _, err := Decode[Grant](raw); err != nil || len(g.Scopes) > 0 || g.Subject != "" || g.Live() {
			t.Errorf("got %s, %v", raw, err)
		}
	}
}

func TestDecodeRefuses(t *testing.T) {
	t.Parallel()
	for name, raw := range map[string]string{
		"nothing": "", "a newer version": "\x02{}", "no version": `{"id":"x"}`, "no JSON": "\x01", "cut off": "\x01" + `{"id":"x`,
		"more than one value": "\x01{}{}", "a list": "\x01[]", "a number for a text": "\x01" + `{"id":1}`,
		"a bad hash": "\x01" + `{"code":{"hash":"secret"}}`, "a bad time": "\x01" + `{"created_at":"yesterday"}`,
	} {
		if rec, _, err := Decode[Grant]([]byte(raw)); !errors.Is(err, ErrFormat) || rec != nil {
			t.Errorf("%s: got %v, %v, want %v", name, rec, err, ErrFormat)
		}
	}
}

// The error of a damaged record goes to a log. What the record says does not.
func TestDecodeErrorsQuoteNothing(t *testing.T) {
	t.Parallel()
	for _, raw := range []string{
		`{"id":"x","nonce`, `{"code":{"hash":"s3cret-value"}}`, `{"created_at":"s3cret-value"}`, `{"scopes":"s3cret-value"}`,
		`{"refresh":{"retired":[{"nonce":"s3cret-value!"}]}}`, `{"id":s3cret-value}`,
	} {
		_, _, err := Decode[Grant]([]byte("\x01" + raw))
		if err == nil || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: got error %v", raw, err)
		}
	}
}

func TestEncodeReportsWhatCannotBeWritten(t *testing.T) {
	t.Parallel()
	if _, err := Encode(&Client{CreatedAt: time.Date(12345, 1, 1, 0, 0, 0, 0, time.UTC)}); err == nil {
		t.Error("a year JSON has no form for was accepted")
	}
}

func TestEncodeLeavesItsInputAlone(t *testing.T) {
	t.Parallel()
	g, want := filled[Grant](t), filled[Grant](t)
	if _, err := Encode(g); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, g); diff != "" {
		t.Errorf("input changed (-want +got):\n%s", diff)
	}
}

func TestDecodeSharesNothing(t *testing.T) {
	t.Parallel()
	raw, err := Encode(filled[Grant](t))
	if err != nil {
		t.Fatal(err)
	}
	got, _, err := Decode[Grant](raw)
	if err != nil {
		t.Fatal(err)
	}
	clear(raw)
	if diff := cmp.Diff(filled[Grant](t), got); diff != "" {
		t.Errorf("record changed with its bytes (-want +got):\n%s", diff)
	}
}
