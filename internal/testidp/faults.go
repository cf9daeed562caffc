// SPDX-License-Identifier: Apache-2.0

package testidp

import (
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Fault stands in the way of a request. It may answer itself, or let next
// answer, then or later.
type Fault func(w http.ResponseWriter, r *http.Request, next http.Handler)

// Fail makes every request of a path meet a fault, until Heal. Paths are written
// without /api/v3: "/user", "/login/oauth/access_token".
func (g *GitHub) Fail(path string, f Fault) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.standing[path] = f
}

// Script makes the next requests of a path meet these faults, one each; nil lets
// one pass. They go before what Fail set up.
func (g *GitHub) Script(path string, faults ...Fault) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.faults[path] = append(g.faults[path], faults...)
}

// Heal removes all faults.
func (g *GitHub) Heal() {
	g.mu.Lock()
	defer g.mu.Unlock()
	clear(g.faults)
	clear(g.standing)
}

func (g *GitHub) nextFault(path string) Fault {
	g.mu.Lock()
	defer g.mu.Unlock()
	if script := g.faults[path]; len(script) > 0 {
		g.faults[path] = script[1:]
		return script[0]
	}
	return g.standing[path]
}

// RateLimited is the primary limit: 403 with nothing remaining until reset.
func RateLimited(reset time.Time) Fault {
	return func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
		h := w.Header()
		h.Set("X-RateLimit-Limit", strconv.Itoa(rateLimit))
		h.Set("X-RateLimit-Remaining", "0")
		h.Set("X-RateLimit-Used", strconv.Itoa(rateLimit))
		h.Set("X-RateLimit-Reset", strconv.FormatInt(reset.Unix(), 10))
		h.Set("X-RateLimit-Resource", "core")
		apiError(w, http.StatusForbidden, "API rate limit exceeded for user ID 1.")
	}
}

// SecondaryRateLimit is the limit on bursts: 403, often but not always with a
// Retry-After. Zero leaves the header out.
func SecondaryRateLimit(retryAfter time.Duration) Fault {
	return func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
		setRetryAfter(w, retryAfter)
		apiError(w, http.StatusForbidden, "You have exceeded a secondary rate limit. Please wait a few minutes before you try again.")
	}
}

// TooManyRequests is a 429.
func TooManyRequests(retryAfter time.Duration) Fault {
	return func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
		setRetryAfter(w, retryAfter)
		apiError(w, http.StatusTooManyRequests, "Too many requests.")
	}
}

func setRetryAfter(w http.ResponseWriter, d time.Duration) {
	if d > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(d.Seconds())))
	}
}

// Status answers with a status and GitHub's JSON shape of errors.
func Status(status int, message string) Fault {
	return func(w http.ResponseWriter, _ *http.Request, _ http.Handler) { apiError(w, status, message) }
}

// Raw answers with exactly this.
func Raw(status int, contentType, body string) Fault {
	return func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
		w.Header().Set("Content-Type", contentType)
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}
}

// JSON answers 200 with this body as JSON, well-formed or not.
func JSON(body string) Fault { return Raw(http.StatusOK, "application/json; charset=utf-8", body) }

// HTML is the unicorn page that GitHub, or a proxy before it, shows when it is
// in trouble, with any status.
func HTML(status int) Fault {
	return Raw(status, "text/html; charset=utf-8", "<!DOCTYPE html><title>Unicorn!</title><p>This page is taking too long to load.</p>")
}

// ErrorAs200 is the token endpoint's way of refusing.
func ErrorAs200(code, description string) Fault {
	return func(w http.ResponseWriter, r *http.Request, _ http.Handler) { tokenError(w, r, code, description) }
}

// With lets the request be answered as usual and adds a header to the answer.
func With(name, value string) Fault {
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		w.Header().Add(name, value)
		next.ServeHTTP(w, r)
	}
}

// Redirect sends the client elsewhere, and with it, if it follows, the token.
func Redirect(to string) Fault {
	return func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
		http.Redirect(w, r, to, http.StatusFound)
	}
}

// Hang answers as usual once release is closed, and never if the client goes
// away before. A nil channel is never released.
func Hang(release <-chan struct{}) Fault {
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		select {
		case <-release:
			next.ServeHTTP(w, r)
		case <-r.Context().Done():
		}
	}
}

// Truncated breaks off in the middle of the body.
func Truncated(body string) Fault {
	return func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		w.Header().Set("Content-Length", strconv.Itoa(2*len(body)+1))
		_, _ = w.Write([]byte(body))
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
}

// Oversized answers 200 with a well-formed JSON array of at least this many
// bytes.
func Oversized(bytes int) Fault {
	return JSON("[" + strings.Repeat(" ", bytes) + "]")
}

// Reset closes the connection with a TCP RST, before any answer. Go's client
// tries a GET once more if the connection was in use before.
func Reset() Fault {
	return func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil { // HTTP/2 has no connection of its own to reset
			panic(http.ErrAbortHandler)
		}
		if tcp, ok := conn.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0)
		}
		_ = conn.Close()
	}
}
