// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"errors"
	"fmt"
	"mime"
	"net/http"
	"strings"
	"time"
	"unicode"
)

// errNotFetched says why an address was left alone.
var errNotFetched = errors.New("not fetched")

// Exchange is one request and what came back.
type Exchange struct {
	Method, URL string
	// Err is why there is no answer. Everything below is empty then.
	Err error

	Status int
	Header http.Header
	// Body is at most maxBody bytes; event streams are not read.
	Body      []byte
	Truncated bool
	// Proto is "HTTP/2.0". TLSVersion and CertificateEnds are zero without TLS.
	Proto           string
	TLSVersion      string
	CertificateEnds time.Time
	// Hops are the addresses of same-origin redirects that were followed, which
	// happens for metadata only.
	Hops []string
}

// ok reports whether there is an answer with this status.
func (e *Exchange) ok(status int) bool { return e != nil && e.Err == nil && e.Status == status }

// mediaType is the Content-Type without parameters, in lower case.
func (e *Exchange) mediaType() string {
	t, _, _ := strings.Cut(e.Header.Get("Content-Type"), ";")
	if parsed, _, err := mime.ParseMediaType(e.Header.Get("Content-Type")); err == nil {
		t = parsed
	}
	return strings.ToLower(strings.TrimSpace(t))
}

// html reports whether the answer is a web page, by its type or by its looks.
func (e *Exchange) html() bool {
	if e.Err != nil {
		return false
	}
	start := strings.ToLower(strings.TrimSpace(string(e.Body[:min(len(e.Body), 64)])))
	return e.mediaType() == "text/html" || strings.HasPrefix(start, "<!doctype html") || strings.HasPrefix(start, "<html")
}

func (e *Exchange) redirect() bool {
	return e.Err == nil && e.Status >= 300 && e.Status < 400 && e.Status != 304
}

// firewall reports whether the answer looks like that of a firewall or a proxy
// in front of the server: a web page that refuses.
func (e *Exchange) firewall() bool {
	if e == nil || e.Err != nil || !e.html() {
		return false
	}
	switch e.Status {
	case http.StatusForbidden, http.StatusNotAcceptable, http.StatusTooManyRequests,
		http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return e.Status >= 520 && e.Status <= 530
}

// String is the evidence: request, status and the header that explains it.
func (e *Exchange) String() string {
	if e == nil {
		return "not asked"
	}
	if e.Err != nil {
		return fmt.Sprintf("%s %s: %s", e.Method, printable(e.URL), printable(e.Err.Error()))
	}
	s := fmt.Sprintf("%s %s: %d", e.Method, printable(e.URL), e.Status)
	switch {
	case e.redirect():
		s += ", Location: " + printable(e.Header.Get("Location"))
	case e.html():
		s += ", a web page"
	case e.Status != http.StatusNoContent && e.Header.Get("Content-Type") != "":
		s += ", " + printable(e.mediaType())
	}
	if len(e.Hops) > 0 {
		s += fmt.Sprintf(", after %d redirects", len(e.Hops))
	}
	return s
}

// header is one header of the answer as evidence.
func (e *Exchange) header(name string) string {
	if e == nil || e.Err != nil {
		return e.String()
	}
	values := e.Header.Values(name)
	if len(values) == 0 {
		return name + ": absent"
	}
	return name + ": " + printable(strings.Join(values, ", "))
}

// maxEvidence bounds what is repeated of an answer, in runes.
const maxEvidence = 200

// printable makes text of a server fit for a terminal: nothing in it moves the
// cursor, changes colours or reorders the line, and it is short.
func printable(s string) string {
	var b strings.Builder
	n := 0
	for _, c := range s {
		if n++; n > maxEvidence {
			b.WriteString("…")
			break
		}
		if c == unicode.ReplacementChar || !unicode.IsPrint(c) {
			c = '?'
		}
		b.WriteRune(c)
	}
	return b.String()
}
