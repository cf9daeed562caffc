// SPDX-License-Identifier: Apache-2.0

package web

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"net/http"
	"strconv"
)

//go:embed pages
var files embed.FS

// style is the one style sheet; policy.go allows it by its hash.
var style = mustRead("pages/style.css")

// The pages. Each is the layout with its own "title" and "main".
var (
	consentPage = parse("pages/consent.html")
	signInPage  = parse("pages/signin.html")
	problemPage = parse("pages/problem.html")
	signOutPage = parse("pages/signout.html")
)

func mustRead(name string) string {
	b, err := files.ReadFile(name)
	if err != nil {
		panic(err) // embedded: found out by the first test of the build
	}
	return string(b)
}

func parse(page string) *template.Template {
	funcs := template.FuncMap{
		"remembered": func() string { return RememberYes },
		// The style sheet is a constant of this package, not data.
		"style": func() template.CSS { return template.CSS(style) }, //nolint:gosec // see above
	}
	return template.Must(template.New("layout.html").Funcs(funcs).ParseFS(files, "pages/layout.html", page))
}

// render writes one page with the headers of policy.go. On an error before the
// first byte of the page the answer is a plain 500.
func render(w http.ResponseWriter, status int, page *template.Template, data any) error {
	setHeaders(w.Header())
	var buf bytes.Buffer
	if err := page.Execute(&buf, data); err != nil {
		fail(w)
		return fmt.Errorf("render page: %w", err)
	}
	w.Header().Set("Content-Length", strconv.Itoa(buf.Len()))
	w.WriteHeader(status)
	if _, err := w.Write(buf.Bytes()); err != nil {
		return fmt.Errorf("write page: %w", err)
	}
	return nil
}

// fail answers in place of a page that must not be shown.
func fail(w http.ResponseWriter) {
	h := w.Header()
	setHeaders(h)
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Del("Content-Length")
	w.WriteHeader(http.StatusInternalServerError)
	_, _ = w.Write([]byte("Internal error: this page could not be shown.\n"))
}
