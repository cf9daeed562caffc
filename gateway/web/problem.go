// SPDX-License-Identifier: Apache-2.0

package web

import (
	"errors"
	"html/template"
	"net/http"
)

// Problem is the page that says what happened and what to do about it.
type Problem struct {
	// Status of the response. What is not a final HTTP status becomes 500.
	Status int
	// Title is the heading, Text what happened, Hint what the user can do.
	Title, Text, Hint string
	// Reason is a stable code, Flow the id of this sign-in in the log. Both are for
	// whoever helps the user, and shown small.
	Reason, Flow string
	// Back leads on, for instance to the client with an OAuth error. Nil for none.
	Back *Link
}

// Link is a link to an address that the caller has validated.
type Link struct{ Href, Text string }

type problemView struct {
	Title, Text, Hint, Reason, Flow string
	Back                            *backView
}

// backView carries an address that passed safeHref, so the template may keep
// schemes that html/template would refuse.
type backView struct {
	Href template.URL
	Text string
}

// WriteProblem writes the page. If the address of Back is not one to offer as a
// link, the page is written without it and the error says so.
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
	return errors.Join(linkErr, render(w, pageStatus(p.Status), problemPage, v))
}

// pageStatus refuses statuses that cannot carry a page.
func pageStatus(status int) int {
	if status < 200 || status > 599 || status == http.StatusNoContent || status == http.StatusNotModified {
		return http.StatusInternalServerError
	}
	return status
}
