// SPDX-License-Identifier: Apache-2.0

package github

import (
	"encoding/json"
	"strings"
)

// enterprisePrefix begins the slugs of teams of an enterprise. They are in no
// organization, and no rule can name them.
const enterprisePrefix = "ent:"

// team is a team, or the parent of one. Names are lower case.
type team struct {
	id     int64
	org    string
	slug   string
	parent *team // has no parent of its own: GitHub says only who is next
}

func (t team) group() string { return t.org + "/" + t.slug }

func (t team) size() int {
	n := 64 + len(t.org) + len(t.slug)
	if t.parent != nil {
		n += 64 + len(t.parent.slug)
	}
	return n
}

// teamPage is one page of the teams that somebody was put into.
type teamPage struct {
	teams []team
	total int
}

func (p teamPage) entries() int { return p.total }

func (p teamPage) size() int {
	n := 0
	for _, t := range p.teams {
		n += t.size()
	}
	return n
}

// teamJSON is a team as the API writes it.
type teamJSON struct {
	ID           int64  `json:"id"`
	Slug         string `json:"slug"`
	Organization *struct {
		Login string `json:"login"`
	} `json:"organization"`
	Parent *struct {
		ID   int64  `json:"id"`
		Slug string `json:"slug"`
	} `json:"parent"`
}

func (j teamJSON) team() (team, error) {
	if j.Organization == nil || !isName(j.Organization.Login) {
		return team{}, errBadLogin
	}
	if j.ID <= 0 || !isName(j.Slug) {
		return team{}, errBadTeam
	}
	t := team{id: j.ID, org: lowerASCII(j.Organization.Login), slug: lowerASCII(j.Slug)}
	if p := j.Parent; p != nil {
		if p.ID <= 0 || !isName(p.Slug) {
			return team{}, errBadTeam
		}
		t.parent = &team{id: p.ID, org: t.org, slug: lowerASCII(p.Slug)}
	}
	return t, nil
}

func decodeTeams(body []byte) (teamPage, error) {
	var list []teamJSON
	if err := decodeList(body, &list); err != nil {
		return teamPage{}, err
	}
	p := teamPage{total: len(list)}
	for _, j := range list {
		if strings.HasPrefix(j.Slug, enterprisePrefix) {
			continue
		}
		t, err := j.team()
		if err != nil {
			return teamPage{}, err
		}
		p.teams = append(p.teams, t)
	}
	return p, nil
}

func decodeTeam(body []byte) (team, error) {
	var j teamJSON
	if json.Unmarshal(body, &j) != nil {
		return team{}, errNotJSON
	}
	return j.team()
}
