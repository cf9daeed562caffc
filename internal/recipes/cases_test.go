// SPDX-License-Identifier: Apache-2.0

package recipes

import (
	"encoding/asn1"
	"encoding/json"
	"math/big"
	"strings"
	"time"
)

// attempt is a request with these assertions, and whether it may pass.
type attempt struct {
	name   string
	values []string
	good   bool
}

// attempts are all that a recipe has to tell apart.
func (b *bed) attempts() []attempt {
	f := b.forger()
	good := func(name, value string) attempt { return attempt{name, []string{value}, true} }
	bad := func(name string, values ...string) attempt { return attempt{name, values, false} }
	real := b.signed(issuer, "/mcp")
	list := []attempt{
		good("signed by the gateway", real),
		good("again: it is sent with many requests", real),
		good("by a gateway whose clock is half a minute ahead", b.signedAt(30*time.Second, issuer, "/mcp")),
		good("by one whose clock is half a minute behind, at its end", b.signedAt(-5*time.Minute-30*time.Second, issuer, "/mcp")),
		good("made as the gateway makes it", f.signed(func(object, object) {})),
		good("with a claim of a later version", f.signed(func(_, c object) { c["x"] = object{"y": 1} })),

		bad("none"),
		bad("an empty one", ""),
		bad("two", real, real),
		bad("two in one line", real+", "+real),
		bad("as a bearer token", "Bearer "+real),
		bad("for another MCP server of the gateway", b.signed(issuer, "/ops")),
		bad("of another site", b.signed(other, "/mcp")),
		bad("expired", b.signedAt(-8*time.Minute, issuer, "/mcp")),
		bad("by a clock that is far ahead", b.signedAt(5*time.Minute, issuer, "/mcp")),
	}
	list = append(list, f.badHeaders()...)
	list = append(list, f.badClaims()...)
	return append(list, f.badSignatures(real)...)
}

func (f *forger) badHeaders() []attempt {
	strange := f.stranger()
	var list []attempt
	for name, edit := range map[string]func(h object){
		"typ of a JWT":              func(h object) { h["typ"] = "JWT" },
		"typ of an access token":    func(h object) { h["typ"] = "at+jwt" },
		"no typ":                    func(h object) { h["typ"] = nil },
		"typ that is no text":       func(h object) { h["typ"] = 1 },
		"unknown key":               func(h object) { h["kid"] = "unknown" },
		"kid that is no text":       func(h object) { h["kid"] = 1 },
		"kid that is a path":        func(h object) { h["kid"] = "../../dev/null" },
		"no alg":                    func(h object) { h["alg"] = nil },
		"alg none with a signature": func(h object) { h["alg"] = "none" },
		"alg in lower case":         func(h object) { h["alg"] = "es256" },
		"another curve's alg":       func(h object) { h["alg"] = "ES384" },
		"critical and unknown":      func(h object) { h["crit"], h["x"] = []string{"x"}, 1 },
	} {
		list = append(list, attempt{name, []string{f.signed(func(h, _ object) { edit(h) })}, false})
	}
	// The key that signs is in the header, or at an address in the header.
	for name, edit := range map[string]func(h object){
		"key of the header": func(h object) {
			h["jwk"] = object{
				"kty": "EC", "crv": "P-256", "kid": f.kid,
				"x": b64(strange.X.FillBytes(make([]byte, 32))), "y": b64(strange.Y.FillBytes(make([]byte, 32))),
			}
		},
		"address of a key set": func(h object) { h["jku"] = "https://evil.example/jwks" },
		"a stranger's key":     func(object) {},
	} {
		h := f.header()
		edit(h)
		list = append(list, attempt{name, []string{f.es256(strange, f.parts(h, f.claims()))}, false})
	}
	return list
}

func (f *forger) badClaims() []attempt {
	now := time.Now().Unix()
	var list []attempt
	for name, edit := range map[string]func(c object){
		"another issuer":            func(c object) { c["iss"] = other },
		"issuer with a slash":       func(c object) { c["iss"] = issuer + "/" },
		"no issuer":                 func(c object) { c["iss"] = nil },
		"the issuer as audience":    func(c object) { c["aud"] = issuer },
		"audience with a slash":     func(c object) { c["aud"] = resource + "/" },
		"beginning of the audience": func(c object) { c["aud"] = resource[:len(resource)-1] },
		"audience in upper case":    func(c object) { c["aud"] = strings.ToUpper(resource) },
		"no audience":               func(c object) { c["aud"] = nil },
		"empty audiences":           func(c object) { c["aud"] = []string{} },
		"other audiences":           func(c object) { c["aud"] = []string{issuer, issuer + "/ops"} },
		"no subject":                func(c object) { c["sub"] = nil },
		"empty subject":             func(c object) { c["sub"] = "" },
		"subject that is no text":   func(c object) { c["sub"] = 583231 },
		"no end":                    func(c object) { c["exp"] = nil },
		"end that is no number":     func(c object) { c["exp"] = "never" },
		"past its end and leeway":   func(c object) { c["iat"], c["exp"] = now-400, now-65 },
		"no time of issue":          func(c object) { c["iat"] = nil },
		"issued in the future":      func(c object) { c["iat"], c["exp"] = now+90, now+390 },
		"not before an hour":        func(c object) { c["nbf"] = now + 3600 },
	} {
		list = append(list, attempt{name, []string{f.signed(func(_, c object) { edit(c) })}, false})
	}
	notAnObject := b64(f.json(f.header())) + "." + b64([]byte(`["`+issuer+`"]`))
	return append(list, attempt{"claims that are no object", []string{f.es256(f.private, notAnObject)}, false})
}

func (f *forger) badSignatures(real string) []attempt {
	var list []attempt
	bad := func(name, value string) { list = append(list, attempt{name, []string{value}, false}) }
	none := f.header()
	none["alg"] = "none"
	unsigned := f.parts(none, f.claims())
	bad("alg none", unsigned+".")
	bad("alg none without the dot", unsigned)
	bad("no signature", f.parts(f.header(), f.claims())+".")
	for form, secret := range f.publicForms() {
		bad("HS256 with the public key as "+form, f.hs256(secret))
	}
	parts := strings.Split(real, ".")
	admin := f.claims()
	admin["sub"] = "github:1"
	bad("claims of somebody else", parts[0]+"."+b64(f.json(admin))+"."+parts[2])
	bad("cut signature", real[:len(real)-3])
	bad("zero signature", parts[0]+"."+parts[1]+"."+b64(make([]byte, 64)))
	bad("four parts", real+"."+parts[2])
	bad("garbage", "x.y.z")
	signed := f.parts(f.header(), f.claims())
	r, s := f.sign(f.private, signed)
	der, err := asn1.Marshal(struct{ R, S *big.Int }{r, s})
	if err != nil {
		f.t.Fatal(err)
	}
	bad("signature in DER", signed+"."+b64(der))
	flattened, err := json.Marshal(map[string]string{"protected": parts[0], "payload": parts[1], "signature": parts[2]})
	if err != nil {
		f.t.Fatal(err)
	}
	bad("in JSON form", string(flattened))
	return list
}
