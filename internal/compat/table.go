// SPDX-License-Identifier: Apache-2.0

package compat

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// Markers of the generated part of a page.
const (
	TableBegin = "<!-- works-with:begin -->"
	TableEnd   = "<!-- works-with:end -->"
)

// grades are how a client is known, in words.
var grades = map[string]string{
	"source": "its source", "wire": "its source and recordings", "captured": "captured requests",
	"documented": "its vendor's documentation and reports", "reported": "public reports",
}

// methods are how a client registers, in words.
var methods = map[string]string{
	"none": "public", "client_secret_basic": "with a secret", "client_secret_post": "with a secret",
}

// Table is the works-with table, in Markdown.
func Table(clients []*Client) string {
	sorted := slices.Clone(clients)
	slices.SortStableFunc(sorted, func(a, b *Client) int {
		return strings.Compare(strings.ToLower(a.Name), strings.ToLower(b.Name))
	})
	var b strings.Builder
	b.WriteString("| client | registers | comes back to | replayed | run for real | known from |\n|---|---|---|---|---|---|\n")
	for _, c := range sorted {
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s |\n",
			c.Name, c.registers(), strings.Join(c.comesBackTo(), ", "), c.replayed(), orDash(c.Ran), grades[c.Known])
	}
	return b.String()
}

func (c *Client) registers() string {
	how := methods[c.AuthMethod()]
	if c.Document != nil {
		how += "; has a metadata document"
	}
	return how
}

// comesBackTo are the places its redirect URIs lead to, each once.
func (c *Client) comesBackTo() []string {
	var places []string
	for _, conn := range c.Connections {
		u, err := url.Parse(conn.Redirect)
		if err != nil {
			continue
		}
		place := u.Scheme + "://"
		switch {
		case u.Scheme == "https":
			place = u.Hostname()
		case u.Scheme == "http":
			place = u.Hostname() + ", any port"
		}
		if place = "`" + place + "`"; !slices.Contains(places, place) {
			places = append(places, place)
		}
	}
	return places
}

func (c *Client) replayed() string {
	if c.Fails != nil {
		return "**fails**: " + c.Fails.Why
	}
	text := "signs in, calls, refreshes"
	if n := len(c.Connections); n > 1 {
		text += fmt.Sprintf(", in %d ways", n)
	}
	return text
}

func orDash(s string) string {
	if s == "" {
		return "–"
	}
	return s
}

// Insert puts a table between the markers of a page, each of which must be there
// once.
func Insert(page, table string) (string, error) {
	before, rest, ok := strings.Cut(page, TableBegin)
	_, after, ok2 := strings.Cut(rest, TableEnd)
	if !ok || !ok2 || strings.Contains(after, TableBegin) || strings.Contains(after, TableEnd) {
		return "", errors.New("the page has no markers for the table, or several")
	}
	return before + TableBegin + "\n" + table + TableEnd + after, nil
}
