// SPDX-License-Identifier: Apache-2.0

package redis

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// option reads one subdirective. The dispenser holds only its tokens and stands on its
// name.
type option func(d *caddyfile.Dispenser) error

type options map[string]option

// block reads the block of a directive whose arguments were consumed. It goes on after a
// mistake, so that all of them are reported together, each with file and line.
func block(d *caddyfile.Dispenser, directive string, known options) error {
	var errs []error
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		errs = append(errs, subdirective(d.NextSegment(), directive, known))
	}
	return errors.Join(errs...)
}

func subdirective(segment caddyfile.Segment, directive string, known options) error {
	d := caddyfile.NewDispenser(segment)
	d.Next()
	name := d.Val()
	read, ok := known[name]
	if !ok {
		return d.Errf("%s: unknown subdirective %q; known are %s", directive, name, strings.Join(slices.Sorted(maps.Keys(known)), ", "))
	}
	if err := read(d); err != nil {
		if strings.Contains(err.Error(), fmt.Sprintf(", at %s:", d.File())) {
			return err // of a block in it
		}
		return d.WrapErr(err)
	}
	if d.NextArg() {
		// What is too much may belong to a secret.
		return d.Errf("%s: there is an argument too many", name)
	}
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		return d.Errf("%s takes no block", name)
	}
	return nil
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

// list reads an option with one or more arguments; a further line adds to it.
func list(target *[]string) option {
	return func(d *caddyfile.Dispenser) error {
		name := d.Val()
		args := d.RemainingArgs()
		if len(args) == 0 || slices.Contains(args, "") {
			return fmt.Errorf("%s: the value is missing", name)
		}
		*target = append(*target, args...)
		return nil
	}
}
