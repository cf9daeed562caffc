// SPDX-License-Identifier: Apache-2.0

package github

import (
	"context"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"

	"github.com/caddy-mcp/caddy-mcp-oauth/upstream"
)

const (
	// maxPages bounds one list, in pages of a hundred entries.
	maxPages = 20
	// maxCalls bounds the API calls of one sign-in: /user and three lists that
	// are almost never longer than a page.
	maxCalls = 50
)

// session is one token's use of the API, for one sign-in.
type session struct {
	g     *GitHub
	token string
	calls int
}

func (g *GitHub) newSession(token string) *session { return &session{g: g, token: token} }

// endpoint is the URL of an API path, first page where it is a list.
func (s *session) endpoint(path string, list bool) *url.URL {
	u := s.g.api.JoinPath(path)
	if list {
		u.RawQuery = "per_page=100"
	}
	return u
}

// get makes one call and returns its body if the status is 200. Every error is
// a *upstream.Refusal; status is 0 unless it is the status that is the error.
func (s *session) get(ctx context.Context, u *url.URL) (body []byte, header http.Header, status int, err error) {
	if s.calls++; s.calls > maxCalls {
		return nil, nil, 0, upstream.Refuse(upstream.ReasonUnavailable, "github: more than %d API calls", maxCalls)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, nil, 0, upstream.Refuse(upstream.ReasonUnavailable, "github: request for %s: %w", u.Path, err)
	}
	req.Header.Set("Accept", "application/vnd.github+json")
	req.Header.Set("X-GitHub-Api-Version", apiVersion)
	req.Header.Set("Authorization", "Bearer "+s.token)
	resp, err := s.g.client.Do(req)
	if err != nil {
		return nil, nil, 0, upstream.Refuse(upstream.ReasonUnavailable, "github: %s: %w", u.Path, transportCause(err))
	}
	defer resp.Body.Close()
	body, err = io.ReadAll(resp.Body)
	if err != nil {
		return nil, nil, 0, upstream.Refuse(upstream.ReasonUnavailable, "github: %s: reading the answer: %w", u.Path, err)
	}
	if resp.StatusCode != http.StatusOK {
		return nil, nil, resp.StatusCode, statusRefusal(u.Path, resp, body)
	}
	if !isJSON(resp.Header.Get("Content-Type")) {
		return nil, nil, 0, upstream.Refuse(upstream.ReasonUnavailable, "github: %s answered with %s, not JSON",
			u.Path, quote(resp.Header.Get("Content-Type")))
	}
	return body, resp.Header, 0, nil
}

// each calls add with every page of a list until add is done or the list ends.
// A list that cannot be followed to its end is no list.
func (s *session) each(ctx context.Context, path string, add func(page []byte, h http.Header) (done bool, err error)) (status int, err error) {
	u := s.endpoint(path, true)
	for range maxPages {
		body, header, status, err := s.get(ctx, u)
		if err != nil {
			return status, err
		}
		done, err := add(body, header)
		if err != nil {
			return 0, upstream.Refuse(upstream.ReasonUnavailable, "github: %s: %w", path, err)
		}
		next, more, err := nextPage(u, header.Values("Link"))
		switch {
		case err != nil:
			return 0, upstream.Refuse(upstream.ReasonUnavailable, "github: %s: %w", path, err)
		case done || !more:
			return 0, nil
		}
		u = next
	}
	return 0, upstream.Refuse(upstream.ReasonUnavailable, "github: %s has more than %d pages", path, maxPages)
}

func isJSON(contentType string) bool {
	mediaType, _, err := mime.ParseMediaType(contentType)
	return err == nil && (mediaType == "application/json" ||
		strings.HasPrefix(mediaType, "application/") && strings.HasSuffix(mediaType, "+json"))
}
