// SPDX-License-Identifier: Apache-2.0

// Package testform reads forms of pages, for programs that stand in for a browser.
package testform

import (
	"errors"
	"io"
	"net/url"

	"golang.org/x/net/html"
)

// First reads the first form of a page: where it goes, and what a browser would send
// before anybody presses a button.
func First(page io.Reader) (action string, fields url.Values, err error) {
	root, err := html.Parse(page)
	if err != nil {
		return "", nil, err
	}
	for node := range root.Descendants() {
		if node.Type == html.ElementNode && node.Data == "form" {
			return attributes(node)["action"], fieldsOf(node), nil
		}
	}
	return "", nil, errors.New("the page has no form")
}

func fieldsOf(form *html.Node) url.Values {
	fields := url.Values{}
	for n := range form.Descendants() {
		if n.Type != html.ElementNode || n.Data != "input" {
			continue
		}
		attr := attributes(n)
		_, checked := attr["checked"]
		choice := attr["type"] == "radio" || attr["type"] == "checkbox"
		if attr["name"] != "" && (!choice || checked) {
			fields.Set(attr["name"], attr["value"])
		}
	}
	return fields
}

func attributes(n *html.Node) map[string]string {
	all := map[string]string{}
	for _, a := range n.Attr {
		all[a.Key] = a.Val
	}
	return all
}
