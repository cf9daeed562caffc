// SPDX-License-Identifier: Apache-2.0

package storage

import (
	"testing"
	"time"
)

func TestExpired(t *testing.T) {
	t.Parallel()
	end := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	tests := map[string]struct {
		end, now time.Time
		want     bool
	}{
		"a moment before": {end, end.Add(-time.Nanosecond), false},
		"at its end":      {end, end, true},
		"after":           {end, end.Add(time.Hour), true},
		"another zone":    {end.In(time.FixedZone("", 3600)), end.Add(-time.Second), false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, p, g := Client{ExpiresAt: tt.end}, Pending{ExpiresAt: tt.end}, Grant{ExpiresAt: tt.end}
			for kind, got := range map[string]bool{"client": c.Expired(tt.now), "pending": p.Expired(tt.now), "grant": g.Expired(tt.now)} {
				if got != tt.want {
					t.Errorf("%s: expired is %v, want %v", kind, got, tt.want)
				}
			}
		})
	}
}

// No end means "stays" for a client and nothing else: a grant somebody forgot to
// give an end must not live for ever.
func TestNoEnd(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	if (&Client{}).Expired(now) || (&Client{}).Unused() {
		t.Error("a client without an end is expired or unused")
	}
	if !(&Pending{}).Expired(now) || !(&Grant{}).Expired(now) {
		t.Error("a pending request or a grant without an end is alive")
	}
}
