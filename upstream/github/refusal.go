// SPDX-License-Identifier: Apache-2.0

package github

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/caddy-mcp/caddy-mcp-oauth/upstream"
)

// statusRefusal says what an API answer other than 200 means. Only a plain 403
// is a statement about permissions; a 404 on the user's own lists proves
// nothing, and neither does a limit.
func statusRefusal(path string, resp *http.Response, body []byte) *upstream.Refusal {
	reason := upstream.ReasonUnavailable
	switch {
	case resp.StatusCode == http.StatusUnauthorized:
		// GitHub takes back the token it just gave: begin again.
		reason = upstream.ReasonInvalid
	case resp.StatusCode == http.StatusForbidden && !isRateLimit(resp, body):
		reason = upstream.ReasonInsufficientScope
	}
	return upstream.Refuse(reason, "github: %s answered with %s", path, describe(resp))
}

// isRateLimit tells the two meanings of 403 apart. Secondary limits may come
// without any header.
func isRateLimit(resp *http.Response, body []byte) bool {
	if resp.Header.Get("Retry-After") != "" || resp.Header.Get("X-RateLimit-Remaining") == "0" {
		return true
	}
	var answer struct {
		Message string `json:"message"`
	}
	if json.Unmarshal(body, &answer) != nil {
		return true // a proxy or an abuse page: proves nothing about permissions
	}
	message := strings.ToLower(answer.Message)
	return strings.Contains(message, "rate limit") || strings.Contains(message, "abuse")
}

func isUnavailable(err error) bool {
	var r *upstream.Refusal
	return errors.As(err, &r) && r.Reason == upstream.ReasonUnavailable
}

// describe is an answer for the log: its status, and the headers that tell an
// operator what to do. Never the body.
func describe(resp *http.Response) string {
	var b strings.Builder
	b.WriteString("status " + strconv.Itoa(resp.StatusCode))
	for _, name := range []string{"Retry-After", "X-RateLimit-Remaining", "X-RateLimit-Reset", "X-GitHub-Request-Id"} {
		if v := resp.Header.Get(name); v != "" {
			fmt.Fprintf(&b, ", %s %s", name, printable(v))
		}
	}
	if sso := resp.Header.Get("X-GitHub-SSO"); sso != "" {
		// The URL in it carries an authorization request of the user's.
		sso, _, _ = strings.Cut(sso, "?")
		b.WriteString(", X-GitHub-SSO " + printable(sso))
	}
	return b.String()
}

// transportCause is the network error below what http.Client and x/oauth2 wrap
// around it, or nil if err is none. The URL around it would repeat queries.
func transportCause(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return nil
}

// quote is a value from outside, short enough and safe for a log line.
func quote(s string) string { return strconv.Quote(printable(s)) }

func printable(s string) string {
	const most = 120
	s = strings.Map(func(c rune) rune {
		if c < ' ' || c > '~' {
			return '?'
		}
		return c
	}, s)
	if len(s) > most {
		s = s[:most] + "..."
	}
	return s
}

// isHeaderSafe is b64token of RFC 6750 §2.1, loosely.
func isHeaderSafe(token string) bool {
	for i := range len(token) {
		if token[i] <= ' ' || token[i] > '~' {
			return false
		}
	}
	return token != ""
}
