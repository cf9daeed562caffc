// SPDX-License-Identifier: Apache-2.0

package testidp

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// rateLimit is how many requests GitHub answers per hour and user.
const rateLimit = 5000

// quota is what a user has used of the current hour, with all tokens.
type quota struct {
	used  int
	reset time.Time
}

// quotaOf is the user's quota of now. The caller holds mu.
func (g *GitHub) quotaOf(user int64) *quota {
	q := g.quotas[user]
	if now := g.cfg.Now(); q == nil || !now.Before(q.reset) {
		q = &quota{reset: now.Add(time.Hour)}
		g.quotas[user] = q
	}
	return q
}

func (g *GitHub) spent(user int64) bool { return g.quotaOf(user).used >= g.cfg.RateLimit }

// Used is how many requests of the current hour's quota a user has used.
func (g *GitHub) Used(user int64) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.quotaOf(user).used
}

// describeQuota counts n requests and says what is left.
func (g *GitHub) describeQuota(h http.Header, user int64, n int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	q := g.quotaOf(user)
	q.used += n
	h.Set("X-RateLimit-Limit", strconv.Itoa(g.cfg.RateLimit))
	h.Set("X-RateLimit-Remaining", strconv.Itoa(max(0, g.cfg.RateLimit-q.used)))
	h.Set("X-RateLimit-Used", strconv.Itoa(q.used))
	h.Set("X-RateLimit-Reset", strconv.FormatInt(q.reset.Unix(), 10))
	h.Set("X-RateLimit-Resource", "core")
}

// counted answers through a buffer: what the client has already is a 304, which
// is not counted. GitHub's entity tags are of the body and the token, so that
// another token's never match, and a header that changes alone changes no tag.
func (g *GitHub) counted(w http.ResponseWriter, r *http.Request, t *token, serve func(http.ResponseWriter)) {
	buffer := &buffered{ResponseWriter: w, status: http.StatusOK}
	serve(buffer)
	h := w.Header()
	if buffer.status == http.StatusOK {
		sum := sha256.Sum256(append([]byte(t.value+"\n"), buffer.body.Bytes()...))
		h.Set("ETag", `W/"`+hex.EncodeToString(sum[:])+`"`)
		h.Set("Cache-Control", "private, max-age=60, s-maxage=60")
		if matches(r.Header.Get("If-None-Match"), h.Get("ETag")) {
			g.describeQuota(h, t.user, 0)
			h.Del("Content-Type")
			if !g.cfg.LinkOn304 {
				h.Del("Link")
			}
			w.WriteHeader(http.StatusNotModified)
			return
		}
	}
	g.describeQuota(h, t.user, 1)
	w.WriteHeader(buffer.status)
	_, _ = w.Write(buffer.body.Bytes())
}

// matches is the weak comparison of RFC 9110 §13.1.2.
func matches(ifNoneMatch, etag string) bool {
	strong := func(s string) string { return strings.TrimPrefix(strings.TrimSpace(s), "W/") }
	return slices.ContainsFunc(strings.Split(ifNoneMatch, ","), func(s string) bool { return strong(s) == strong(etag) })
}

// buffered holds back status and body, not headers.
type buffered struct {
	http.ResponseWriter
	status int
	body   bytes.Buffer
}

func (b *buffered) WriteHeader(status int)      { b.status = status }
func (b *buffered) Write(p []byte) (int, error) { return b.body.Write(p) }
