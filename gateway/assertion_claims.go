// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"time"
	"unicode/utf8"
)

// claims are what an identity assertion says (RFC 7519 §4.1, OpenID Connect Core
// §5.1, RFC 8693 §4.2 and §4.3). There is no jti: an assertion is sent with many
// requests, and a backend that took each id once would refuse the second.
type claims struct {
	Issuer   string `json:"iss"`
	Subject  string `json:"sub,omitempty"`
	Audience string `json:"aud"`
	ClientID string `json:"client_id,omitempty"`
	Scope    string `json:"scope,omitempty"`
	Username string `json:"preferred_username,omitempty"`
	// Email is there only if the upstream says that it is verified.
	Email  string            `json:"email,omitempty"`
	Groups []json.RawMessage `json:"groups,omitempty"`
	// GroupsTruncated: there are more groups than fit.
	GroupsTruncated bool  `json:"groups_truncated,omitempty"`
	IssuedAt        int64 `json:"iat"`
	Expires         int64 `json:"exp"`
}

// maxClaims bounds the claims, in bytes of JSON, so that the signed header stays
// below the 8190 bytes that common servers accept of one line: a third more in
// base64, and header and signature besides.
const maxClaims = 5632

// assertionClaims renders the claims. Groups past maxClaims are left out, in their
// order, and the assertion says so: a backend that looks for one to allow something
// loses nothing it could rely on.
func assertionClaims(issuer string, p *Principal, at time.Time, log *slog.Logger) ([]byte, error) {
	c := claims{
		Issuer: issuer, Subject: validText(p.Subject), Audience: p.Resource,
		ClientID: validText(p.ClientID), Scope: validText(p.Scope),
		Username: validText(p.Login), Email: validText(p.Email),
		IssuedAt: at.Unix(), Expires: at.Add(assertionLife).Unix(),
	}
	base, err := plainJSON(c)
	if err != nil {
		return nil, err
	}
	room, left := maxClaims-len(base)-len(`,"groups":[],"groups_truncated":true`), 0
	for _, g := range p.Groups {
		if g == "" {
			continue
		}
		member, err := plainJSON(g)
		if err != nil {
			return nil, err
		}
		if validText(g) == "" || len(member)+1 > room {
			left++
			continue
		}
		room -= len(member) + 1
		c.Groups = append(c.Groups, member)
	}
	if left > 0 {
		c.GroupsTruncated = true
		log.Warn("groups left out of identity assertion", "left_out", left, "groups", len(p.Groups))
	}
	return plainJSON(c)
}

// validText leaves out what JSON could only write with replacement characters: two
// different people must not look the same.
func validText(s string) string {
	if !utf8.ValidString(s) {
		return ""
	}
	return s
}

// plainJSON writes "<" as it is and not in six bytes.
func plainJSON(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}
