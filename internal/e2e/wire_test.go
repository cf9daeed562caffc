// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
)

// wire is a RoundTripper that keeps what a client said to the authorization
// server, so that a test can look at it afterwards. Responses of the token
// endpoint are read whole and handed on unchanged; everything else streams.
type wire struct {
	mu    sync.Mutex
	steps []step
	sets  []tokenSet
}

// step is one request, as a line: "POST /token 200".
type step struct {
	method, path string
	status       int
}

// tokenSet is what one successful token request brought.
type tokenSet struct {
	Access    string `json:"access_token"`
	Refresh   string `json:"refresh_token"`
	Type      string `json:"token_type"`
	ExpiresIn int    `json:"expires_in"`
	Scope     string `json:"scope"`
	// form is the request.
	form url.Values
}

func (w *wire) RoundTrip(r *http.Request) (*http.Response, error) {
	token := strings.HasSuffix(r.URL.Path, "/token")
	var sent []byte
	if token && r.Body != nil {
		var err error
		if sent, err = io.ReadAll(r.Body); err != nil {
			return nil, err
		}
		r.Body = io.NopCloser(bytes.NewReader(sent))
	}
	resp, err := network.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	w.note(step{method: r.Method, path: r.URL.Path, status: resp.StatusCode})
	if token && resp.StatusCode == http.StatusOK {
		body, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if err != nil {
			return nil, err
		}
		resp.Body = io.NopCloser(bytes.NewReader(body))
		var set tokenSet
		if json.Unmarshal(body, &set) == nil {
			set.form, _ = url.ParseQuery(string(sent)) // what cannot be parsed shows as absent
			w.noteSet(set)
		}
	}
	return resp, nil
}

func (w *wire) note(s step) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.steps = append(w.steps, s)
}

func (w *wire) noteSet(s tokenSet) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.sets = append(w.sets, s)
}

// tokens are the token sets so far, oldest first.
func (w *wire) tokens() []tokenSet {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.sets)
}

// last is the newest token set.
func (w *wire) last(t *testing.T) tokenSet {
	t.Helper()
	sets := w.tokens()
	if len(sets) == 0 {
		t.Fatal("the client got no token")
	}
	return sets[len(sets)-1]
}

// trace is every request so far.
func (w *wire) trace() []step {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.steps)
}
