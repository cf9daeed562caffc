// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"net/url"
	"strings"

	"golang.org/x/net/html"
)

// form is an HTML form as a browser sees it.
type form struct {
	action, method string
	fields         url.Values
	buttons        []button
}

// button is a submit button. Its name and value go with the form only if it is
// the one that was pressed.
type button struct{ name, value, text string }

// parseForms finds the forms of a page.
func parseForms(page string) ([]*form, error) {
	root, err := html.Parse(strings.NewReader(page))
	if err != nil {
		return nil, fmt.Errorf("parse page: %w", err)
	}
	var forms []*form
	for node := range root.Descendants() {
		if node.Type == html.ElementNode && node.Data == "form" {
			forms = append(forms, newForm(node))
		}
	}
	return forms, nil
}

func newForm(node *html.Node) *form {
	f := &form{action: attr(node, "action"), method: strings.ToUpper(attr(node, "method")), fields: url.Values{}}
	for n := range node.Descendants() {
		if n.Type != html.ElementNode {
			continue
		}
		switch kind := strings.ToLower(attr(n, "type")); {
		case n.Data == "button" && (kind == "" || kind == "submit"), n.Data == "input" && kind == "submit":
			f.buttons = append(f.buttons, button{name: attr(n, "name"), value: attr(n, "value"), text: textOf(n)})
		case n.Data == "input" && (kind == "radio" || kind == "checkbox") && !hasAttr(n, "checked"):
		case n.Data == "input" && attr(n, "name") != "":
			f.fields.Add(attr(n, "name"), attr(n, "value"))
		}
	}
	return f
}

// press finds a button by its value or by its text.
func (f *form) press(label string) (button, bool) {
	for _, b := range f.buttons {
		if strings.EqualFold(b.value, label) || strings.Contains(strings.ToLower(b.text), strings.ToLower(label)) {
			return b, true
		}
	}
	return button{}, false
}

func attr(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

func hasAttr(n *html.Node, name string) bool {
	for _, a := range n.Attr {
		if a.Key == name {
			return true
		}
	}
	return false
}

func textOf(n *html.Node) string {
	var b strings.Builder
	for d := range n.Descendants() {
		if d.Type == html.TextNode {
			b.WriteString(d.Data)
		}
	}
	return strings.Join(strings.Fields(b.String()), " ")
}
