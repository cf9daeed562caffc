// SPDX-License-Identifier: Apache-2.0

package web

import (
	"errors"
	"html/template"
	"net/http"
	"net/url"
)

// Problem is the page that says what happened and what to do about it.
type Problem struct {
	// Status of the response. What is not a final HTTP status becomes 500.
	Status int
	// Title is the heading, Text what happened, Hint what the user can do.
	Title, Text, Hint string
	// Hints are further things the user can do, each in its place.
	Hints []Hint
	// Reason is a stable code, Flow the id of this sign-in in the log. Both are for
	// whoever helps the user, and shown small.
	Reason, Flow string
	// Back leads on, for instance to the client with an OAuth error. Nil for none.
	Back *Link
}

// Link is a link to an address that the caller has validated.
type Link struct{ Href, Text string }

// Hint is something to be done elsewhere.
type Hint struct {
	// Text is a sentence, which somebody else may have written.
	Text string
	// Href is where it is done, https only. Empty for nowhere in particular.
	Href string
}

type problemView struct {
	Title, Text, Hint, Reason, Flow string

	Hints []hintView
	Back  *backView
}

// backView carries an address that passed safeHref, so the template may keep
// schemes that html/template would refuse.
type backView struct {
	Href template.URL
	Text string
}

// hintView has no Host where there is no link.
type hintView struct {
	Text string
	Href template.URL
	Host []string
}

// WriteProblem writes the page. If an address is not one to offer as a link, the
// page is written without that link and the error says so.
func WriteProblem(w http.ResponseWriter, p *Problem) error {
	v := &problemView{
		Title: p.Title, Text: p.Text, Hint: p.Hint, Reason: readable(p.Reason), Flow: readable(p.Flow),
	}
	var linkErr error
	if p.Back != nil {
		href, err := safeHref(p.Back.Href)
		if err == nil {
			v.Back = &backView{Href: href, Text: readable(p.Back.Text)}
		}
		linkErr = err
	}
	for _, h := range p.Hints {
		shown, err := newHintView(h)
		v.Hints = append(v.Hints, shown)
		linkErr = errors.Join(linkErr, err)
	}
	return errors.Join(linkErr, render(w, pageStatus(p.Status), problemPage, v))
}

// newHintView keeps the sentence where it has to withhold the link. The page names
// the host, so that nobody need trust the sentence about where they will be.
func newHintView(h Hint) (hintView, error) {
	v := hintView{Text: readableText(h.Text)}
	if h.Href == "" {
		return v, nil
	}
	href, err := safeHref(h.Href)
	if err != nil {
		return v, err
	}
	u, err := url.Parse(string(href))
	if err != nil || u.Scheme != "https" {
		return v, errUnsafeLink
	}
	v.Href, v.Host = href, breakable(ascii(u.Host))
	return v, nil
}

// pageStatus refuses statuses that cannot carry a page.
func pageStatus(status int) int {
	if status < 200 || status > 599 || status == http.StatusNoContent || status == http.StatusNotModified {
		return http.StatusInternalServerError
	}
	return status
}
