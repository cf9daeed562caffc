// SPDX-License-Identifier: Apache-2.0

package upstreamtest

import (
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// inBody is in the answers that are no answers. The text of an error must not have
// it: where it stands, a real provider may have put a token.
const inBody = "secret-in-the-body"

// elsewhere is where a redirect leads. Nothing may arrive there.
const elsewhere = "/upstreamtest/elsewhere"

// hangTimeout is the upstream's patience in tests of a provider without an end.
const hangTimeout = 300 * time.Millisecond

// retryAfter is what the provider asks for when it is asked too often.
const retryAfter = 60 * time.Second

// troubles are answers that prove nothing about a person. None of them is one that
// a provider could mean: 401, 403 and 404 are missing for that reason.
var troubles = []struct {
	name  string
	fault Fault
}{
	{"500", answer(http.StatusInternalServerError, "application/json", `{"message":"`+inBody+`"}`)},
	{"502 page", answer(http.StatusBadGateway, "text/html; charset=utf-8", "<!DOCTYPE html><title>"+inBody+"</title>")},
	{"503", answer(http.StatusServiceUnavailable, "text/plain", inBody)},
	{"200 page", answer(http.StatusOK, "text/html; charset=utf-8", "<!DOCTYPE html><title>"+inBody+"</title>")},
	{"200 with nothing", answer(http.StatusOK, "application/json", "")},
	{"200 with null", answer(http.StatusOK, "application/json", "null")},
	{"200 with half", answer(http.StatusOK, "application/json", `{"access_token":"`+inBody+`","sub":"1`)},
	{"200 with another type", answer(http.StatusOK, "application/json", `["`+inBody+`"]`)},
	{"200 with numbers for text", answer(http.StatusOK, "application/json", `{"access_token":1,"token_type":2,"sub":3,"id":[],"login":4}`)},
	{"200 that breaks off", truncated},
	{"200 without an end to it", oversized},
	{"redirect", func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
		http.Redirect(w, r, elsewhere, http.StatusTemporaryRedirect)
	}},
	{"reset", reset},
}

func answer(status int, contentType, body string) Fault {
	return func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
		w.Header().Set("Content-Type", contentType)
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}
}

// hang never answers. It ends with the connection.
func hang(_ http.ResponseWriter, r *http.Request, _ http.Handler) { <-r.Context().Done() }

// tooMany is a quota that is used up.
func tooMany(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Retry-After", strconv.Itoa(int(retryAfter.Seconds())))
	w.WriteHeader(http.StatusTooManyRequests)
	_, _ = w.Write([]byte(`{"message":"` + inBody + `"}`))
}

func truncated(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", "1000")
	_, _ = w.Write([]byte(`{"access_token":"` + inBody + `"`))
	_ = http.NewResponseController(w).Flush()
	panic(http.ErrAbortHandler)
}

// oversized is well-formed, as far as anybody reads.
func oversized(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write([]byte(`{"` + inBody + `":"`))
	chunk := []byte(strings.Repeat("x", 1<<16))
	for range 512 { // 32 MiB
		if _, err := w.Write(chunk); err != nil {
			return
		}
	}
	_, _ = w.Write([]byte(`"}`))
}

// reset closes the connection without an answer.
func reset(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}

// signalling hangs, and says so.
func signalling(reached chan<- struct{}) Fault {
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		reached <- struct{}{}
		hang(w, r, next)
	}
}
