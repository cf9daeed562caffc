// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
)

// report writes a table, line by line as figures come in.
type report struct{ out io.Writer }

func newReport(out io.Writer) *report {
	r := &report{out}
	r.line("what", "ratio [95 % interval]", "target", "besides")
	r.line("---", "---", "---", "---")
	return r
}

func (r *report) add(what string, value fmt.Stringer, target, besides string) {
	r.line(what, value.String(), target, besides)
}

// figure is a line whose value is no ratio.
func (r *report) figure(what, value, target, besides string) { r.line(what, value, target, besides) }

func (r *report) line(cells ...string) {
	fmt.Fprint(r.out, "|")
	for _, c := range cells {
		fmt.Fprintf(r.out, " %s |", c)
	}
	fmt.Fprintln(r.out)
}
