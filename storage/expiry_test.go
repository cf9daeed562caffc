// SPDX-License-Identifier: Apache-2.0

package storage

import (
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
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
			late := tt.end.Add(24 * time.Hour)
			for kind, got := range map[string]bool{
				"client":             (&Client{ExpiresAt: tt.end}).Expired(tt.now),
				"pending":            (&Pending{ExpiresAt: tt.end}).Expired(tt.now),
				"grant":              (&Grant{ExpiresAt: tt.end}).Expired(tt.now),
				"session, absolute":  (&Session{ExpiresAt: tt.end, IdleAt: late}).Expired(tt.now),
				"session, idle":      (&Session{ExpiresAt: late, IdleAt: tt.end}).Expired(tt.now),
				"session, both ends": (&Session{ExpiresAt: tt.end, IdleAt: tt.end}).Expired(tt.now),
				"consent":            (&Consent{ExpiresAt: tt.end}).Expired(tt.now),
				"used id":            (&Once{ExpiresAt: tt.end}).Expired(tt.now),
			} {
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
	later := now.Add(time.Hour)
	if !(&Session{}).Expired(now) || !(&Session{IdleAt: later}).Expired(now) || !(&Session{ExpiresAt: later}).Expired(now) {
		t.Error("a session without an end is alive")
	}
	if !(&Consent{}).Expired(now) || !(&Once{}).Expired(now) {
		t.Error("a consent or a used id without an end is alive")
	}
}

func TestTouch(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	tests := map[string]struct {
		idleIn, endsIn time.Duration // the ends before, from now
		idle           time.Duration
		want           time.Duration // the idle end after
		moved          bool
	}{
		"used half way":                   {30 * time.Minute, 8 * time.Hour, time.Hour, time.Hour, true},
		"used again within a minute":      {time.Hour - 59*time.Second, 8 * time.Hour, time.Hour, time.Hour - 59*time.Second, false},
		"used again after a minute":       {time.Hour - time.Minute, 8 * time.Hour, time.Hour, time.Hour, true},
		"short idle, within a tenth":      {91 * time.Second, 8 * time.Hour, 100 * time.Second, 91 * time.Second, false},
		"short idle, after a tenth":       {90 * time.Second, 8 * time.Hour, 100 * time.Second, 100 * time.Second, true},
		"near the absolute end":           {10 * time.Minute, 40 * time.Minute, time.Hour, 40 * time.Minute, true},
		"at the absolute end":             {40 * time.Minute, 40 * time.Minute, time.Hour, 40 * time.Minute, false},
		"hardly before the absolute end":  {40*time.Minute - time.Second, 40 * time.Minute, time.Hour, 40*time.Minute - time.Second, false},
		"beyond the absolute end":         {9 * time.Hour, 8 * time.Hour, 10 * time.Hour, 8 * time.Hour, true},
		"clock set back":                  {3 * time.Hour, 8 * time.Hour, time.Hour, time.Hour, true},
		"clock set back by less":          {time.Hour + 30*time.Second, 8 * time.Hour, time.Hour, time.Hour + 30*time.Second, false},
		"a shorter idle time":             {time.Hour, 8 * time.Hour, 10 * time.Minute, 10 * time.Minute, true},
		"none":                            {time.Second, 8 * time.Hour, 0, 0, true},
		"a negative one":                  {time.Second, 8 * time.Hour, -time.Hour, -time.Hour, true},
		"the longest there is":            {time.Hour, 8 * time.Hour, math.MaxInt64, 8 * time.Hour, true},
		"an idle time of one nanosecond":  {time.Hour, 8 * time.Hour, 1, 1, true},
		"no idle end before (never made)": {-time.Hour, 8 * time.Hour, time.Hour, time.Hour, true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := Session{Subject: "github:1", CreatedAt: now, IdleAt: now.Add(tt.idleIn), ExpiresAt: now.Add(tt.endsIn)}
			want := s
			want.IdleAt = now.Add(tt.want)
			if moved := s.Touch(tt.idle, now); moved != tt.moved {
				t.Errorf("moved is %v, want %v", moved, tt.moved)
			}
			if diff := cmp.Diff(want, s); diff != "" {
				t.Errorf("session (-want +got):\n%s", diff)
			}
		})
	}
}

// Whatever the times, a touch moves nothing beyond the absolute end, and the idle
// end is off by no more than the slack.
func FuzzTouch(f *testing.F) {
	f.Add(int64(time.Hour), int64(8*time.Hour), int64(time.Hour))
	f.Add(int64(0), int64(0), int64(-1))
	f.Add(int64(math.MinInt64), int64(math.MaxInt64), int64(math.MaxInt64))
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, idleIn, endsIn, idle int64) {
		s := Session{IdleAt: now.Add(time.Duration(idleIn)), ExpiresAt: now.Add(time.Duration(endsIn))}
		before := s
		moved := s.Touch(time.Duration(idle), now)
		if !moved && !cmp.Equal(s, before) {
			t.Fatal("changed, but says it was not")
		}
		if moved && s.IdleAt.After(s.ExpiresAt) {
			t.Fatalf("the idle end is %v after the absolute one", s.IdleAt.Sub(s.ExpiresAt))
		}
		asked := now.Add(time.Duration(idle))
		if asked.After(s.ExpiresAt) {
			asked = s.ExpiresAt
		}
		if off, slack := s.IdleAt.Sub(asked).Abs(), TouchSlack(time.Duration(idle)); off > slack {
			t.Fatalf("the idle end is off by %v, want at most %v", off, slack)
		}
		if s.Touch(time.Duration(idle), now) {
			t.Fatal("a second touch at the same time moves it again")
		}
	})
}
