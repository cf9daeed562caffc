// SPDX-License-Identifier: Apache-2.0

package github

import (
	"encoding/json"
	"strings"
)

// emailPage is one page of addresses.
type emailPage struct {
	primary string // primary and verified; may be empty
	total   int
}

func (p emailPage) size() int    { return len(p.primary) }
func (p emailPage) entries() int { return p.total }

// decodeEmails finds the primary, verified address of one page. Two of them
// contradict each other, and neither counts.
func decodeEmails(body []byte) (emailPage, error) {
	var emails []struct {
		Email    *string `json:"email"`
		Primary  bool    `json:"primary"`
		Verified bool    `json:"verified"`
	}
	if err := decodeList(body, &emails); err != nil {
		return emailPage{}, err
	}
	p, count := emailPage{total: len(emails)}, 0
	for _, e := range emails {
		if e.Primary && e.Verified && e.Email != nil && isAddress(*e.Email) {
			p.primary = *e.Email
			count++
		}
	}
	if count != 1 {
		p.primary = ""
	}
	return p, nil
}

// orgPage is one page of organizations somebody is a member of.
type orgPage struct {
	logins []string // lower case
	total  int
}

func (p orgPage) size() int    { return sizeOf(p.logins) }
func (p orgPage) entries() int { return p.total }

// membership is one of /user/memberships/orgs.
type membership struct {
	State        string `json:"state"`
	Role         string `json:"role"`
	Organization *struct {
		Login string `json:"login"`
	} `json:"organization"`
}

// counts is whether the user is in the organization: not merely invited, and not
// somebody who pays its bills without being in it (role billing_manager).
func (m membership) counts() bool {
	return m.State == "active" && (m.Role == "member" || m.Role == "admin")
}

func decodeMemberships(body []byte) (orgPage, error) {
	var list []membership
	if err := decodeList(body, &list); err != nil {
		return orgPage{}, err
	}
	p := orgPage{total: len(list)}
	for _, m := range list {
		if m.Organization == nil || !isName(m.Organization.Login) {
			return orgPage{}, errBadLogin
		}
		if m.counts() {
			p.logins = append(p.logins, lowerASCII(m.Organization.Login))
		}
	}
	return p, nil
}

// membershipState is what one membership of the user's own says.
type membershipState bool

func (membershipState) size() int { return 0 }

func decodeMembership(body []byte) (membershipState, error) {
	var m membership
	if json.Unmarshal(body, &m) != nil || m.State == "" {
		return false, errNotJSON
	}
	return membershipState(m.counts()), nil
}

// decodeTeamMembership is of somebody in a team or in one below it.
func decodeTeamMembership(body []byte) (membershipState, error) {
	var m membership
	if json.Unmarshal(body, &m) != nil || m.State == "" {
		return false, errNotJSON
	}
	return m.State == "active", nil
}

// orgID is an organization's number, which no other ever gets.
type orgID int64

func (orgID) size() int { return 0 }

func decodeOrgID(body []byte) (orgID, error) {
	var o struct {
		ID int64 `json:"id"`
	}
	if json.Unmarshal(body, &o) != nil || o.ID <= 0 {
		return 0, errNotJSON
	}
	return orgID(o.ID), nil
}

// decodeList wants an array: null and an object with a message are not empty
// lists, and a null in a list is not an entry.
func decodeList[T any](body []byte, into *[]T) error {
	var entries []json.RawMessage
	if json.Unmarshal(body, &entries) != nil || entries == nil {
		return errNotJSON
	}
	*into = make([]T, len(entries))
	for i, raw := range entries {
		if string(raw) == "null" || json.Unmarshal(raw, &(*into)[i]) != nil {
			return errNotJSON
		}
	}
	return nil
}

func sizeOf(list []string) int {
	n := 0
	for _, s := range list {
		n += 16 + len(s)
	}
	return n
}

// isName accepts what can be a login or slug of any GitHub: visible ASCII. A
// slash would let an organization pass for a team, a comma for two groups in
// the header the backend reads, dots for a path of the API.
func isName(s string) bool {
	if s == "" || len(s) > 100 || strings.Trim(s, ".") == "" {
		return false
	}
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c > '~' || strings.IndexByte(`/,:;"\<>@`, c) >= 0 {
			return false
		}
	}
	return true
}

// lowerASCII leaves other letters alone: the Kelvin sign would become a k.
func lowerASCII(s string) string {
	return strings.Map(func(c rune) rune {
		if c >= 'A' && c <= 'Z' {
			return c + ('a' - 'A')
		}
		return c
	}, s)
}
