// SPDX-License-Identifier: Apache-2.0

package github

import (
	"net/http"
	"strconv"
	"time"
)

const (
	// maxWait bounds what GitHub can ask us to wait. Its quotas are per hour.
	maxWait = time.Hour
	// unknownWait is the least that GitHub's documentation asks for after a limit
	// that came without a time.
	unknownWait = time.Minute
)

// retryAfter is when GitHub wants to be asked again, from Retry-After (RFC 9110
// §10.2.3) or the end of a quota that is used up. Zero means that it did not say.
func retryAfter(h http.Header, now time.Time) time.Duration {
	if v := h.Get("Retry-After"); v != "" {
		if seconds, ok := parseCount(v); ok {
			return bounded(seconds, time.Second)
		}
		if at, err := http.ParseTime(v); err == nil {
			return min(max(at.Sub(now), 0), maxWait)
		}
	}
	if h.Get("X-RateLimit-Remaining") == "0" {
		if reset, ok := parseCount(h.Get("X-RateLimit-Reset")); ok {
			return bounded(reset-now.Unix(), time.Second)
		}
	}
	return 0
}

// bounded is n units between zero and maxWait, whatever n is.
func bounded(n int64, unit time.Duration) time.Duration {
	return time.Duration(min(max(n, 0), int64(maxWait/unit))) * unit
}

// parseCount reads decimal digits and nothing else.
func parseCount(s string) (int64, bool) {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
	}
	n, err := strconv.ParseInt(s, 10, 64)
	return n, err == nil
}
