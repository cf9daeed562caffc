// SPDX-License-Identifier: Apache-2.0

package options

import (
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// Single reads the one value of an option that may be given once. It never repeats the
// value, so it is right for secrets.
func Single(target *string) Reader {
	return func(d *caddyfile.Dispenser) error {
		name := d.Val()
		if *target != "" {
			return twice(name)
		}
		if !d.NextArg() || d.Val() == "" {
			return missing(name)
		}
		*target = d.Val()
		return nil
	}
}

// Number reads a whole number of at least floor. It may be given once, as far as the
// target tells: 0 is not given.
func Number(target *int, floor int) Reader {
	return func(d *caddyfile.Dispenser) error {
		name := d.Val()
		if *target != 0 {
			return twice(name)
		}
		if !d.NextArg() || d.Val() == "" {
			return missing(name)
		}
		n, err := strconv.Atoi(d.Val())
		if err != nil || n < floor {
			return fmt.Errorf("%s: %q is not a number of at least %d", name, d.Val(), floor)
		}
		*target = n
		return nil
	}
}

// List reads one or more values; a further line adds to them.
func List(target *[]string) Reader {
	return func(d *caddyfile.Dispenser) error {
		name := d.Val()
		args := d.RemainingArgs()
		if len(args) == 0 || slices.Contains(args, "") {
			return missing(name)
		}
		*target = append(*target, args...)
		return nil
	}
}

// Distinct is List for values that are not secret: it refuses one that was listed
// before, and those that check, which may be nil, finds fault with.
func Distinct(target *[]string, check func(value string) error) Reader {
	return func(d *caddyfile.Dispenser) error {
		name, known := d.Val(), len(*target)
		if err := List(target)(d); err != nil {
			return err
		}
		var errs []error
		for i, v := range *target {
			if i < known {
				continue
			}
			if slices.Contains((*target)[:i], v) {
				errs = append(errs, fmt.Errorf("%s: %q is listed twice", name, v))
			}
			if check != nil {
				errs = append(errs, check(v))
			}
		}
		return errors.Join(errs...)
	}
}

func twice(name string) error { return fmt.Errorf("%s is given twice", name) }

func missing(name string) error { return fmt.Errorf("%s: the value is missing", name) }
