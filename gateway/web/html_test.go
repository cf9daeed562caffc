// SPDX-License-Identifier: Apache-2.0

package web_test

import (
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/html"
)

// document is a parsed page.
type document struct {
	t    *testing.T
	root *html.Node
}

func parse(t *testing.T, body string) *document {
	t.Helper()
	root, err := html.Parse(strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	return &document{t: t, root: root}
}

// all returns the elements of that name, in order. "" means every element.
func (d *document) all(tag string) []*html.Node {
	var found []*html.Node
	for n := range d.root.Descendants() {
		if n.Type == html.ElementNode && (tag == "" || n.Data == tag) {
			found = append(found, n)
		}
	}
	return found
}

// one returns the only element of that name.
func (d *document) one(tag string) *html.Node {
	d.t.Helper()
	found := d.all(tag)
	if len(found) != 1 {
		d.t.Fatalf("%d elements <%s>, want 1", len(found), tag)
	}
	return found[0]
}

// class returns the elements with that class.
func (d *document) class(name string) []*html.Node {
	return slices.DeleteFunc(d.all(""), func(n *html.Node) bool {
		return !slices.Contains(strings.Fields(attr(n, "class")), name)
	})
}

// fields are name and value of every input and button of the page, in order.
func (d *document) fields() []string {
	var out []string
	for _, n := range d.all("") {
		if n.Data == "input" || n.Data == "button" {
			out = append(out, strings.TrimSpace(attr(n, "type")+" "+attr(n, "name")+"="+attr(n, "value")))
		}
	}
	return out
}

// text is the page's text with single spaces.
func (d *document) text() string { return textOf(d.root) }

func textOf(n *html.Node) string {
	var b strings.Builder
	for c := range n.Descendants() {
		if c.Type == html.TextNode && c.Parent.Data != "style" {
			b.WriteString(c.Data)
		}
	}
	return strings.Join(strings.Fields(b.String()), " ")
}

func attr(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

func has(n *html.Node, name string) bool {
	return slices.ContainsFunc(n.Attr, func(a html.Attribute) bool { return a.Key == name })
}
