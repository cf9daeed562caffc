// SPDX-License-Identifier: Apache-2.0

package oauth

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestErrorStatus(t *testing.T) {
	t.Parallel()
	tests := map[string]int{
		CodeInvalidRequest:          http.StatusBadRequest,
		CodeInvalidGrant:            http.StatusBadRequest,
		CodeUnauthorizedClient:      http.StatusBadRequest,
		CodeUnsupportedGrantType:    http.StatusBadRequest,
		CodeInvalidScope:            http.StatusBadRequest,
		CodeInvalidTarget:           http.StatusBadRequest,
		CodeInvalidRedirectURI:      http.StatusBadRequest,
		CodeInvalidClientMetadata:   http.StatusBadRequest,
		CodeUnsupportedResponseType: http.StatusBadRequest,
		CodeInvalidClient:           http.StatusUnauthorized,
		CodeInvalidToken:            http.StatusUnauthorized,
		CodeInsufficientScope:       http.StatusForbidden,
		CodeAccessDenied:            http.StatusForbidden,
		CodeServerError:             http.StatusInternalServerError,
		CodeTemporarilyUnavailable:  http.StatusServiceUnavailable,
	}
	for code, want := range tests {
		if got := NewError(code, "x").HTTPStatus(); got != want {
			t.Errorf("%s: status %d, want %d", code, got, want)
		}
	}
	if got := (&Error{Code: CodeInvalidRequest}).HTTPStatus(); got != http.StatusBadRequest {
		t.Errorf("zero status: %d, want 400", got)
	}
	if got := (&Error{Code: "x", Status: http.StatusTeapot}).HTTPStatus(); got != http.StatusTeapot {
		t.Errorf("explicit status: %d, want 418", got)
	}
}

func TestErrorJSON(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		err  *Error
		want string
	}{
		"both":           {NewError(CodeInvalidGrant, "code is %s", "used"), `{"error":"invalid_grant","error_description":"code is used"}`},
		"no description": {&Error{Code: CodeInvalidClient}, `{"error":"invalid_client"}`},
		"not made by NewError": {
			&Error{Code: CodeInvalidRequest, Description: "a\"b\\c\r\nd"},
			`{"error":"invalid_request","error_description":"a'b?c??d"}`,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := json.Marshal(tt.err)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, string(got)); diff != "" {
				t.Errorf("body (-want +got):\n%s", diff)
			}
		})
	}
}

// A handler returns *Error through error; a nil one must not become non-nil by
// accident of an interface, so callers compare the pointer. This pins the text.
func TestErrorIsAnError(t *testing.T) {
	t.Parallel()
	var target *Error
	if err := error(NewError(CodeInvalidScope, "no")); !errors.As(err, &target) || err.Error() != "invalid_scope: no" {
		t.Errorf("got %v", err)
	}
	if got := (&Error{Code: CodeInvalidScope}).Error(); got != "invalid_scope" {
		t.Errorf("without description: %q", got)
	}
}

// The description goes into JSON, a Location and a WWW-Authenticate header. A
// line break or a quote that came with a stranger's value would split one of
// them.
func TestAttackDescriptionCannotSplitAHeader(t *testing.T) {
	t.Parallel()
	hostile := "a\r\nSet-Cookie: x=1\x00\"; scope=\"admin\" \\ \u202e é" + strings.Repeat("z", 1000)
	got := NewError(CodeInvalidRequest, "%s", hostile).Description
	if len(got) > maxDescription {
		t.Errorf("%d bytes, want at most %d", len(got), maxDescription)
	}
	for _, c := range []byte(got) {
		if c < 0x20 || c > 0x7e || c == '"' || c == '\\' {
			t.Fatalf("%q contains %q, which RFC 6749 §5.2 forbids", got, c)
		}
	}
}
