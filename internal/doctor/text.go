// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
)

// WriteJSON writes the report for programs.
func (r *Report) WriteJSON(w io.Writer) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "\t")
	return enc.Encode(r)
}

// textWidth is where lines are broken.
const textWidth = 100

// WriteText writes the report for people.
func (r *Report) WriteText(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n\nChecks\n", printable(r.URL))
	for _, c := range r.Checks {
		c.write(&b)
	}
	b.WriteString("\nClients\n")
	for _, v := range r.Clients {
		v.write(&b)
	}
	b.WriteString("\n" + r.conclusion() + "\n")
	_, err := io.WriteString(w, b.String())
	return err
}

func (c Check) write(b *strings.Builder) {
	wrapped(b, fmt.Sprintf("  %-4s  ", statusWord[c.Status]), c.ID+": "+c.Summary)
	if c.Status == Pass || c.Status == Skip {
		return
	}
	if len(c.Affects) > 0 {
		indented(b, "affects", familyNames(c.Affects))
	}
	for _, e := range c.Evidence {
		indented(b, "seen", e)
	}
	indented(b, "mend", c.Mend)
}

var statusWord = map[Status]string{Pass: "ok", Warn: "warn", Fail: "FAIL", Skip: "-"}

func (v Verdict) write(b *strings.Builder) {
	if v.Works {
		fmt.Fprintf(b, "  should work  %s\n", v.Name)
		return
	}
	fmt.Fprintf(b, "  would FAIL   %s\n", v.Name)
	indented(b, "at", v.Blockers[0].Check+": "+v.Blockers[0].Why)
	for _, more := range v.Blockers[1:] {
		indented(b, "and", more.Check+": "+more.Why)
	}
}

func familyNames(ids []string) string {
	if len(ids) == len(families) {
		return "every client"
	}
	names := make([]string, len(ids))
	for i, id := range ids {
		names[i] = familyName(id)
	}
	return strings.Join(names, "; ")
}

// indented writes a labelled text below a line.
func indented(b *strings.Builder, label, text string) {
	wrapped(b, fmt.Sprintf("%8s%-9s", "", label+":"), text)
}

// wrapped writes a text behind a label, broken into lines that begin below its
// first word.
func wrapped(b *strings.Builder, label, text string) {
	left := len(label)
	line, empty := label, true
	for word := range strings.FieldsSeq(text) {
		if !empty && len(line)+1+len(word) > textWidth {
			b.WriteString(line + "\n")
			line, empty = strings.Repeat(" ", left), true
		}
		if !empty {
			line += " "
		}
		line, empty = line+word, false
	}
	b.WriteString(strings.TrimRight(line, " ") + "\n")
}

func (r *Report) conclusion() string {
	count := map[Status]int{}
	for _, c := range r.Checks {
		count[c.Status]++
	}
	broken := 0
	for _, v := range r.Clients {
		if !v.Works {
			broken++
		}
	}
	return fmt.Sprintf("%d checks: %d ok, %d warnings, %d failed, %d skipped. %d of %d client families should work.",
		len(r.Checks), count[Pass], count[Warn], count[Fail], count[Skip], len(r.Clients)-broken, len(r.Clients))
}
