// SPDX-License-Identifier: Apache-2.0

package storage

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
)

// ErrFormat: the bytes are not a record this version can read, because they are
// damaged or because a newer version wrote them.
var ErrFormat = errors.New("storage: unreadable record")

// recordVersion is the first byte of every record at rest. It changes only when
// old readers would misunderstand the rest; a new field does not change it.
const recordVersion = 1

// Record is what the codec writes.
type Record interface {
	Client | Pending | Account | Grant | Session | Consent | Once | Key
}

// Encode returns the form of a new record at rest: the version byte, then JSON.
func Encode[R Record](rec *R) ([]byte, error) {
	body, err := marshal(rec)
	if err != nil {
		return nil, err
	}
	return append([]byte{recordVersion}, body...), nil
}

// Form is how a record lay in a store when it was read, and shares the memory of what
// was decoded. The zero Form is that of no record.
type Form[R Record] struct {
	body []byte
	// strange: there may be fields this version does not know.
	strange bool
}

// Decode reads what Encode or Rewrite wrote; the error is ErrFormat. The record
// shares no memory with data.
func Decode[R Record](data []byte) (*R, Form[R], error) {
	body, err := payload(data)
	if err != nil {
		return nil, Form[R]{}, err
	}
	rec, known := decodeKnown[R](body)
	if !known {
		rec = new(R)
		if err := json.Unmarshal(body, rec); err != nil {
			return nil, Form[R]{}, fmt.Errorf("%w: %w", ErrFormat, withoutValue(err))
		}
	}
	return rewriteStrings(rec, unescape), Form[R]{body: body, strange: !known}, nil
}

// decodeKnown reads a record of which every field is known, which is every record
// that no newer version wrote. To find that out by itself takes four times as long.
func decodeKnown[R Record](body []byte) (*R, bool) {
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	rec := new(R)
	err := d.Decode(rec)
	return rec, err == nil && d.InputOffset() == int64(len(body))
}

// Rewrite returns the form at rest of rec, which replaces the record of this form.
// Fields of that one that this version does not know are kept, so that going back
// one version and forth again loses nothing. That holds for a record and for the
// objects in it; list elements have no identity to match them by and are written
// anew.
func (f Form[R]) Rewrite(rec *R) ([]byte, error) {
	if !f.strange {
		return Encode(rec)
	}
	body, err := marshal(rec)
	if err != nil {
		return nil, err
	}
	if body, err = keepUnknown(f.body, body, recordType[R]()); err != nil {
		return nil, err
	}
	return append([]byte{recordVersion}, body...), nil
}

func marshal[R Record](rec *R) ([]byte, error) {
	body, err := json.Marshal(rewriteStrings(rec, escape))
	if err != nil {
		return nil, fmt.Errorf("storage: encode record: %w", err)
	}
	return body, nil
}

func payload(data []byte) ([]byte, error) {
	if len(data) == 0 {
		return nil, fmt.Errorf("%w: empty", ErrFormat)
	}
	if data[0] != recordVersion {
		return nil, fmt.Errorf("%w: format %d, this version reads %d", ErrFormat, data[0], recordVersion)
	}
	return data[1:], nil
}

// withoutValue keeps an error from quoting the record.
func withoutValue(err error) error {
	var typed *json.UnmarshalTypeError
	if errors.As(err, &typed) {
		return fmt.Errorf("field %s has the wrong type", typed.Field)
	}
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		return fmt.Errorf("syntax error at byte %d", syntax.Offset)
	}
	return errors.New("a field has an impossible value")
}
