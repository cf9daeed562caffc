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

func (u userFacts) size() int { return len(u.id) + len(u.login) + len(u.name) }

// The decoders' errors never quote the input: they end up in logs.
var (
	errNotJSON  = errors.New("answer is not the JSON that was expected")
	errNoUserID = errors.New("answer has no numeric user id")
	errBadLogin = errors.New("answer has a login that is missing or none")
	errBadTeam  = errors.New("answer has a team without a usable id or slug")
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
