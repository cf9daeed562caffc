// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"

	"github.com/caddy-mcp/caddy-mcp-oauth/oauth"
)

// maxBody bounds the bodies of our own endpoints. Real ones are below 4 KiB.
const maxBody = 64 << 10

// writeJSON writes a JSON answer that nothing may cache (RFC 6749 §5.1).
func writeJSON(w http.ResponseWriter, status int, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		status, b = http.StatusInternalServerError, []byte(`{"error":"server_error"}`)
	}
	sendJSON(w, status, b)
}

// sendJSON is writeJSON for what is JSON already.
func sendJSON(w http.ResponseWriter, status int, b []byte) {
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write(b) // the client hanging up is not our failure
}

func writeOAuthError(w http.ResponseWriter, err *oauth.Error) { writeJSON(w, err.HTTPStatus(), err) }

// unavailable is the answer where the store failed: nothing was decided, and
// nothing was acknowledged.
func unavailable() *oauth.Error {
	return &oauth.Error{
		Code: oauth.CodeTemporarilyUnavailable, Status: http.StatusServiceUnavailable,
		Description: "the gateway cannot reach its store, try again in a few seconds",
	}
}

// readBody reads a body of the given media type. The type is compared exactly
// (M-23), the size is bounded.
func readBody(w http.ResponseWriter, r *http.Request, mediaType, code string) ([]byte, *oauth.Error) {
	types := r.Header.Values("Content-Type")
	if len(types) != 1 {
		return nil, oauth.NewError(code, "want exactly one Content-Type, %s", mediaType)
	}
	if got, _, err := mime.ParseMediaType(types[0]); err != nil || got != mediaType {
		return nil, oauth.NewError(code, "want Content-Type %s", mediaType)
	}
	b, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) {
		e := oauth.NewError(code, "the body is larger than %d bytes", maxBody)
		e.Status = http.StatusRequestEntityTooLarge
		return nil, e
	}
	if err != nil {
		return nil, oauth.NewError(code, "the body could not be read")
	}
	return b, nil
}

// readForm reads an application/x-www-form-urlencoded body.
func readForm(w http.ResponseWriter, r *http.Request) (oauth.Params, *oauth.Error) {
	b, err := readBody(w, r, "application/x-www-form-urlencoded", oauth.CodeInvalidRequest)
	if err != nil {
		return oauth.Params{}, err
	}
	return oauth.ParseParams(string(b))
}

func orElse(s, fallback string) string {
	if s == "" {
		return fallback
	}
	return s
}
