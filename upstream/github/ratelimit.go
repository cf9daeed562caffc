// SPDX-License-Identifier: Apache-2.0

package github

import (
	"net/http"
	"strconv"
	"sync"
	"time"
)

const (
	// maxWait bounds what GitHub can ask us to wait. Its quotas are per hour.
	maxWait = time.Hour
	// unknownWait is the least that GitHub's documentation asks for after a limit
	// that came without a usable time.
	unknownWait = time.Minute
	// maxSpent bounds how many users are remembered whose quota is used up.
	maxSpent = 10_000
)

// retryAfter is when GitHub wants to be asked again (RFC 9110 §10.2.3), zero where
// it did not say.
func retryAfter(h http.Header, now time.Time) time.Duration {
	v := h.Get("Retry-After")
	if seconds, ok := parseCount(v); ok {
		return time.Duration(min(seconds, int64(maxWait/time.Second))) * time.Second
	}
	if at, err := http.ParseTime(v); err == nil {
		return min(max(at.Sub(now), 0), maxWait)
	}
	return 0
}

// quotaReset is when the user's own quota starts again, if it is used up.
func quotaReset(h http.Header, now time.Time) (reset time.Time, spent bool) {
	if h.Get("X-RateLimit-Remaining") != "0" {
		return time.Time{}, false
	}
	seconds, ok := parseCount(h.Get("X-RateLimit-Reset"))
	if !ok || seconds <= now.Unix() {
		return now.Add(unknownWait), true
	}
	return time.Unix(min(seconds, now.Add(maxWait).Unix()), 0), true
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

// spenders are the users who have used up their quota at GitHub, by user id. It
// is theirs alone, with all apps they use: nobody else may have to wait for it.
type spenders struct {
	mu     sync.Mutex
	resets map[string]time.Time
}

func (s *spenders) add(user string, reset, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.resets == nil {
		s.resets = make(map[string]time.Time)
	}
	if len(s.resets) >= maxSpent {
		for who, at := range s.resets {
			if !at.After(now) {
				delete(s.resets, who)
			}
		}
	}
	if len(s.resets) < maxSpent {
		s.resets[user] = reset
	}
}

// has is until when a user is not to be asked about.
func (s *spenders) has(user string, now time.Time) (reset time.Time, spent bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	reset, ok := s.resets[user]
	if ok && !reset.After(now) {
		delete(s.resets, user)
		return time.Time{}, false
	}
	return reset, ok
}
