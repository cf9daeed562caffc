// SPDX-License-Identifier: Apache-2.0

package redis

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
	"github.com/caddy-mcp/caddy-mcp-oauth/storage/storagetest"
)

func TestStampsComeBack(t *testing.T) {
	t.Parallel()
	for _, at := range []time.Time{
		{},
		time.Unix(0, 0), time.Unix(-1, 999_999_999), time.Unix(0, 1), time.Date(2026, 3, 1, 12, 0, 0, 123_456_789, time.UTC),
		time.Date(9999, 12, 31, 23, 59, 59, 999_999_999, time.UTC), time.Unix(math.MaxInt32+1, 0),
	} {
		got, err := parseStamp(stamp(at))
		if err != nil || !got.Equal(at) {
			t.Errorf("%s: %s, %v", at, got, err)
		}
	}
}

func TestWhatIsNoStamp(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", ":", "1", "1:", ":1", "a:1", "1:a", "1:-1", "1:1000000000", "1:1:1", "1.5:0", "-", "99999999999999999999:0", " 1:0"} {
		if at, err := parseStamp(text); err == nil {
			t.Errorf("%q is %s", text, at)
		}
	}
}

func TestTheLineOfARecord(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_700_000_000, 5)
	g := storagetest.NewGrant(issuer, "grant", now)
	c := storagetest.NewClient(issuer, "client", now)
	kept := storagetest.NewClient(issuer, "client", now)
	kept.ExpiresAt = time.Time{}
	a := &storage.Account{Subject: "github:1"}
	for name, tc := range map[string]struct{ got, want string }{
		"grant": {
			grants.value(g, []byte("x")),
			"1700000060:5 - by_client:" + string(keyOf(issuer, "client")) + ",by_subject:" + string(keyOf("github:583231")) + " =Z3JhbnQ\nx",
		},
		"unused client": {clients.value(c, nil), "1700086400:5 1700000000:5 - -\n"},
		"kept client":   {clients.value(kept, nil), "- - - -\n"},
		"account":       {accounts.value(a, []byte("\n\n")), "- - - =Z2l0aHViOjE\n\n\n"},
	} {
		if tc.got != tc.want {
			t.Errorf("%s: %q, want %q", name, tc.got, tc.want)
		}
		if data, err := content(tc.got); err != nil || string(data) != tc.want[strings.Index(tc.want, "\n")+1:] {
			t.Errorf("%s: content %q, %v", name, data, err)
		}
	}
}

// A client picks its id, and a user has whatever subject the provider gives. No choice
// may put a blank, a comma or the end of the line into the line.
func TestNoIDEscapesTheLine(t *testing.T) {
	t.Parallel()
	for _, id := range []string{"", " ", "\n", "a b", "a,b", "-", "=", "by_client:x", "\x00\xff", strings.Repeat("x", 1<<16)} {
		g := storagetest.NewGrant(issuer, id, time.Now())
		g.ClientID, g.Subject = id, id
		line, data, _ := strings.Cut(grants.value(g, []byte("data")), "\n")
		if parts := strings.Split(line, " "); len(parts) != 4 || strings.Count(parts[2], ",") != 1 || data != "data" {
			t.Errorf("%.20q: %d parts, %.20q", id, len(parts), data)
		}
		if got, err := feedID(feedName(id)); err != nil || got != id {
			t.Errorf("%.20q is %.20q in the feed, %v", id, got, err)
		}
	}
}

func TestPositions(t *testing.T) {
	t.Parallel()
	for _, id := range []string{"0-0", "1700000000000-0", "1700000000001-1048575", "17592186044415-1048575"} {
		at, err := position(id)
		if err != nil || entryID(at) != id {
			t.Errorf("%s: %d, %v, back %s", id, at, err, entryID(at))
		}
	}
	for _, id := range []string{"", "-", "1", "1-", "-1", "1-1048576", "17592186044416-0", "a-1", "1-a", "1-1-1", "+1-1"} {
		if at, err := position(id); err == nil {
			t.Errorf("%q is %d", id, at)
		}
	}
}

// Positions sort as they come, whatever their random parts.
func TestPositionsGrow(t *testing.T) {
	t.Parallel()
	a, _ := position("1700000000000-1048575")
	b, _ := position("1700000000001-0")
	if a >= b {
		t.Errorf("%d is not before %d", a, b)
	}
}

func TestPrefixes(t *testing.T) {
	t.Parallel()
	for _, good := range []string{"a", DefaultPrefix, "prod/mcp-oauth.v1:eu", strings.Repeat("x", maxPrefix)} {
		if err := checkPrefix(good); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
	// Braces would make another hash tag, a star another set of keys in an ACL rule.
	for _, bad := range []string{"", "{", "a}b", "a b", "a*", "a?", "a[b]", "ä", "a\n", "a\x00", strings.Repeat("x", maxPrefix+1)} {
		if err := checkPrefix(bad); err == nil {
			t.Errorf("%q passes", bad)
		}
	}
}

func FuzzStoredForm(f *testing.F) {
	f.Add("1700000060:5 - - -\nx")
	f.Add("")
	f.Add("\n\x01{}")
	f.Add("- - - -\n\x01{\"issuer\":\"a\",\"id\":\"b\"}")
	f.Fuzz(func(t *testing.T, value string) {
		g, _, err := grants.decode(keyOf("a", "b"), value)
		if (g == nil) != (err != nil) {
			t.Errorf("%v beside %v", g, err)
		}
		if g != nil && (g.Issuer != "a" || g.ID != "b") {
			t.Errorf("a grant of %q at %q", g.ID, g.Issuer)
		}
	})
}

func FuzzFeedReply(f *testing.F) {
	f.Add("1-1", "grant", "=Zw")
	f.Add("", "", "")
	f.Add("1-1048576", "account", "=")
	f.Fuzz(func(t *testing.T, at, kind, name string) {
		changes, next, err := parseChanges([]string{at, kind, name}, 7)
		if err != nil && (changes != nil || next != 0) {
			t.Errorf("%v and %d beside %v", changes, next, err)
		}
		if err != nil {
			return
		}
		// Numbers may come with zeros before them, and mean the same.
		if again, err := position(entryID(next)); err != nil || again != next || len(changes) != 1 || feedName(changes[0].ID) != name {
			t.Errorf("%v at %d of %q %q", changes, next, at, name)
		}
	})
}

func FuzzParseInfo(f *testing.F) {
	f.Add("# Server\r\nredis_version:7.0.15\r\n\r\nmaxmemory:0\n")
	f.Add(":\n:")
	f.Fuzz(func(t *testing.T, text string) {
		info := parseInfo(text)
		if len(info) > strings.Count(text, ":") {
			t.Errorf("%d values of %q", len(info), text)
		}
		_ = checkVersion(info)
		_ = audit(info, nil, Options{})
	})
}
