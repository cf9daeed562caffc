// SPDX-License-Identifier: Apache-2.0

package github

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/caddy-mcp/caddy-mcp-oauth/internal/testidp"
	"github.com/caddy-mcp/caddy-mcp-oauth/policy"
	"github.com/caddy-mcp/caddy-mcp-oauth/upstream"
)

var needTeams = policy.Needs{Teams: true}

// inTeams puts octocat into these teams and no others.
func inTeams(s *testidp.Server, teams ...string) {
	s.UpdateUser(583231, func(u *testidp.User) { u.Orgs, u.Teams = []string{"acme"}, teams })
}

func TestTeamsAboveCount(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		teams   []string
		parents map[string]string
		want    []string
		lookups int
	}{
		"none above":       {[]string{"acme/a"}, nil, []string{"acme/a"}, 0},
		"one above":        {[]string{"acme/a"}, map[string]string{"acme/a": "acme/b"}, []string{"acme/a", "acme/b"}, 1},
		"three above":      {[]string{"acme/a"}, map[string]string{"acme/a": "acme/b", "acme/b": "acme/c", "acme/c": "acme/d"}, []string{"acme/a", "acme/b", "acme/c", "acme/d"}, 3},
		"also directly in": {[]string{"acme/a", "acme/b"}, map[string]string{"acme/a": "acme/b", "acme/b": "acme/c"}, []string{"acme/a", "acme/b", "acme/c"}, 1},
		"siblings":         {[]string{"acme/a", "acme/b"}, map[string]string{"acme/a": "acme/c", "acme/b": "acme/c", "acme/c": "acme/d"}, []string{"acme/a", "acme/b", "acme/c", "acme/d"}, 2},
		"child of a team":  {[]string{"acme/b"}, map[string]string{"acme/a": "acme/b"}, []string{"acme/b"}, 0},
		"another org's":    {[]string{"acme/a", "evil/a"}, map[string]string{"evil/a": "evil/b"}, []string{"acme/a", "evil/a", "evil/b"}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := signedInAs(t, Config{Needs: needTeams}, func(s *testidp.Server) {
				inTeams(s, tc.teams...)
				for child, parent := range tc.parents {
					s.SetParent(child, parent)
				}
			})
			if diff := cmp.Diff(tc.want, a.last.Groups); diff != "" {
				t.Error(diff)
			}
			a.holds(tc.want...)
			lookups := slices.DeleteFunc(a.apiCalls(), func(p string) bool { return !strings.HasPrefix(p, "/orgs/") })
			if len(lookups) != tc.lookups {
				t.Errorf("looked up %q", lookups)
			}
		})
	}
}

// TestMovedTeam: the user's team is put below another one, and taken out again.
func TestMovedTeam(t *testing.T) {
	t.Parallel()
	a := signedInAs(t, Config{Needs: needTeams}, func(s *testidp.Server) { inTeams(s, "acme/a") })
	a.srv.SetParent("acme/a", "acme/b")
	a.holds("acme/a", "acme/b")
	a.srv.SetParent("acme/b", "acme/c")
	a.holds("acme/a", "acme/b", "acme/c")
	a.srv.SetParent("acme/a", "")
	a.holds("acme/a")
}

// TestAttackCircleOfTeams cannot be, and must not hang.
func TestAttackCircleOfTeams(t *testing.T) {
	t.Parallel()
	for name, parents := range map[string]map[string]string{
		"own parent": {"acme/a": "acme/a"},
		"two":        {"acme/a": "acme/b", "acme/b": "acme/a"},
		"above":      {"acme/a": "acme/b", "acme/b": "acme/c", "acme/c": "acme/b"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := signedInAs(t, Config{Needs: needTeams}, func(s *testidp.Server) {
				inTeams(s, "acme/a")
				for child, parent := range parents {
					s.SetParent(child, parent)
				}
			})
			if !slices.Contains(a.last.Groups, "acme/a") || len(a.apiCalls()) > 5 {
				t.Errorf("groups %q after %d calls", a.last.Groups, len(a.apiCalls()))
			}
		})
	}
}

// TestTeamsWithoutEnd: every team above has another one above it. What is left out
// is the same every time, and is not taken for lost.
func TestTeamsWithoutEnd(t *testing.T) {
	t.Parallel()
	a := signedInAs(t, Config{Needs: needTeams}, func(s *testidp.Server) {
		inTeams(s, "acme/t-0")
		for i := range 60 {
			s.SetParent(fmt.Sprintf("acme/t-%d", i), fmt.Sprintf("acme/t-%d", i+1))
		}
	})
	// The last lookup names one more.
	if len(a.last.Groups) != maxAncestors+2 || !strings.Contains(a.log.String(), "level=WARN") {
		t.Errorf("%d groups, log %s", len(a.last.Groups), a.log)
	}
	before := a.last
	if _, err := a.check(); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, a.last); diff != "" {
		t.Error(diff)
	}
	if n := len(a.apiCalls()); n > maxAncestors+3 {
		t.Errorf("%d calls", n)
	}
}

// TestTeamsBeyondTheBound: one more team in between pushes the one that the rule
// names out of what is looked up. GitHub is asked about it, so that neither does
// the user lose it nor does mallory keep it who was removed.
func TestTeamsBeyondTheBound(t *testing.T) {
	t.Parallel()
	a := signedInAs(t, Config{Needs: needTeams}, func(s *testidp.Server) {
		inTeams(s, "acme/t-0", "acme/direct")
		for i := range 60 {
			s.SetParent(fmt.Sprintf("acme/t-%d", i), fmt.Sprintf("acme/t-%d", i+1))
		}
	})
	last := fmt.Sprintf("acme/t-%d", maxAncestors+1)
	if !slices.Contains(a.last.Groups, last) {
		t.Fatalf("groups %q", a.last.Groups)
	}
	a.srv.SetParent("acme/t-0", "acme/between")
	a.srv.SetParent("acme/between", "acme/t-1")
	if _, err := a.check(); err != nil || !slices.Contains(a.last.Groups, last) || !slices.Contains(a.last.Groups, "acme/between") || !slices.IsSorted(a.last.Groups) {
		t.Errorf("groups %q, error %v", a.last.Groups, err)
	}
	inTeams(a.srv, "acme/t-0")
	if _, err := a.check(); err != nil || slices.Contains(a.last.Groups, "acme/direct") || !slices.Contains(a.last.Groups, last) {
		t.Errorf("after leaving a team: %q, error %v", a.last.Groups, err)
	}
	path := "/orgs/acme/teams/" + strings.TrimPrefix(last, "acme/") + "/memberships/octocat"
	for _, fault := range []testidp.Fault{testidp.Status(500, "oops"), testidp.JSON(`{}`), testidp.Status(403, "Must be a member")} {
		a.srv.Fail(path, fault)
		if _, err := a.check(); err == nil {
			t.Error("took no answer for one")
		}
	}
	a.srv.Heal()
	a.srv.SetParent("acme/t-1", "") // out of everything above
	a.holds("acme/between", "acme/t-0", "acme/t-1")
}

// TestTeamAboveThatIsHidden: there is a race with somebody who renames or deletes
// it, or GitHub does not show it. Its name is known all the same.
func TestTeamAboveThatIsHidden(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]testidp.Fault{
		"not found":      testidp.Status(404, "Not Found"),
		"forbidden":      testidp.Status(403, "Must be a member"),
		"moved":          testidp.Raw(301, "application/json", `{"message":"Moved Permanently"}`),
		"another team":   testidp.JSON(`{"id":5,"slug":"b","organization":{"login":"acme"},"parent":{"id":6,"slug":"admins"}}`),
		"in another org": testidp.JSON(`{"id":5,"slug":"b","organization":{"login":"evil"},"parent":{"id":6,"slug":"admins"}}`),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := signedInAs(t, Config{Needs: needTeams}, func(s *testidp.Server) {
				inTeams(s, "acme/a")
				s.SetParent("acme/a", "acme/b")
				s.SetParent("acme/b", "acme/c")
			})
			a.holds("acme/a", "acme/b", "acme/c")
			a.srv.Fail("/orgs/acme/teams/b", fault)
			a.holds("acme/a", "acme/b", "acme/c") // GitHub counts the user into c
			a.srv.SetParent("acme/b", "")
			a.holds("acme/a", "acme/b")
			if in := a.signIn(); len(in.Identity.Groups) != 2 || in.Identity.Groups[1] != "acme/b" {
				t.Errorf("groups %q", in.Identity.Groups)
			}
		})
	}
	for name, fault := range map[string]testidp.Fault{
		"500": testidp.Status(500, "oops"), "limit": testidp.SecondaryRateLimit(0), "half": testidp.JSON(`{"id":`),
		"nonsense": testidp.JSON(`{"id":5,"slug":"b/c","organization":{"login":"acme"}}`), "list": testidp.JSON(`[]`),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := signedInAs(t, Config{Needs: needTeams}, func(s *testidp.Server) {
				inTeams(s, "acme/a")
				s.SetParent("acme/a", "acme/b")
			})
			a.srv.Fail("/orgs/acme/teams/b", fault)
			a.refused(upstream.ReasonUnavailable, "/orgs/acme/teams/b")
		})
	}
}

// TestAttackParentElsewhere: the answer about a parent is about another
// organization's team, or about a team with another number. Nobody becomes an
// admin by that.
func TestAttackParentElsewhere(t *testing.T) {
	t.Parallel()
	for answer, want := range map[string][]string{
		`{"id":5,"slug":"b","organization":{"login":"acme"},"parent":{"id":6,"slug":"admins"}}`:  {"acme/a", "acme/admins", "acme/b"},
		`{"id":5,"slug":"b","organization":{"login":"evil"},"parent":{"id":6,"slug":"admins"}}`:  {"acme/a", "acme/b"},
		`{"id":50,"slug":"b","organization":{"login":"acme"},"parent":{"id":6,"slug":"admins"}}`: {"acme/a", "acme/b"},
	} {
		a := signedInAs(t, Config{Needs: needTeams}, func(s *testidp.Server) {
			s.Fail("/user/teams", testidp.JSON(`[{"id":1,"slug":"a","organization":{"login":"acme"},"parent":{"id":5,"slug":"b"}}]`))
			s.Fail("/orgs/acme/teams/b", testidp.JSON(answer))
			s.Fail("/orgs/acme/teams/admins", testidp.JSON(`{"id":6,"slug":"admins","organization":{"login":"acme"},"parent":null}`))
		})
		if diff := cmp.Diff(want, a.last.Groups); diff != "" {
			t.Errorf("%s: %s", answer, diff)
		}
	}
}

// TestEnterpriseTeams are in no organization. That somebody is in one must not keep
// them out.
func TestEnterpriseTeams(t *testing.T) {
	t.Parallel()
	a := signedInAs(t, Config{Needs: needTeams}, func(s *testidp.Server) {
		s.Fail("/user/teams", testidp.JSON(`[{"id":1,"slug":"ent:all","organization":null},{"id":2,"slug":"ops","organization":{"login":"acme"},"parent":null}]`))
	})
	a.holds("acme/ops")
}

// FuzzClimb builds teams above teams from bytes: whatever GitHub says about who is
// above whom, the climb ends within its bound and names only teams that were named
// to it.
func FuzzClimb(f *testing.F) {
	f.Add([]byte{1, 2, 3, 0}, uint8(0))
	f.Add([]byte{0, 0, 0}, uint8(2))
	f.Add([]byte("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"), uint8(9))
	f.Fuzz(func(t *testing.T, parents []byte, hidden uint8) {
		if len(parents) == 0 || len(parents) > 64 {
			return
		}
		all := make([]team, len(parents))
		for i, b := range parents {
			all[i] = team{id: int64(i + 1), org: "acme", slug: fmt.Sprintf("t%d", i)}
			if p := int(b) % (len(parents) + 1); p < len(parents) {
				all[i].parent = &team{id: int64(p + 1), org: "acme", slug: fmt.Sprintf("t%d", p)}
			}
		}
		asked := map[int64]int{}
		c := newClimb(func(t team) (team, error) {
			asked[t.id]++
			if t.id == int64(hidden) {
				return team{}, errHidden
			}
			return all[t.id-1], nil
		})
		if err := c.all(all[:1]); err != nil {
			t.Fatal(err)
		}
		if len(asked) > maxAncestors {
			t.Errorf("%d lookups", len(asked))
		}
		for id, n := range asked {
			if n > 1 {
				t.Errorf("asked %d times about %d", n, id)
			}
		}
		want, cut := map[int64]bool{1: true}, false
		for at := all[0]; at.parent != nil; at = all[at.parent.id-1] {
			if want[at.parent.id] {
				break
			}
			want[at.parent.id] = true
			if at.parent.id == int64(hidden) || len(want) > maxAncestors+1 {
				cut = true
				break
			}
		}
		got := c.groups()
		if len(got) != len(want) || c.cut != cut {
			t.Errorf("groups %q, cut %v; want %v, cut %v", got, c.cut, want, cut)
		}
	})
}

// TestAttackManyDoubts: mallory was removed from a team, and makes sure that it is not
// noticed: their own organization has teams above teams without end, so that not all
// can be looked up, and many of which they leave at once. Nobody is held for what was
// not asked.
func TestAttackManyDoubts(t *testing.T) {
	t.Parallel()
	for _, n := range []int{maxDoubts - 1, maxDoubts, 3 * maxDoubts} {
		// A letter before and one behind that of the team that counts.
		for _, evil := range []string{"abc", "xyz"} {
			t.Run(fmt.Sprint(n, " ", evil), func(t *testing.T) {
				t.Parallel()
				teams := []string{evil + "/t-0"}
				for i := range n {
					teams = append(teams, fmt.Sprintf("%s/own-%d", evil, i))
				}
				a := signedInAs(t, Config{Needs: needTeams}, func(s *testidp.Server) {
					inTeams(s, append(slices.Clone(teams), "acme/ops", "acme/all")...)
					for i := range 30 {
						s.SetParent(fmt.Sprintf("%s/t-%d", evil, i), fmt.Sprintf("%s/t-%d", evil, i+1))
					}
				})
				if !slices.Contains(a.last.Groups, "acme/ops") {
					t.Fatalf("groups %q", a.last.Groups)
				}
				inTeams(a.srv, evil+"/t-0", "acme/all")
				id, err := a.check()
				if err != nil || slices.Contains(id.Groups, "acme/ops") || !slices.Contains(id.Groups, "acme/all") {
					t.Errorf("groups %q, error %v", id.Groups, err)
				}
			})
		}
	}
}
