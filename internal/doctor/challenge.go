// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// challenge is one challenge of a WWW-Authenticate header (RFC 9110 §11.6.1).
type challenge struct {
	// scheme and the names of params are in lower case.
	scheme string
	params map[string]string
	// quoted says of which params the value was a quoted-string.
	quoted map[string]bool
}

var (
	errChallenge = errors.New("not a list of challenges")
	// errUnterminated is the case of errChallenge that every parser stumbles over.
	errUnterminated = fmt.Errorf("%w: a quoted string does not end", errChallenge)
)

// parseChallenges reads the header as RFC 9110 defines it.
func parseChallenges(values []string) ([]challenge, error) {
	var list []challenge
	for _, v := range values {
		s := &scanner{rest: v}
		for {
			s.skip(" \t,")
			if s.rest == "" {
				break
			}
			c, err := s.challenge()
			if err != nil {
				return nil, err
			}
			list = append(list, c)
		}
	}
	return list, nil
}

// scanner consumes a header from the left.
type scanner struct{ rest string }

func (s *scanner) skip(chars string) { s.rest = strings.TrimLeft(s.rest, chars) }

func (s *scanner) token() string {
	end := strings.IndexFunc(s.rest, func(c rune) bool { return !tokenChar(c) })
	if end < 0 {
		end = len(s.rest)
	}
	tok := s.rest[:end]
	s.rest = s.rest[end:]
	return tok
}

func tokenChar(c rune) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || strings.ContainsRune("!#$%&'*+-.^_`|~", c)
}

// challenge reads a scheme and what belongs to it: up to the end, or to a comma
// that no parameter follows.
func (s *scanner) challenge() (challenge, error) {
	c := challenge{scheme: strings.ToLower(s.token()), params: map[string]string{}, quoted: map[string]bool{}}
	if c.scheme == "" {
		return c, errChallenge
	}
	if s.rest != "" && s.rest[0] != ' ' && s.rest[0] != ',' && s.rest[0] != '\t' {
		return c, errChallenge
	}
	if s.token68() {
		return c, nil
	}
	for {
		before := s.rest
		s.skip(" \t,")
		name := strings.ToLower(s.token())
		s.skip(" \t")
		if name == "" && s.rest == "" {
			return c, nil
		}
		if name == "" || !strings.HasPrefix(s.rest, "=") {
			if !strings.Contains(before[:len(before)-len(strings.TrimLeft(before, " \t,"))], ",") {
				return c, errChallenge // neither a parameter nor, without a comma, the next challenge
			}
			s.rest = before
			return c, nil
		}
		s.rest = s.rest[1:]
		s.skip(" \t")
		if err := s.value(&c, name); err != nil {
			return c, err
		}
	}
}

// token68 consumes the old form, as of "Basic YTpi": one word with nothing but
// padding behind it.
func (s *scanner) token68() bool {
	word := strings.TrimLeft(s.rest, " ")
	end := strings.IndexAny(word, ", \t\"")
	if end < 0 {
		end = len(word)
	}
	bare := strings.TrimRight(word[:end], "=")
	if bare == "" || strings.Contains(bare, "=") || len(bare) == end && strings.TrimSpace(word[end:]) != "" && word[end] != ',' {
		return false
	}
	if after := strings.TrimLeft(word[end:], " \t"); after != "" && after[0] != ',' {
		return false
	}
	s.rest = word[end:]
	return true
}

// value reads a token or a quoted-string. Of repeated parameters the first counts.
func (s *scanner) value(c *challenge, name string) error {
	if !strings.HasPrefix(s.rest, `"`) {
		end := strings.IndexAny(s.rest, ", \t\"")
		if end < 0 {
			end = len(s.rest)
		}
		if end == 0 {
			return errChallenge
		}
		c.set(name, s.rest[:end], false)
		s.rest = s.rest[end:]
		return nil
	}
	var b strings.Builder
	for i := 1; i < len(s.rest); i++ {
		switch s.rest[i] {
		case '\\':
			if i++; i == len(s.rest) {
				return errUnterminated
			}
			b.WriteByte(s.rest[i])
		case '"':
			s.rest = s.rest[i+1:]
			c.set(name, b.String(), true)
			return nil
		default:
			b.WriteByte(s.rest[i])
		}
	}
	return errUnterminated
}

func (c *challenge) set(name, value string, quoted bool) {
	if _, seen := c.params[name]; !seen {
		c.params[name], c.quoted[name] = value, quoted
	}
}

// bearer is the first Bearer challenge.
func bearer(list []challenge) (challenge, bool) {
	for _, c := range list {
		if c.scheme == "bearer" {
			return c, true
		}
	}
	return challenge{}, false
}

// The other ways in which clients read resource_metadata.
var (
	firstField  = regexp.MustCompile(`resource_metadata=(?:"([^"]+)"|([^\s,]+))`)
	quotedField = regexp.MustCompile(`resource_metadata="([^"]+)"`)
)

// firstWordReading is that of the TypeScript SDKs: the joined header must begin
// with the scheme, then the first match anywhere counts.
func firstWordReading(values []string) string {
	joined := strings.Join(values, ", ")
	scheme, rest, _ := strings.Cut(joined, " ")
	if !strings.EqualFold(scheme, "bearer") || rest == "" || rest[0] == ' ' {
		return ""
	}
	m := firstField.FindStringSubmatch(joined)
	if m == nil {
		return ""
	}
	return m[1] + m[2]
}

// quotedReading is that of Gemini CLI: the first match in quotes.
func quotedReading(values []string) string {
	if m := quotedField.FindStringSubmatch(strings.Join(values, ", ")); m != nil {
		return m[1]
	}
	return ""
}

// parsedReading is that of clients with a parser of their own.
func parsedReading(values []string) string {
	list, err := parseChallenges(values)
	if err != nil {
		return ""
	}
	for _, c := range list {
		if u := c.params["resource_metadata"]; u != "" {
			return u
		}
	}
	return ""
}
