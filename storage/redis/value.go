// SPDX-License-Identifier: Apache-2.0

package redis

import (
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
)

// A stored record is a line that scripts read, and then the bytes of storage.Encode. The
// line says when the record ends and which lists it is on, so that a script can take it
// out of them without understanding it: "<end> <age> <lists> <name>\n".
//
// All parts are digits, base64url or names of ours, whatever the record holds.

// none stands for a part of the line that a record does not have.
const none = "-"

// value returns the stored form of a record whose encoded form is data.
func (t table[R]) value(rec *R, data []byte) string {
	var b strings.Builder
	b.Grow(len(data) + 192)
	b.WriteString(stampOr(t.end(rec)))
	b.WriteByte(' ')
	if t.age == nil {
		b.WriteString(none)
	} else {
		b.WriteString(stampOr(t.age(rec)))
	}
	b.WriteByte(' ')
	for i, g := range t.groups {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(g.list(g.of(rec)))
	}
	if len(t.groups) == 0 {
		b.WriteString(none)
	}
	b.WriteByte(' ')
	if t.announced == nil {
		b.WriteString(none)
	} else {
		b.WriteString(feedName(t.announced(rec)))
	}
	b.WriteByte('\n')
	b.Write(data)
	return b.String()
}

// content returns the encoded record of a stored one.
func content(value string) ([]byte, error) {
	_, data, found := strings.Cut(value, "\n")
	if !found {
		return nil, fmt.Errorf("%w: the line for scripts is missing", ErrDamaged)
	}
	return []byte(data), nil
}

func stampOr(t time.Time, ok bool) string {
	if !ok {
		return none
	}
	return stamp(t)
}

// stamp writes a point in time as scripts compare it: in two numbers, because theirs are
// doubles and hold no nanoseconds of a date.
func stamp(t time.Time) string {
	return strconv.FormatInt(t.Unix(), 10) + ":" + strconv.Itoa(t.Nanosecond())
}

// parseStamp reads what stamp and scripts write.
func parseStamp(text string) (time.Time, error) {
	left, right, _ := strings.Cut(text, ":")
	seconds, err := strconv.ParseInt(left, 10, 64)
	if err != nil {
		return time.Time{}, fmt.Errorf("time %q: %w", text, err)
	}
	nanos, err := strconv.ParseUint(right, 10, 32)
	if err != nil || nanos >= uint64(time.Second) {
		return time.Time{}, fmt.Errorf("time %q is none", text)
	}
	return time.Unix(seconds, int64(nanos)).UTC(), nil
}

// feedName is how the feed spells an id: in letters that need no escaping. An empty one
// is spelt too, as "" is no part of a line.
func feedName(id string) string { return "=" + base64.RawURLEncoding.EncodeToString([]byte(id)) }

// feedID reads a feedName.
func feedID(name string) (string, error) {
	text, found := strings.CutPrefix(name, "=")
	raw, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || !found {
		return "", fmt.Errorf("%w: a name of the feed is none", storage.ErrFormat)
	}
	return string(raw), nil
}
