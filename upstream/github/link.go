// SPDX-License-Identifier: Apache-2.0

package github

import (
	"errors"
	"net/url"
	"strings"
)

// maxLink bounds all Link headers of one answer, in bytes.
const maxLink = 8 << 10

var errBadLink = errors.New("malformed Link header")

// nextPage finds the rel="next" target in Link headers (RFC 8288 §3), resolved
// against the page it came with. It is an error for the target to be on another
// origin, because the token would go with the request.
func nextPage(page *url.URL, headers []string) (next *url.URL, more bool, err error) {
	target, ok, err := findNext(strings.Join(headers, ","))
	if err != nil || !ok {
		return nil, false, err
	}
	ref, err := url.Parse(target)
	if err != nil {
		return nil, false, errBadLink
	}
	next = page.ResolveReference(ref)
	if next.Scheme != page.Scheme || !strings.EqualFold(next.Host, page.Host) || next.User != nil || next.Opaque != "" {
		return nil, false, errors.New("next page is not on the API's origin")
	}
	next.Fragment, next.RawFragment = "", ""
	return next, true, nil
}

// findNext returns the target of the first link that has the relation "next".
func findNext(s string) (target string, found bool, err error) {
	if len(s) > maxLink {
		return "", false, errBadLink
	}
	for {
		s = strings.TrimLeft(s, " \t,")
		if s == "" {
			return "", false, nil
		}
		if s[0] != '<' {
			return "", false, errBadLink
		}
		end := strings.IndexByte(s, '>')
		if end < 0 {
			return "", false, errBadLink
		}
		target, s = s[1:end], s[end+1:]
		var isNext bool
		if isNext, s, err = linkParams(s); err != nil {
			return "", false, err
		}
		if isNext {
			return target, true, nil
		}
	}
}

// linkParams reads the parameters of one link up to the comma or the end. RFC
// 8288 §3.3: only the first rel counts, and it is a list of relations.
func linkParams(s string) (isNext bool, rest string, err error) {
	seenRel := false
	for {
		s = strings.TrimLeft(s, " \t")
		if s == "" || s[0] == ',' {
			return isNext, s, nil
		}
		if s[0] != ';' {
			return false, "", errBadLink
		}
		var name, value string
		if name, value, s, err = linkParam(s[1:]); err != nil {
			return false, "", err
		}
		if strings.EqualFold(name, "rel") && !seenRel {
			seenRel = true
			for relation := range strings.FieldsSeq(value) {
				isNext = isNext || strings.EqualFold(relation, "next")
			}
		}
	}
}

// linkParam reads name, name=token or name="quoted".
func linkParam(s string) (name, value, rest string, err error) {
	s = strings.TrimLeft(s, " \t")
	end := strings.IndexAny(s, "=;, \t\"<>")
	if end < 0 {
		return s, "", "", nil
	}
	name, s = s[:end], strings.TrimLeft(s[end:], " \t")
	if s == "" || s[0] != '=' {
		return name, "", s, nil
	}
	s = strings.TrimLeft(s[1:], " \t")
	if s == "" || s[0] != '"' {
		end := strings.IndexAny(s, ";, \t\"<>")
		if end < 0 {
			end = len(s)
		}
		return name, s[:end], s[end:], nil
	}
	value, rest, ok := quotedString(s[1:])
	if !ok {
		return "", "", "", errBadLink
	}
	return name, value, rest, nil
}

// quotedString reads what follows an opening quote (RFC 9110 §5.6.4).
func quotedString(s string) (value, rest string, ok bool) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '"':
			return b.String(), s[i+1:], true
		case '\\':
			if i++; i == len(s) {
				return "", "", false
			}
			b.WriteByte(s[i])
		default:
			b.WriteByte(s[i])
		}
	}
	return "", "", false
}
