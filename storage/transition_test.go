// SPDX-License-Identifier: Apache-2.0

package storage

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// The stories around these steps are in storagetest, where every engine runs
// them. Here are the edges: exact instants, what is kept, what stays unchanged.

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func hashOf(s string) Hash { return sha256.Sum256([]byte(s)) }

func liveGrant(retired ...Retired) *Grant {
	return &Grant{
		ID: "g", Code: Code{Hash: hashOf("code"), ExpiresAt: noon.Add(time.Minute), RedeemedAt: noon.Add(-time.Hour)},
		Refresh: Refresh{Current: hashOf("current"), Retired: retired}, ExpiresAt: noon.Add(time.Hour),
	}
}

func retiredAt(name string, ago time.Duration) Retired {
	return Retired{Hash: hashOf(name), Nonce: []byte("nonce of " + name), RetiredAt: noon.Add(-ago)}
}

func TestRedeemEdges(t *testing.T) {
	t.Parallel()
	fresh := func() *Grant {
		return &Grant{Code: Code{Hash: hashOf("code"), ExpiresAt: noon.Add(time.Minute)}, ExpiresAt: noon.Add(time.Hour)}
	}
	tests := map[string]struct {
		grant func() *Grant
		code  string
		now   time.Time
		want  error
	}{
		"good":                            {fresh, "code", noon, nil},
		"a moment before the code's end":  {fresh, "code", noon.Add(time.Minute - 1), nil},
		"at the code's end":               {fresh, "code", noon.Add(time.Minute), ErrNotFound},
		"at the grant's end":              {fresh, "code", noon.Add(time.Hour), ErrNotFound},
		"wrong code":                      {fresh, "other", noon, ErrNotFound},
		"redeemed":                        {func() *Grant { return liveGrant() }, "code", noon, ErrReplay},
		"redeemed, after the code's end":  {func() *Grant { return liveGrant() }, "code", noon.Add(30 * time.Minute), ErrReplay},
		"redeemed, after the grant's end": {func() *Grant { return liveGrant() }, "code", noon.Add(time.Hour), ErrNotFound},
		"redeemed, wrong code":            {func() *Grant { return liveGrant() }, "other", noon, ErrNotFound},
		"a code without an end": {func() *Grant {
			g := fresh()
			g.Code.ExpiresAt = time.Time{}
			return g
		}, "code", noon, ErrNotFound},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g, want := tt.grant(), tt.grant()
			err := Redeem(g, Redemption{Code: hashOf(tt.code), Refresh: hashOf("first"), TTL: 2 * time.Hour}, tt.now)
			if !errors.Is(err, tt.want) {
				t.Fatalf("got error %v, want %v", err, tt.want)
			}
			if tt.want == nil {
				want.Code.RedeemedAt, want.Refresh.Current, want.ExpiresAt = tt.now, hashOf("first"), tt.now.Add(2*time.Hour)
			}
			if diff := cmp.Diff(want, g); diff != "" {
				t.Errorf("grant (-want +got):\n%s", diff)
			}
		})
	}
}

func TestRotateWindows(t *testing.T) {
	t.Parallel()
	const grace, unused = time.Minute, 15 * time.Minute
	tests := map[string]struct {
		retired   []Retired
		presented string
		wantNonce string
		want      error
	}{
		"current":                         {nil, "current", "fresh", nil},
		"newest, just now":                {[]Retired{retiredAt("a", 0)}, "a", "nonce of a", nil},
		"newest, at the end of unused":    {[]Retired{retiredAt("a", unused)}, "a", "nonce of a", nil},
		"newest, a moment after unused":   {[]Retired{retiredAt("a", unused+1)}, "a", "", ErrReuse},
		"older, at the end of grace":      {[]Retired{retiredAt("a", grace), retiredAt("b", 0)}, "a", "nonce of a", nil},
		"older, a moment after grace":     {[]Retired{retiredAt("a", grace+1), retiredAt("b", 0)}, "a", "", ErrReuse},
		"older, retired in the future":    {[]Retired{retiredAt("a", -time.Hour), retiredAt("b", -time.Hour)}, "a", "nonce of a", nil},
		"never seen":                      {[]Retired{retiredAt("a", 0)}, "x", "", ErrReuse},
		"never seen, nothing was retired": {nil, "x", "", ErrReuse},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := liveGrant(tt.retired...)
			got, err := Rotate(g, Rotation{
				Presented: hashOf(tt.presented), Successor: hashOf("next"), Nonce: []byte("fresh"),
				TTL: 2 * time.Hour, Grace: grace, UnusedGrace: unused,
			}, noon)
			if !errors.Is(err, tt.want) || string(got.Nonce) != tt.wantNonce {
				t.Fatalf("got nonce %q, error %v, want %q, %v", got.Nonce, err, tt.wantNonce, tt.want)
			}
			if got.Repeat || err != nil {
				if diff := cmp.Diff(liveGrant(tt.retired...), g); diff != "" {
					t.Errorf("a step that rotates nothing changed the grant (-want +got):\n%s", diff)
				}
			}
		})
	}
}

func TestRotateKeepsWhatMayBeAnswered(t *testing.T) {
	t.Parallel()
	many := make([]Retired, MaxRetired)
	for i := range many {
		many[i] = retiredAt(fmt.Sprint(i), time.Second)
	}
	tests := map[string]struct {
		before []Retired
		want   []Retired
	}{
		"nothing before":               {nil, nil},
		"within grace stays":           {[]Retired{retiredAt("a", time.Minute)}, []Retired{retiredAt("a", time.Minute)}},
		"after grace goes":             {[]Retired{retiredAt("a", time.Minute+1), retiredAt("b", 1)}, []Retired{retiredAt("b", 1)}},
		"the former newest goes too":   {[]Retired{retiredAt("a", 2*time.Minute)}, nil},
		"out of order after a step":    {[]Retired{retiredAt("a", 1), retiredAt("b", time.Hour)}, []Retired{retiredAt("a", 1)}},
		"in the future stays":          {[]Retired{retiredAt("a", -time.Hour)}, []Retired{retiredAt("a", -time.Hour)}},
		"the oldest beyond the cap go": {many, many[1:]},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := liveGrant(tt.before...)
			if _, err := Rotate(g, Rotation{
				Presented: hashOf("current"), Successor: hashOf("next"), Nonce: []byte("n"), TTL: 2 * time.Hour, Grace: time.Minute,
			}, noon); err != nil {
				t.Fatal(err)
			}
			want := liveGrant(append(append([]Retired(nil), tt.want...), Retired{Hash: hashOf("current"), Nonce: []byte("n"), RetiredAt: noon})...)
			want.Refresh.Current, want.ExpiresAt = hashOf("next"), noon.Add(2*time.Hour)
			if diff := cmp.Diff(want, g); diff != "" {
				t.Errorf("grant (-want +got):\n%s", diff)
			}
		})
	}
}

func TestRotateNeedsALiveGrant(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(*Grant){
		"expired":           func(g *Grant) { g.ExpiresAt = noon },
		"not redeemed":      func(g *Grant) { g.Code.RedeemedAt = time.Time{} },
		"no refresh secret": func(g *Grant) { g.Refresh.Current = Hash{} },
	} {
		for _, presented := range []Hash{{}, hashOf("current"), hashOf("x")} {
			g := liveGrant()
			spoil(g)
			if _, err := Rotate(g, Rotation{Presented: presented, Grace: time.Hour, UnusedGrace: time.Hour}, noon); !errors.Is(err, ErrNotFound) {
				t.Errorf("%s: got error %v, want %v", name, err, ErrNotFound)
			}
		}
	}
}

// A family of refresh tokens never forks: whatever clients and thieves present
// in whatever order, there is one current secret, and every answer leads to it.
func TestRotateNeverForks(t *testing.T) {
	t.Parallel()
	const grace, unused = time.Minute, 15 * time.Minute
	for seed := range int64(200) {
		rnd := rand.New(rand.NewSource(seed)) //nolint:gosec // a reproducible walk
		g := liveGrant()
		g.ExpiresAt = noon.Add(1000 * time.Hour)
		next := map[string]string{} // successor of every secret handed in as current
		issued := []string{"current"}
		now := noon
		for step := range 60 {
			now = now.Add(time.Duration(rnd.Intn(90)-5) * time.Second)
			presented := issued[max(0, len(issued)-1-rnd.Intn(3))]
			nonce := fmt.Sprint(seed, step)
			got, err := Rotate(g, Rotation{
				Presented: hashOf(presented), Successor: hashOf(presented + nonce), Nonce: []byte(nonce),
				TTL: 1000 * time.Hour, Grace: grace, UnusedGrace: unused,
			}, now)
			if errors.Is(err, ErrReuse) {
				break // the engine deletes the grant here
			}
			if err != nil {
				t.Fatal(err)
			}
			answer := presented + string(got.Nonce)
			if known, ok := next[presented]; ok && known != answer {
				t.Fatalf("seed %d: %q has two successors", seed, presented)
			}
			if !got.Repeat {
				issued = append(issued, answer)
			}
			next[presented] = answer
			if newest := issued[len(issued)-1]; g.Refresh.Current != hashOf(newest) {
				t.Fatalf("seed %d: the newest secret is not the current one", seed)
			}
		}
	}
}
