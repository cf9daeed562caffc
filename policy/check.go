// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxValueLen bounds a value in bytes. Nothing an upstream can send is longer:
// an e-mail address has at most 254, a GitHub name 100.
const maxValueLen = 256

// check says what is wrong with a rule taken alone. Rules reach New from JSON
// and from code as well as from ParseRule, so it assumes nothing.
func (r Rule) check() error {
	if r.Type == TypeAny {
		if r.Value != "" {
			return errors.New("any takes no value; write any alone")
		}
		return nil
	}
	checkValue, known := valueChecks[r.Type]
	switch {
	case known && r.Value == "":
		return fmt.Errorf("%s needs a value: write %s", r.Type, formOf[r.Type])
	case known:
	case r.Type == "*" || strings.EqualFold(r.Type, "all") || strings.EqualFold(r.Type, TypeAny):
		return errors.New("write any to allow everybody who can sign in")
	case r.Value == "":
		return fmt.Errorf("no type of rule; write %s", acceptedForms)
	default:
		return fmt.Errorf("unknown type %q; write %s", r.Type, acceptedForms)
	}
	if err := checkText(r.Value); err != nil {
		return err
	}
	return checkValue(r.Value)
}

var valueChecks = map[string]func(string) error{
	TypeUser:   checkLogin,
	TypeID:     checkID,
	TypeOrg:    checkOrg,
	TypeTeam:   checkTeam,
	TypeEmail:  checkEmail,
	TypeDomain: checkDomain,
	TypeGroup:  func(string) error { return nil },
	TypeLocal:  func(string) error { return nil },
}

var formOf = map[string]string{
	TypeUser:   "user:<login>",
	TypeID:     "id:<number>",
	TypeOrg:    "org:<org>",
	TypeTeam:   "team:<org>/<team>",
	TypeEmail:  "email:<address>",
	TypeDomain: "domain:<domain>",
	TypeGroup:  "group:<group>",
	TypeLocal:  "local:<name>",
}

// checkText refuses what can only be a mistake or an attempt to look like
// something else: control and invisible characters, and blanks at the ends.
func checkText(v string) error {
	if len(v) > maxValueLen {
		return fmt.Errorf("value is longer than %d bytes", maxValueLen)
	}
	if !utf8.ValidString(v) {
		return errors.New("value is not UTF-8")
	}
	if strings.TrimSpace(v) != v {
		return errors.New("value begins or ends with a blank")
	}
	for _, c := range v {
		if c != ' ' && !unicode.IsPrint(c) {
			return fmt.Errorf("value contains the unprintable character %U", c)
		}
	}
	return nil
}

func checkLogin(v string) error {
	if strings.HasPrefix(v, "@") {
		return errors.New("write the login without @")
	}
	if !validGitHubName(v) {
		return fmt.Errorf("%q is not a GitHub login (letters, digits, - and _)", v)
	}
	return nil
}

func checkID(v string) error {
	n, err := strconv.ParseInt(v, 10, 64)
	if err != nil || n <= 0 || strconv.FormatInt(n, 10) != v {
		return fmt.Errorf("%q is not a numeric GitHub user id; https://api.github.com/users/<login> shows it as \"id\"", v)
	}
	return nil
}

func checkOrg(v string) error {
	if strings.Contains(v, "/") {
		return fmt.Errorf("%q names a team; write team:%s", v, v)
	}
	if !validGitHubName(v) {
		return fmt.Errorf("%q is not a GitHub organization name (letters, digits, - and _)", v)
	}
	return nil
}

func checkTeam(v string) error {
	org, team, ok := strings.Cut(v, "/")
	if !ok || org == "" || team == "" {
		return errors.New("a team is named with its organization; write team:<org>/<team>")
	}
	if err := checkOrg(org); err != nil {
		return err
	}
	if !validGitHubName(strings.ReplaceAll(team, ".", "-")) {
		return fmt.Errorf("%q is not a team slug; take it from the end of the team's address, github.com/orgs/%s/teams/<team>", team, org)
	}
	return nil
}

func checkEmail(v string) error {
	if _, ok := emailDomain(v); !ok {
		return fmt.Errorf("%q is not an e-mail address", v)
	}
	return nil
}

func checkDomain(v string) error {
	switch {
	case strings.Contains(v, "@"):
		return errors.New("write the domain without @: domain:example.com")
	case strings.Contains(v, "*"):
		return errors.New("a domain has no wildcard: subdomains are other domains, write one rule for each")
	case strings.ContainsAny(v, "/: ,;") || strings.HasPrefix(v, ".") || strings.HasSuffix(v, ".") || strings.Contains(v, ".."):
		return fmt.Errorf("%q is not a domain; write domain:example.com", v)
	}
	return nil
}

// validGitHubName is about characters, not about GitHub's rules of the day:
// logins of managed users contain _, old names end in -.
func validGitHubName(s string) bool {
	if s == "" || len(s) > 100 {
		return false
	}
	for i := range len(s) {
		if c := s[i]; !isASCIIAlnum(c) && c != '-' && c != '_' {
			return false
		}
	}
	return true
}

// validUpstreamName accepts what fits a path segment unescaped, because the
// name is the last segment of the upstream's callback path.
func validUpstreamName(s string) bool {
	if s == "" || len(s) > 100 || s[0] == '.' {
		return false
	}
	for i := range len(s) {
		if c := s[i]; !isASCIIAlnum(c) && c != '-' && c != '_' && c != '.' {
			return false
		}
	}
	return true
}

func isASCIIAlnum(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}
