// SPDX-License-Identifier: Apache-2.0

package github

import (
	"errors"
	"net/url"
	"strconv"
	"strings"
)

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
