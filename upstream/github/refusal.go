// SPDX-License-Identifier: Apache-2.0

package github

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/caddy-mcp/caddy-mcp-oauth/upstream"
)

// answerError is an API answer that is an error. It is the cause of a refusal.
type answerError struct {
	path   string
	status int
	kind   answerKind
	// reset is when the user's own quota starts again, if that is what was used up.
	reset time.Time
	text  string // for the log
}

func (e *answerError) Error() string { return "github: " + e.path + " answered with " + e.text }

// answerKind is what such an answer says about the user.
type answerKind int

const (
	// saysNothing: about this user nothing follows from it.
	saysNothing answerKind = iota
	// saysLimited: a primary or secondary rate limit.
	saysLimited
	// saysBadToken: the token is not valid, or not any more.
	saysBadToken
	// saysSuspended: the account is.
	saysSuspended
	// saysForbidden: the token may not do that.
	saysForbidden
	// saysMoved: what had this name has another one.
	saysMoved
)

// statusRefusal says what an API answer other than 200 means. A 404 on the
// user's own lists proves nothing, and neither does a limit.
func statusRefusal(path string, resp *http.Response, body []byte, now time.Time) *upstream.Refusal {
	e := &answerError{path: path, status: resp.StatusCode, kind: kindOf(resp, body), text: describe(resp)}
	r := &upstream.Refusal{Reason: upstream.ReasonUnavailable, Err: e}
	switch e.kind {
	case saysNothing:
		r.RetryAfter = retryAfter(resp.Header, now)
	case saysLimited:
		var own bool
		if e.reset, own = quotaReset(resp.Header, now); own {
			break // RetryAfter is about everybody
		}
		if r.RetryAfter = retryAfter(resp.Header, now); r.RetryAfter == 0 {
			r.RetryAfter = unknownWait
		}
	case saysBadToken, saysSuspended:
		r.Reason = upstream.ReasonInvalid
	case saysForbidden:
		r.Reason = upstream.ReasonInsufficientScope
	}
	return r
}

// kindOf goes by GitHub's own words where a status has several meanings. They
// have been the same for ten years; words that are not known prove nothing.
func kindOf(resp *http.Response, body []byte) answerKind {
	message, isGitHub := messageOf(body)
	switch resp.StatusCode {
	case http.StatusUnauthorized:
		// "Requires authentication" is what GitHub says if something on the way
		// removed the token.
		if message == "bad credentials" {
			return saysBadToken
		}
	case http.StatusTooManyRequests:
		return saysLimited
	case http.StatusMovedPermanently:
		if message == "moved permanently" { // not a portal that redirects everything
			return saysMoved
		}
	case http.StatusForbidden:
		switch {
		case strings.Contains(message, "your account") && strings.Contains(message, "suspended"):
			return saysSuspended
		case resp.Header.Get("Retry-After") != "", resp.Header.Get("X-RateLimit-Remaining") == "0",
			strings.Contains(message, "rate limit"), strings.Contains(message, "abuse"):
			return saysLimited
		case isGitHub: // not a page of a proxy
			return saysForbidden
		}
	}
	return saysNothing
}

// messageOf is the message of GitHub's JSON errors in lower case.
func messageOf(body []byte) (message string, ok bool) {
	var answer struct {
		Message string `json:"message"`
	}
	if json.Unmarshal(body, &answer) != nil {
		return "", false
	}
	return strings.ToLower(answer.Message), true
}

// answered is the API answer that an error comes from, or nil.
func answered(err error) *answerError {
	var e *answerError
	if errors.As(err, &e) {
		return e
	}
	return nil
}

// isGone is whether GitHub said that nothing it shows us has this name.
func isGone(err error) bool {
	e := answered(err)
	return e != nil && (e.status == http.StatusNotFound || e.kind == saysMoved)
}

func hasKind(err error, kind answerKind) bool {
	e := answered(err)
	return e != nil && e.kind == kind
}

// describe is an answer for the log: its status, and the headers that tell an
// operator what to do. Never the body.
func describe(resp *http.Response) string {
	var b strings.Builder
	fmt.Fprintf(&b, "status %d", resp.StatusCode)
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
