// SPDX-License-Identifier: Apache-2.0

package bolt

import (
	"bytes"
	"slices"
	"testing"
	"time"
)

func TestStampsSortAsTimes(t *testing.T) {
	t.Parallel()
	times := []time.Time{
		{},
		time.Unix(-1<<40, 0), time.Unix(-2, 999_999_999), time.Unix(-1, 0), time.Unix(-1, 1), time.Unix(0, 0), time.Unix(0, 1),
		time.Unix(255, 0), time.Unix(256, 0), time.Unix(1<<31, 0), time.Unix(1<<32, 5), time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC), time.Unix(1<<50, 0),
	}
	slices.SortFunc(times, time.Time.Compare)
	for i := range times[1:] {
		if bytes.Compare(stamp(times[i]), stamp(times[i+1])) >= 0 {
			t.Errorf("%v does not sort before %v", times[i], times[i+1])
		}
	}
	at := time.Unix(1000, 7)
	if !bytes.Equal(stamp(at), stamp(at.In(time.FixedZone("", 3600)))) {
		t.Error("the zone matters")
	}
}

func TestDueBy(t *testing.T) {
	t.Parallel()
	at, k := time.Unix(1000, 500), keyOf("a", "b")
	tests := map[string]struct {
		entry []byte
		now   time.Time
		want  bool
	}{
		"before":   {entryOf(at, k), at.Add(-1), false},
		"at":       {entryOf(at, k), at, true},
		"after":    {entryOf(at, k), at.Add(time.Hour), true},
		"nothing":  {nil, at, false},
		"too long": {append(entryOf(at, k), 0), at, false},
		"cut off":  {entryOf(at, k)[:20], at, false},
	}
	for name, tt := range tests {
		got, due := dueBy(tt.entry, tt.now)
		if due != tt.want || due && got != k {
			t.Errorf("%s: got %x, %v, want %v", name, got, due, tt.want)
		}
	}
}

func FuzzKeysDoNotCollide(f *testing.F) {
	f.Add("a", "bc", "ab", "c")
	f.Add("", "a", "a", "")
	f.Add("a\x00", "b", "a", "\x00b")
	f.Fuzz(func(t *testing.T, a1, a2, b1, b2 string) {
		same := a1 == b1 && a2 == b2
		if (keyOf(a1, a2) == keyOf(b1, b2)) != same {
			t.Errorf("(%q, %q) and (%q, %q)", a1, a2, b1, b2)
		}
		if keyOf(a1) == keyOf(a1, a2) || keyOf(a1+a2) == keyOf(a1, a2) {
			t.Errorf("one part collides with two: (%q, %q)", a1, a2)
		}
	})
}
