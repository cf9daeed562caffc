// SPDX-License-Identifier: Apache-2.0

package caddymodule

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// option reads one subdirective. The dispenser holds only its tokens and stands
// on its name. Errors need no file and line, parseOptions adds them.
type option func(d *caddyfile.Dispenser) error

// optionSet maps the names of subdirectives to their readers.
type optionSet map[string]option

// parseOptions reads the block of a directive whose arguments were consumed. It
// goes on after a mistake, so that all of them are reported together.
func parseOptions(d *caddyfile.Dispenser, directive string, known optionSet) error {
	var errs []error
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		segment := d.NextSegment()
		errs = append(errs, parseOption(segment, directive, known))
	}
	return errors.Join(errs...)
}

func parseOption(segment caddyfile.Segment, directive string, known optionSet) error {
	d := caddyfile.NewDispenser(segment)
	d.Next()
	name := d.Val()
	read, ok := known[name]
	if !ok {
		return d.WrapErr(unknownOption(directive, name, known))
	}
	if err := read(d); err != nil {
		return located(d, err)
	}
	if d.NextArg() {
		return d.Errf("%s: unexpected %q", name, d.Val())
	}
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		return d.Errf("%s takes no block", name)
	}
	return nil
}

// located adds file and line to each of the joined errors that has none yet.
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

func unknownOption(directive, name string, known optionSet) error {
	return fmt.Errorf("%s: unknown subdirective %q; known are %s", directive, name,
		strings.Join(slices.Sorted(maps.Keys(known)), ", "))
}

// single reads an option with exactly one argument that may be given once.
func single(target *string) option {
	return func(d *caddyfile.Dispenser) error {
		name := d.Val()
		if *target != "" {
			return fmt.Errorf("%s is given twice", name)
		}
		if !d.NextArg() || d.Val() == "" {
			return fmt.Errorf("%s: the value is missing", name)
		}
		*target = d.Val()
		return nil
	}
}

// secret is single, but never repeats a value in an error.
func secret(target *string) option {
	return func(d *caddyfile.Dispenser) error {
		name := d.Val()
		if d.CountRemainingArgs() > 1 {
			return fmt.Errorf("%s takes one value, several are given", name)
		}
		return single(target)(d)
	}
}

// list reads an option with one or more arguments; a further line adds to it.
func list(target *[]string, check func(string) error) option {
	return func(d *caddyfile.Dispenser) error {
		name := d.Val()
		args := d.RemainingArgs()
		if len(args) == 0 {
			return fmt.Errorf("%s: the value is missing", name)
		}
		var errs []error
		for _, v := range args {
			if slices.Contains(*target, v) {
				errs = append(errs, fmt.Errorf("%s: %q is listed twice", name, v))
			}
			if check != nil {
				errs = append(errs, check(v))
			}
			*target = append(*target, v)
		}
		return errors.Join(errs...)
	}
}

// endOfOption wants nothing after the last argument.
func endOfOption(d *caddyfile.Dispenser, syntax string) error {
	if d.NextArg() {
		return d.Errf("unexpected %q; the syntax is %s", d.Val(), syntax)
	}
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		return d.Errf("no block is possible here; the syntax is %s", syntax)
	}
	return nil
}
