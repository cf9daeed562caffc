// SPDX-License-Identifier: Apache-2.0

// Package options reads the options of the modules from a Caddyfile and resolves the
// placeholders in them.
//
// The two happen at different times. A Caddyfile is read while it is adapted, maybe on
// another machine: the readers of a Set take down what is written, placeholders
// included, and look at nothing else. Expand resolves placeholders when the
// configuration is provisioned, into fields that neither the admin API nor a trace
// shows.
//
// No error repeats a value that may be a secret.
package options

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// Reader reads one subdirective. The dispenser holds only its tokens and stands on its
// name. Errors need no file and line, and what a Reader leaves over is refused.
type Reader func(d *caddyfile.Dispenser) error

// Set maps the names of subdirectives to their readers.
type Set map[string]Reader

// Read reads the block of a directive whose arguments were consumed. It goes on after a
// mistake, so that all of them are reported together, each with file and line.
func Read(d *caddyfile.Dispenser, directive string, known Set) error {
	var errs []error
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		errs = append(errs, ReadOne(d.NextSegment(), directive, known))
	}
	return errors.Join(errs...)
}

// ReadOne reads one subdirective, for blocks that hold others' subdirectives too.
func ReadOne(segment caddyfile.Segment, directive string, known Set) error {
	d := caddyfile.NewDispenser(segment)
	d.Next()
	name := d.Val()
	read, ok := known[name]
	if !ok {
		return d.Errf("%s: unknown subdirective %q; known are %s", directive, name,
			strings.Join(slices.Sorted(maps.Keys(known)), ", "))
	}
	if err := read(d); err != nil {
		return located(d, err)
	}
	if d.NextArg() {
		// It is not repeated: it may be the rest of a secret without quotes.
		return d.Errf("%s: there is an argument too many; a value with spaces needs quotes", name)
	}
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		return d.Errf("%s takes no block", name)
	}
	return nil
}

// located adds file and line to each of the joined errors that has none yet, as those of
// a block in the block do.
func located(d *caddyfile.Dispenser, err error) error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		var errs []error
		for _, e := range joined.Unwrap() {
			errs = append(errs, located(d, e))
		}
		return errors.Join(errs...)
	}
	if strings.Contains(err.Error(), fmt.Sprintf(", at %s:", d.File())) {
		return err
	}
	return d.WrapErr(err)
}
