// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// api is a client of the gateway's endpoints.
type api struct {
	http   *http.Client
	issuer string
}

func newAPI(issuer string) *api {
	return &api{issuer: issuer, http: &http.Client{
		Timeout:   30 * time.Second,
		Transport: &http.Transport{MaxIdleConnsPerHost: 256},
		CheckRedirect: func(*http.Request, []*http.Request) error {
			return http.ErrUseLastResponse
		},
	}}
}

// post sends a form or JSON and reads the answer into into, which may be nil.
func (a *api) post(path, mediaType, body string, want int, into any) error {
	resp, err := a.http.Post(a.issuer+path, mediaType, strings.NewReader(body))
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	switch {
	case err != nil:
		return err
	case resp.StatusCode != want:
		return fmt.Errorf("%s: %s: %s", path, resp.Status, answer)
	case into == nil:
		return nil
	}
	return json.Unmarshal(answer, into)
}

const formType = "application/x-www-form-urlencoded"

// refresh exchanges a refresh token for the next one.
func (a *api) refresh(token string) (next string, err error) {
	var set struct {
		Refresh string `json:"refresh_token"`
	}
	form := url.Values{"grant_type": {"refresh_token"}, "client_id": {clientID}, "refresh_token": {token}}
	err = a.post("/token", formType, form.Encode(), http.StatusOK, &set)
	return set.Refresh, err
}

// revoke ends the grant of an access token.
func (a *api) revoke(token string) error {
	form := url.Values{"client_id": {clientID}, "token": {token}}
	return a.post("/revoke", formType, form.Encode(), http.StatusOK, nil)
}

// register makes a client of its own.
func (a *api) register() (id string, err error) {
	var c struct {
		ID string `json:"client_id"`
	}
	body := `{"client_name":"bench","redirect_uris":["http://127.0.0.1:1234/callback"],"token_endpoint_auth_method":"none"}`
	err = a.post("/register", "application/json", body, http.StatusCreated, &c)
	return c.ID, err
}
