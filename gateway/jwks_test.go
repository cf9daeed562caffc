// SPDX-License-Identifier: Apache-2.0

package gateway_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/caddy-mcp/caddy-mcp-oauth/gateway"
	"github.com/caddy-mcp/caddy-mcp-oauth/internal/keyset"
	"github.com/caddy-mcp/caddy-mcp-oauth/oauth"
	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
	"github.com/caddy-mcp/caddy-mcp-oauth/storage/bolt"
	"github.com/caddy-mcp/caddy-mcp-oauth/token"
)

// The members of the document are the whole of it: what is not listed here, a private
// half above all, must not appear.
func TestJWKS(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	resp := w.get(oauth.PathJWKS)
	wantDocument(t, resp)
	raw := body(t, resp)
	var set map[string][]map[string]string
	if err := json.Unmarshal([]byte(raw), &set); err != nil || len(set) != 1 || len(set["keys"]) != 1 {
		t.Fatalf("%v: %s", err, raw)
	}
	k := set["keys"][0]
	// RFC 7638 §3: the required members in this order, without blanks.
	sum := sha256.Sum256([]byte(`{"crv":"` + k["crv"] + `","kty":"` + k["kty"] + `","x":"` + k["x"] + `","y":"` + k["y"] + `"}`))
	want := map[string]string{
		"kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "x": k["x"], "y": k["y"],
		"kid": base64.RawURLEncoding.EncodeToString(sum[:]),
	}
	if diff := cmp.Diff(want, k); diff != "" {
		t.Errorf("key (-want +got):\n%s", diff)
	}
	// Our own reader of what strangers publish takes it, and refuses private keys.
	if _, err := keyset.Parse([]byte(raw)); err != nil {
		t.Error(err)
	}
	if again := body(t, w.get(oauth.PathJWKS)); again != raw {
		t.Errorf("another document: %s", again)
	}
}

func TestJWKSConditionalRequests(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	etag := w.get(oauth.PathJWKS).Header.Get("ETag")
	if len(etag) < 10 || etag[0] != '"' || etag[len(etag)-1] != '"' {
		t.Fatalf("ETag %q", etag)
	}
	for _, tt := range []struct {
		match string
		want  int
	}{
		{etag, 304},
		{"W/" + etag, 304},
		{`"other", ` + etag, 304},
		{"*", 304},
		{`"other"`, 200},
		{strings.Trim(etag, `"`), 200},
		{etag[:len(etag)-1], 200},
		{"", 200},
		{",,", 200},
	} {
		resp := w.get(oauth.PathJWKS, "If-None-Match", tt.match)
		if resp.StatusCode != tt.want || resp.Header.Get("ETag") != etag ||
			resp.Header.Get("Cache-Control") != "public, max-age=300" || resp.Header.Get("Access-Control-Allow-Origin") != "*" {
			t.Errorf("%s: %d %v", tt.match, resp.StatusCode, resp.Header)
		}
		if b := body(t, resp); (b == "") != (tt.want == 304) {
			t.Errorf("%s: body %q", tt.match, b)
		}
	}
	w.clock.Advance(31 * 24 * time.Hour)
	if resp := w.get(oauth.PathJWKS, "If-None-Match", etag); resp.StatusCode != 200 || resp.Header.Get("ETag") == etag {
		t.Errorf("after the rotation: %d", resp.StatusCode)
	}
}

// While the store is away the keys in memory go on being published; before there are
// any the answer is 503, which nobody may cache.
func TestJWKSWithoutStore(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.store.failOn("Keys", errors.New("disk gone"))
	resp := w.get(oauth.PathJWKS)
	wantError(t, resp, http.StatusServiceUnavailable, oauth.CodeTemporarilyUnavailable)
	if resp.Header.Get("Cache-Control") != "no-store" || resp.Header.Get("Retry-After") == "" {
		t.Errorf("%v", resp.Header)
	}
	w.store.failOn("Keys", nil)
	raw := body(t, w.get(oauth.PathJWKS))
	w.store.failOn("Keys", errors.New("disk gone"))
	w.clock.Advance(time.Hour)
	if got := body(t, w.get(oauth.PathJWKS)); got != raw {
		t.Errorf("got %s", got)
	}
	if !strings.Contains(w.log.String(), "signing keys not refreshed") {
		t.Error("nothing in the log")
	}
}

// Two sites over one store have keys of their own.
func TestJWKSOfTwoIssuers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ours := body(t, w.get(oauth.PathJWKS))
	w.config.Issuer = "https://other.example"
	w.reload()
	if theirs := body(t, w.get(oauth.PathJWKS)); theirs == ours {
		t.Error("two issuers share a key")
	}
}

// The attack: somebody has the store file, from a backup perhaps, but not the
// encryption key. They find no key that signs in any form.
func TestStolenStoreFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "state.db")
	db, err := bolt.Open(path, bolt.Options{})
	if err != nil {
		t.Fatal(err)
	}
	st := gateway.NewState(gateway.Options{Store: db, Ring: token.NewRing(token.Key{7})})
	w := newWorld(t)
	w.state = st
	w.reload()
	w.wantStatus(w.get(oauth.PathJWKS), http.StatusOK)
	keys, err := db.Keys(t.Context(), issuer)
	if err != nil || len(keys) != 1 {
		t.Fatalf("%d keys, %v", len(keys), err)
	}
	der := openSealed(t, token.NewRing(token.Key{7}), keys[0])
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
	file, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	scalar := der[36:68] // of a PKCS #8 key on P-256
	if !bytes.Contains(file, []byte(issuer)) {
		t.Error("not the file that was meant")
	}
	for name, secret := range map[string][]byte{"the key": der, "its scalar": scalar} {
		for form, b := range map[string][]byte{
			"raw": secret, "base64": []byte(base64.StdEncoding.EncodeToString(secret)),
			"base64url": []byte(base64.RawURLEncoding.EncodeToString(secret)),
		} {
			if bytes.Contains(file, b) || bytes.Contains(file, b[:len(b)/2]) {
				t.Errorf("%s is in the file, %s", name, form)
			}
		}
	}
	for name, ring := range map[string]*token.Ring{"no key": token.NewRing(token.Key{}), "another": token.NewRing(token.Key{8})} {
		if _, err := ring.Open(token.PurposeSigningKey, keys[0].Private, "key "+issuer+" "+keys[0].ID); err == nil {
			t.Errorf("%s opens it", name)
		}
	}
}

// openSealed opens a key as only its gateway can, and proves that the purpose and every
// part of the associated data are needed.
func openSealed(t *testing.T, ring *token.Ring, k *storage.Key) []byte {
	t.Helper()
	associated := "key " + k.Issuer + " " + k.ID
	der, err := ring.Open(token.PurposeSigningKey, k.Private, associated)
	if err != nil {
		t.Fatal(err)
	}
	for purpose, data := range map[token.Purpose]string{
		token.PurposeUpstreamToken: associated, token.PurposeAccess: associated,
		token.PurposeSigningKey: "key https://other.example " + k.ID,
	} {
		if _, err := ring.Open(purpose, k.Private, data); err == nil {
			t.Errorf("opens as %q of %q", purpose, data)
		}
	}
	return der
}

// The keys are never in a log.
func TestSigningKeysAreNotLogged(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.asserted("/mcp", w.issue().token)
	keys, err := w.store.Keys(t.Context(), issuer)
	if err != nil || len(keys) != 1 {
		t.Fatalf("%d keys, %v", len(keys), err)
	}
	log := w.log.String()
	if !strings.Contains(log, "signing key made") || strings.Contains(log, keys[0].Private) || strings.Contains(log, string(keys[0].Public)) {
		t.Errorf("log: %s", log)
	}
}
