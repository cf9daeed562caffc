// SPDX-License-Identifier: Apache-2.0

package web

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// A template that fails half-way, here because its data lacks what it asks for,
// must leave nothing of the page behind.
func TestTemplateFailureLeavesNoHalfPage(t *testing.T) {
	t.Parallel()
	w := httptest.NewRecorder()
	// The title is written before the field that is missing.
	err := render(w, http.StatusOK, problemPage, struct{ Title string }{"Half a page"})
	if err == nil {
		t.Error("no error")
	}
	if w.Code != http.StatusInternalServerError || strings.Contains(w.Body.String(), "Half") {
		t.Errorf("%d %q", w.Code, w.Body)
	}
	if got := w.Header().Get("Content-Type"); got != "text/plain; charset=utf-8" {
		t.Errorf("Content-Type %q", got)
	}
}

var errGone = errors.New("connection gone")

type gone struct{ *httptest.ResponseRecorder }

func (gone) Write([]byte) (int, error) { return 0, errGone }

func TestLostConnectionIsReported(t *testing.T) {
	t.Parallel()
	err := WriteProblem(gone{httptest.NewRecorder()}, &Problem{Status: 400, Title: "x"})
	if !errors.Is(err, errGone) {
		t.Errorf("error %v", err)
	}
}

func TestSchemesAreRefusedInWhole(t *testing.T) {
	t.Parallel()
	for scheme, refused := range map[string]bool{
		"javascript": true, "ms-windows-store": true, "search-ms": true, "chrome-extension": true, "moz-extension": true,
		"x-apple.systempreferences": true, "intent": true,
		"view-source+https": true, "edge": true, "git+data": true,
		"cursor": false, "vscode": false, "claude": false, "com.example.app": false, "msteams": false, "databricks": false, "edgeworks": false, "web+mcp": false,
	} {
		if got := refusedScheme(scheme); got != refused {
			t.Errorf("%s refused: %v, want %v", scheme, got, refused)
		}
	}
}
