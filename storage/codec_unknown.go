// SPDX-License-Identifier: Apache-2.0

package storage

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"time"
	"unicode"
)

func recordType[R Record]() reflect.Type { return reflect.TypeFor[R]() }

// keepUnknown adds to the JSON object fresh, a value of type t, the members of
// the object old that t has no field for.
func keepUnknown(old, fresh []byte, t reflect.Type) ([]byte, error) {
	fields, isObject := structFields(t)
	if !isObject {
		return fresh, nil
	}
	var before, after map[string]json.RawMessage
	if err := json.Unmarshal(old, &before); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFormat, withoutValue(err))
	}
	if err := json.Unmarshal(fresh, &after); err != nil {
		return nil, fmt.Errorf("storage: encode record: %w", err)
	}
	changed := false
	for name, value := range before {
		kept := value
		if field, known := fields[foldName(name)]; known {
			now, present := after[name]
			if !present {
				continue
			}
			merged, err := keepUnknown(value, now, field)
			if err != nil {
				return nil, err
			}
			if len(merged) == len(now) {
				continue // members are only ever added
			}
			kept = merged
		}
		after[name] = kept
		changed = true
	}
	if !changed {
		return fresh, nil
	}
	merged, err := json.Marshal(after)
	if err != nil {
		return nil, fmt.Errorf("storage: encode record: %w", err)
	}
	return merged, nil
}

// structFields returns the JSON members of a struct that is written as an
// object, by folded name because encoding/json ignores case. It is false
// for everything else; a time is written as a string.
func structFields(t reflect.Type) (map[string]reflect.Type, bool) {
	if t.Kind() != reflect.Struct || t == reflect.TypeFor[time.Time]() {
		return nil, false
	}
	fields := make(map[string]reflect.Type, t.NumField())
	for i := range t.NumField() {
		f := t.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "" {
			name = f.Name
		}
		fields[foldName(name)] = f.Type
	}
	return fields, true
}

// foldName makes names the same that encoding/json takes for the same: it goes by the
// simple folding of Unicode, in which ſ is an s.
func foldName(name string) string {
	return strings.Map(func(r rune) rune {
		for {
			next := unicode.SimpleFold(r)
			if next <= r {
				return next // the smallest of them all
			}
			r = next
		}
	}, name)
}
