// SPDX-License-Identifier: Apache-2.0

package fetch

import (
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// How long a document is used before it is asked for again. What its server says
// counts within these bounds (R4.7, R4.8): below, a server could make every
// request of ours one of its own; above, a client could not change its keys.
const (
	minFresh     = 5 * time.Minute
	defaultFresh = time.Hour
	maxFresh     = 24 * time.Hour
)

// freshness reads Cache-Control, Age and Expires (RFC 9111 §4.2.1) and clamps.
func freshness(h http.Header) time.Duration {
	life, said := lifetime(h)
	if !said {
		return defaultFresh
	}
	if age, ok := seconds(h.Get("Age")); ok {
		life -= age
	}
	return min(max(life, minFresh), maxFresh)
}

// lifetime is what the server says; said is false where it says nothing. What we
// keep serves many, so s-maxage is for us.
func lifetime(h http.Header) (life time.Duration, said bool) {
	directives := map[string]string{}
	for _, line := range h.Values("Cache-Control") {
		for d := range strings.SplitSeq(line, ",") {
			name, value, _ := strings.Cut(strings.TrimSpace(d), "=")
			directives[strings.ToLower(name)] = strings.Trim(value, `"`)
		}
	}
	for _, name := range []string{"no-store", "no-cache"} {
		if _, ok := directives[name]; ok {
			return 0, true
		}
	}
	for _, name := range []string{"s-maxage", "max-age"} {
		if value, ok := directives[name]; ok {
			life, _ := seconds(value) // one that cannot be read is none: not fresh
			return life, true
		}
	}
	if value := h.Get("Expires"); value != "" {
		expires, err1 := http.ParseTime(value)
		date, err2 := http.ParseTime(h.Get("Date"))
		if err1 != nil || err2 != nil {
			return 0, true
		}
		return expires.Sub(date), true
	}
	return 0, false
}

// seconds reads delta-seconds. More than can be counted is 2^31 (RFC 9111 §1.2.2).
func seconds(s string) (time.Duration, bool) {
	n, err := strconv.ParseUint(s, 10, 31)
	if errors.Is(err, strconv.ErrRange) {
		return (1 << 31) * time.Second, true
	}
	return time.Duration(n) * time.Second, err == nil
}
