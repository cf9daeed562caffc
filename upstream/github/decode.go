// SPDX-License-Identifier: Apache-2.0

package github

import (
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxName bounds a display name in bytes.
const maxName = 256

// userFacts is what /user says.
type userFacts struct {
	id    string // decimal, above zero
	login string
	name  string // may be empty
}

// The decoders' errors never quote the input: they end up in logs.
var (
	errNotJSON  = errors.New("answer is not the JSON that was expected")
	errNoUserID = errors.New("answer has no numeric user id")
	errBadLogin = errors.New("answer has a login that is missing or none")
	errBadSlug  = errors.New("answer has a team without a usable slug")
)

func decodeUser(body []byte) (userFacts, error) {
	var u struct {
		ID    *int64  `json:"id"`
		Login string  `json:"login"`
		Name  *string `json:"name"`
	}
	if json.Unmarshal(body, &u) != nil {
		return userFacts{}, errNotJSON
	}
	if u.ID == nil || *u.ID <= 0 {
		return userFacts{}, errNoUserID
	}
	if !isName(u.Login) {
		return userFacts{}, errBadLogin
	}
	facts := userFacts{id: strconv.FormatInt(*u.ID, 10), login: u.Login}
	if u.Name != nil {
		facts.name = displayName(*u.Name)
	}
	return facts, nil
}

// decodePrimaryEmail returns the primary, verified address of one page. Two of
// them contradict each other, and neither counts.
func decodePrimaryEmail(body []byte) (string, error) {
	var emails []struct {
		Email    *string `json:"email"`
		Primary  bool    `json:"primary"`
		Verified bool    `json:"verified"`
	}
	if err := decodeList(body, &emails); err != nil {
		return "", err
	}
	found, count := "", 0
	for _, e := range emails {
		if e.Primary && e.Verified && e.Email != nil && isAddress(*e.Email) {
			found = *e.Email
			count++
		}
	}
	if count != 1 {
		return "", nil
	}
	return found, nil
}

func decodeOrgs(body []byte) ([]string, error) {
	var orgs []struct {
		Login string `json:"login"`
	}
	if err := decodeList(body, &orgs); err != nil {
		return nil, err
	}
	names := make([]string, 0, len(orgs))
	for _, o := range orgs {
		if !isName(o.Login) {
			return nil, errBadLogin
		}
		names = append(names, lowerASCII(o.Login))
	}
	return names, nil
}

func decodeTeams(body []byte) ([]string, error) {
	var teams []struct {
		Slug         string `json:"slug"`
		Organization *struct {
			Login string `json:"login"`
		} `json:"organization"`
	}
	if err := decodeList(body, &teams); err != nil {
		return nil, err
	}
	names := make([]string, 0, len(teams))
	for _, t := range teams {
		if t.Organization == nil || !isName(t.Organization.Login) {
			return nil, errBadLogin
		}
		if !isName(t.Slug) {
			return nil, errBadSlug
		}
		names = append(names, lowerASCII(t.Organization.Login+"/"+t.Slug))
	}
	return names, nil
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

// isName accepts what can be a login or slug of any GitHub: visible ASCII. A
// slash would let an organization pass for a team, a comma for two groups in
// the header the backend reads.
func isName(s string) bool {
	if s == "" || len(s) > 100 {
		return false
	}
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c > '~' || strings.IndexByte(`/,:;"\<>@`, c) >= 0 {
			return false
		}
	}
	return true
}

func isAddress(s string) bool {
	at := strings.LastIndexByte(s, '@')
	if at <= 0 || at == len(s)-1 || len(s) > 254 || !utf8.ValidString(s) {
		return false
	}
	return !strings.ContainsFunc(s, func(c rune) bool { return c == ' ' || !unicode.IsPrint(c) })
}

// displayName keeps what can be shown: people put anything into it.
func displayName(s string) string {
	s = strings.Map(func(c rune) rune {
		if c == utf8.RuneError || c != ' ' && !unicode.IsPrint(c) {
			return -1
		}
		return c
	}, s)
	for len(s) > maxName {
		_, size := utf8.DecodeLastRuneInString(s)
		s = s[:len(s)-size]
	}
	return strings.TrimSpace(s)
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
