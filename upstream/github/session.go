// SPDX-License-Identifier: Apache-2.0

package github

import (
	"context"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/caddy-mcp/caddy-mcp-oauth/upstream"
)

const (
	// perPage is how many entries of a list are asked for, GitHub's most.
	perPage = 100
	// maxPages bounds one list, in pages.
	maxPages = 20
	// maxCalls bounds the API calls of one sign-in and of one check, and once more
	// those to confirm what a check finds missing. Almost all need /user and three
	// lists of one page.
	maxCalls = 50
)

// session is one token's use of the API, for one sign-in or one check.
type session struct {
	g     *GitHub
	token string
	calls int
	// cached makes the calls conditional. A sign-in's are not: it has a new token,
	// and nobody may ever use that again.
	cached bool
}

func (g *GitHub) newSession(token string) *session { return &session{g: g, token: token} }

// endpoint is the URL of an API path, whose segments may be anything.
func (s *session) endpoint(segments ...string) *url.URL {
	escaped := make([]string, len(segments))
	for i, segment := range segments {
		escaped[i] = url.PathEscape(segment)
	}
	return s.g.api.JoinPath(escaped...)
}

// firstPage is where a list of the user's own begins.
func (s *session) firstPage(path string, query url.Values) *url.URL {
	u := s.g.api.JoinPath(path)
	q := url.Values{"per_page": {strconv.Itoa(perPage)}}
	for name, values := range query {
		q[name] = values
	}
	u.RawQuery = q.Encode()
	return u
}

// reply is an answer with status 200, or 304 where it was asked for.
type reply struct {
	unchanged bool
	header    http.Header
	body      []byte
}

// call makes one call, conditional if etag is not empty. Every error is a
// *upstream.Refusal; where GitHub answered, its cause is an *answerError.
func (s *session) call(ctx context.Context, u *url.URL, etag string) (reply, error) {
	if s.calls++; s.calls > maxCalls {
		return reply{}, upstream.Refuse(upstream.ReasonUnavailable, "github: more than %d API calls", maxCalls)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return reply{}, upstream.Refuse(upstream.ReasonUnavailable, "github: request for %s: %w", u.Path, err)
	}
	req.Header.Set("Accept", "application/vnd.github+json")
	req.Header.Set("X-GitHub-Api-Version", apiVersion)
	req.Header.Set("Authorization", "Bearer "+s.token)
	if etag != "" {
		req.Header.Set("If-None-Match", etag)
	}
	resp, err := s.g.client.Do(req)
	if err != nil {
		return reply{}, upstream.Refuse(upstream.ReasonUnavailable, "github: %s: %w", u.Path, transportCause(err))
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return reply{}, upstream.Refuse(upstream.ReasonUnavailable, "github: %s: reading the answer: %w", u.Path, err)
	}
	return s.accept(u, resp, body, etag != "")
}

// accept takes only what can be an answer to the question.
func (s *session) accept(u *url.URL, resp *http.Response, body []byte, conditional bool) (reply, error) {
	if resp.StatusCode == http.StatusNotModified && conditional {
		return reply{unchanged: true, header: resp.Header}, nil
	}
	if resp.StatusCode != http.StatusOK {
		return reply{}, statusRefusal(u.Path, resp, body, s.g.now())
	}
	if !isJSON(resp.Header.Get("Content-Type")) {
		return reply{}, upstream.Refuse(upstream.ReasonUnavailable, "github: %s answered with %s, not JSON",
			u.Path, quote(resp.Header.Get("Content-Type")))
	}
	return reply{header: resp.Header, body: body}, nil
}

func isJSON(contentType string) bool {
	mediaType, _, err := mime.ParseMediaType(contentType)
	return err == nil && (mediaType == "application/json" ||
		strings.HasPrefix(mediaType, "application/") && strings.HasSuffix(mediaType, "+json"))
}
