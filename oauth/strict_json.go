// SPDX-License-Identifier: Apache-2.0

package oauth

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"unicode/utf8"
)

const maxJSONDepth = 16

// Reasons strictObject gives. They are for the client and name no data.
var (
	errJSONSyntax    = errors.New("is not a JSON object")
	errJSONEncoding  = errors.New("is not UTF-8")
	errJSONDuplicate = errors.New("names a member twice")
	errJSONDepth     = errors.New("is nested too deeply")
)

// strictObject returns the members of a JSON object, undecoded. encoding/json
// reads more than one meaning into a document where it can: the last of two
// equal names wins, names match without regard to case, bad UTF-8 is replaced,
// and what follows the value is left unread. Here each of these is an error or,
// as for case, left to a caller that sees the names as written.
func strictObject(body []byte) (map[string]json.RawMessage, error) {
	if !utf8.Valid(body) {
		return nil, errJSONEncoding
	}
	dec := json.NewDecoder(bytes.NewReader(body))
	if err := checkValue(dec, 0); err != nil {
		return nil, err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, errJSONSyntax
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(body, &members); err != nil || members == nil {
		return nil, errJSONSyntax
	}
	return members, nil
}

// checkValue reads one value and refuses repeated names anywhere in it.
func checkValue(dec *json.Decoder, depth int) error {
	token, err := dec.Token()
	if err != nil {
		return errJSONSyntax
	}
	delim, nested := token.(json.Delim)
	if !nested {
		return nil
	}
	if depth == maxJSONDepth {
		return errJSONDepth
	}
	seen := make(map[string]bool)
	for dec.More() {
		if delim == '{' {
			name, err := dec.Token()
			if err != nil {
				return errJSONSyntax
			}
			key, _ := name.(string)
			if seen[key] {
				return errJSONDuplicate
			}
			seen[key] = true
		}
		if err := checkValue(dec, depth+1); err != nil {
			return err
		}
	}
	if _, err := dec.Token(); err != nil {
		return errJSONSyntax
	}
	return nil
}
