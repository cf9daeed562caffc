// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"strings"
)

// jwksDocument is a rendered JWK set (RFC 7517 §5).
type jwksDocument struct {
	body []byte
	etag string
}

func newJWKSDocument(keys []*signingKey) *jwksDocument {
	var b strings.Builder
	b.WriteString(`{"keys":[`)
	for i, k := range keys {
		if i > 0 {
			b.WriteByte(',')
		}
		b.Write(k.public)
	}
	b.WriteString("]}")
	sum := sha256.Sum256([]byte(b.String()))
	return &jwksDocument{
		body: []byte(b.String()),
		etag: `"` + base64.RawURLEncoding.EncodeToString(sum[:16]) + `"`,
	}
}

// serveJWKS publishes the keys with which backends verify identity assertions. All
// that is not yet past its end is in it, what will sign next included. Backends may
// keep it as long as any metadata: keys are there a day before they sign.
func (s *Server) serveJWKS(w http.ResponseWriter, r *http.Request) {
	set, err := s.st.keys.of(s.cfg.Issuer).published(r.Context(), s.st.now())
	if err != nil {
		s.st.count(EventStoreFailed)
		s.log.Error("store failed", "verb", "keys", "error", err)
		w.Header().Set("Retry-After", "5")
		writeOAuthError(w, unavailable())
		return
	}
	h := w.Header()
	h.Set("ETag", set.jwks.etag)
	if matchesETag(r.Header.Values("If-None-Match"), set.jwks.etag) {
		h.Set("Cache-Control", metadataMaxAge)
		w.WriteHeader(http.StatusNotModified)
		return
	}
	serveDocument(set.jwks.body)(w, r)
}

// matchesETag compares weakly, as If-None-Match wants it (RFC 9110 §13.1.2). Our own
// tags contain no comma.
func matchesETag(lines []string, etag string) bool {
	for _, line := range lines {
		for tag := range strings.SplitSeq(line, ",") {
			tag = strings.TrimSpace(tag)
			if tag == "*" || strings.TrimPrefix(tag, "W/") == etag {
				return true
			}
		}
	}
	return false
}
