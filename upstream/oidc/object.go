// SPDX-License-Identifier: Apache-2.0

package oidc

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"
)

// maxMembers bounds the members of an object, maxAudiences the entries of an aud.
const (
	maxMembers   = 1000
	maxAudiences = 50
)

// object is a JSON object whose members are read by their exact names. Package
// encoding/json takes "SUB" for "sub" and the last of several: whoever can get a
// member of their own into a provider's claims could replace another.
type object map[string]json.RawMessage

// The errors never quote the input: they end up in logs.
var (
	errNotObject = errors.New("not a JSON object")
	errTwice     = errors.New("JSON object with a member twice")
	errMembers   = errors.New("JSON object with too many members")
)

func parseObject(raw []byte) (object, error) {
	if !utf8.Valid(raw) { // json would replace what it cannot read, and make equal what is not
		return nil, errNotObject
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	if begin, err := dec.Token(); err != nil || begin != json.Delim('{') {
		return nil, errNotObject
	}
	o := object{}
	for dec.More() {
		if err := o.readMember(dec); err != nil {
			return nil, err
		}
	}
	if _, err := dec.Token(); err != nil { // the closing brace
		return nil, errNotObject
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, errNotObject
	}
	return o, nil
}

func (o object) readMember(dec *json.Decoder) error {
	t, err := dec.Token()
	name, ok := t.(string)
	if err != nil || !ok {
		return errNotObject
	}
	var value json.RawMessage
	if err := dec.Decode(&value); err != nil {
		return errNotObject
	}
	if _, twice := o[name]; twice {
		return errTwice
	}
	if len(o) == maxMembers {
		return errMembers
	}
	o[name] = value
	return nil
}

// has reports a member that is not null.
func (o object) has(name string) bool {
	raw, ok := o[name]
	return ok && string(raw) != "null"
}

// text returns a member that is a string, not ok if it is missing or none.
func (o object) text(name string) (string, bool) { return asText(o[name]) }

func asText(raw json.RawMessage) (s string, ok bool) {
	if len(raw) == 0 || raw[0] != '"' || json.Unmarshal(raw, &s) != nil {
		return "", false
	}
	return s, true
}

// isTrue reports the literal true, and not the words or numbers that some send.
func (o object) isTrue(name string) bool { return string(o[name]) == "true" }

// texts returns a member that is a string or an array of strings.
func (o object) texts(name string, most int) ([]string, bool) {
	if s, ok := o.text(name); ok {
		return []string{s}, true
	}
	var raws []json.RawMessage
	if json.Unmarshal(o[name], &raws) != nil || raws == nil || len(raws) > most {
		return nil, false
	}
	list := make([]string, 0, len(raws))
	for _, raw := range raws {
		s, ok := asText(raw)
		if !ok {
			return nil, false
		}
		list = append(list, s)
	}
	return list, true
}

// list is texts of a member that may be missing, for metadata: what is no list of
// strings is none.
func (o object) list(name string) []string {
	all, ok := o.texts(name, maxMembers)
	if !ok {
		return nil
	}
	return slices.Clip(all)
}

// time returns a member that is a NumericDate (RFC 7519 §2).
func (o object) time(name string) (time.Time, bool) {
	raw := string(o[name])
	if raw == "" || raw[0] < '0' || raw[0] > '9' {
		return time.Time{}, false
	}
	seconds, err := strconv.ParseFloat(raw, 64)
	if err != nil || seconds > 1<<40 {
		return time.Time{}, false
	}
	return time.Unix(int64(seconds), 0), true
}
