// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

const day = 24 * time.Hour

// midPeriod is the middle of a period.
var midPeriod = periodStart(700).Add(15 * day)

func planned(p keyPlan) *signingKey {
	return &signingKey{id: keyID(p.period, 0), signsFrom: p.signsFrom, expires: p.expires}
}

// keyOf is the key of a period as it is in the ordinary course of things.
func keyOf(period int64) *signingKey {
	return planned(keyPlan{period: period, signsFrom: periodStart(period), expires: periodStart(period + 1).Add(keyTail)})
}

func TestPeriods(t *testing.T) {
	t.Parallel()
	for _, n := range []int64{-700, -1, 0, 1, 688, 700} {
		start := periodStart(n)
		for at, want := range map[time.Time]int64{
			start: n, start.Add(-time.Nanosecond): n - 1, start.Add(-time.Second): n - 1, start.Add(keyPeriod - time.Nanosecond): n,
			start.In(time.FixedZone("", 5*3600)): n,
		} {
			if got := periodOf(at); got != want {
				t.Errorf("periodOf(%v) = %d, want %d", at, got, want)
			}
		}
	}
	if got := []string{keyID(700, 0), keyID(700, 1), keyID(-1, 12)}; !slices.Equal(got, []string{"700", "700.1", "-1.12"}) {
		t.Errorf("ids %q", got)
	}
}

// A key must be seen by every cache before it signs, and after it signed for the last
// time.
func TestOverlapIsLongerThanTheCaches(t *testing.T) {
	t.Parallel()
	const maxAge = 300 * time.Second // metadataMaxAge
	if keyAhead < 10*(maxAge+keyRefresh) {
		t.Errorf("a key is published %v before it signs", keyAhead)
	}
	if keyMargin < assertionLife+maxAge || keyTail <= keyAhead+keyMargin {
		t.Errorf("margin %v, tail %v", keyMargin, keyTail)
	}
}

func TestPlanKey(t *testing.T) {
	t.Parallel()
	start := periodStart(700)
	boundary := periodStart(701)
	for _, tt := range []struct {
		name      string
		keys      []*signingKey
		now       time.Time
		period    int64 // 0: none is missing
		signsFrom time.Time
	}{
		{"the first key signs at once", nil, midPeriod, 700, midPeriod},
		{"the first key on the last day is already the next one's", nil, boundary.Add(-time.Hour), 701, boundary.Add(-time.Hour)},
		{"nothing to do in the middle", []*signingKey{keyOf(700)}, midPeriod, 0, time.Time{}},
		{"nothing to do just before the last day", []*signingKey{keyOf(700)}, boundary.Add(-keyAhead - time.Second), 0, time.Time{}},
		{"the next one a day ahead", []*signingKey{keyOf(700)}, boundary.Add(-keyAhead), 701, boundary},
		{"late by half a day", []*signingKey{keyOf(700)}, boundary.Add(-keyAhead / 2), 701, boundary.Add(keyAhead / 2)},
		{"only after the boundary", []*signingKey{keyOf(700)}, boundary.Add(time.Hour), 701, boundary.Add(time.Hour + keyAhead)},
		{"when the old one is about to end", []*signingKey{keyOf(700)}, boundary.Add(keyTail - 3*time.Hour), 701, boundary.Add(keyTail - keyMargin)},
		{"when the old one signs no more", []*signingKey{keyOf(700)}, boundary.Add(keyTail - keyMargin), 701, boundary.Add(keyTail - keyMargin)},
		{"a year later", []*signingKey{keyOf(700)}, boundary.Add(365 * day), 713, boundary.Add(365 * day)},
		{"both are there", []*signingKey{keyOf(700), keyOf(701)}, boundary.Add(-time.Hour), 0, time.Time{}},
		{"the clock was set back by days", []*signingKey{keyOf(700), keyOf(701)}, start.Add(day), 0, time.Time{}},
		{"the clock was set back before both", []*signingKey{keyOf(700)}, start.Add(-10 * day), 0, time.Time{}},
		{"a key of a clock that was a year ahead", []*signingKey{keyOf(712)}, midPeriod, 700, midPeriod},
		{"and the right one beside it", []*signingKey{keyOf(700), keyOf(712)}, midPeriod, 0, time.Time{}},
		{"a clock that starts in 1970", nil, time.Unix(5, 0), 0 + firstPeriod, time.Unix(5, 0)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			plan, missing := planKey(tt.keys, tt.now)
			if tt.period == 0 {
				if missing {
					t.Fatalf("plans %+v", plan)
				}
				return
			}
			period := tt.period
			if period == firstPeriod {
				period = 0
			}
			if !missing || plan.period != period || !plan.signsFrom.Equal(tt.signsFrom) || !plan.expires.Equal(periodStart(period+1).Add(keyTail)) {
				t.Fatalf("missing %v, plan %+v, want period %d from %v", missing, plan, period, tt.signsFrom)
			}
			if _, again := planKey(append(slices.Clone(tt.keys), planned(plan)), tt.now); again {
				t.Error("the same key is planned twice")
			}
		})
	}
}

// firstPeriod stands for period 0 in the table.
const firstPeriod = -1 << 40

func TestSignerAt(t *testing.T) {
	t.Parallel()
	boundary := periodStart(701)
	old, next := keyOf(700), keyOf(701)
	ahead := &signingKey{id: "700", signsFrom: midPeriod.Add(time.Minute), expires: old.expires}
	retry := &signingKey{id: "700.1", signsFrom: midPeriod, expires: old.expires}
	for _, tt := range []struct {
		name string
		keys []*signingKey
		now  time.Time
		want *signingKey
	}{
		{"none", nil, midPeriod, nil},
		{"the only one", []*signingKey{old}, midPeriod, old},
		{"not yet the next", []*signingKey{old, next}, boundary.Add(-time.Nanosecond), old},
		{"the next, to the instant", []*signingKey{old, next}, boundary, next},
		{"the next is not known here", []*signingKey{old}, boundary.Add(time.Hour), old},
		{"not in the last hour", []*signingKey{old}, old.expires.Add(-keyMargin), nil},
		{"another gateway's clock is ahead", []*signingKey{ahead}, midPeriod, ahead},
		{"an attempt beats what was before", []*signingKey{old, retry}, midPeriod, retry},
		{"a wrong clock's key never signs", []*signingKey{keyOf(712)}, midPeriod, nil},
		{"nor for whoever has others", []*signingKey{old, keyOf(712)}, midPeriod, old},
	} {
		if got := signerAt(tt.keys, tt.now); got != tt.want {
			t.Errorf("%s: %+v", tt.name, got)
		}
	}
}

// Whatever the times at which a gateway looks, there is always a key to sign with, no
// key signs that was not published long enough while another could sign, and nothing
// outlives the key that signed it.
func TestScheduleAtRandomTimes(t *testing.T) {
	t.Parallel()
	for seed := range uint64(200) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		now, made := midPeriod, map[*signingKey]time.Time{}
		var keys []*signingKey
		for range 300 {
			now = now.Add(randomPause(rnd))
			keys = slices.DeleteFunc(keys, func(k *signingKey) bool { return !now.Before(k.expires) })
			before := signerAt(keys, now)
			if plan, missing := planKey(keys, now); missing {
				k := planned(plan)
				made[k], keys = now, append(keys, k)
				slices.SortFunc(keys, func(a, b *signingKey) int { return cmp.Or(a.signsFrom.Compare(b.signsFrom), cmp.Compare(a.id, b.id)) })
			}
			if err := checkSigner(keys, made, before, now); err != nil {
				t.Fatalf("seed %d, %v: %v", seed, now, err)
			}
		}
	}
}

// randomPause is minutes mostly, and weeks now and then.
func randomPause(rnd *rand.Rand) time.Duration {
	limit := []time.Duration{time.Minute, time.Hour, day, day, 3 * day, 70 * day}[rnd.IntN(6)]
	return time.Duration(rnd.Int64N(int64(limit)))
}

func checkSigner(keys []*signingKey, made map[*signingKey]time.Time, before *signingKey, now time.Time) error {
	k := signerAt(keys, now)
	switch {
	case k == nil:
		return fmt.Errorf("nothing signs, of %d keys", len(keys))
	case before != nil && k != before:
		return fmt.Errorf("key %s signs from the moment it is made, though %s could", k.id, before.id)
	case now.Add(assertionLife).After(k.expires):
		return fmt.Errorf("key %s ends before what it signs", k.id)
	case len(keys) > 3:
		return fmt.Errorf("%d keys", len(keys))
	}
	published := now.Sub(made[k])
	for _, other := range keys {
		// A key is early only where the one before it could sign no longer.
		if other != k && made[other].Before(made[k]) && published < keyAhead && now.Before(other.signsUntil()) {
			return fmt.Errorf("key %s signs %v after it was made, %s could still", k.id, published, other.id)
		}
	}
	return nil
}
