// SPDX-License-Identifier: Apache-2.0

package github

import (
	"context"
	"log/slog"
	"net/http"
	"strings"

	"github.com/caddy-mcp/caddy-mcp-oauth/upstream"
)

// user is who the token belongs to.
func (s *session) user(ctx context.Context) (userFacts, http.Header, error) {
	const path = "/user"
	body, header, _, err := s.get(ctx, s.endpoint(path, false))
	if err != nil {
		return userFacts{}, nil, err
	}
	u, err := decodeUser(body)
	if err != nil {
		return userFacts{}, nil, upstream.Refuse(upstream.ReasonUnavailable, "github: %s: %w", path, err)
	}
	return u, header, nil
}

// primaryEmail is the address that is both primary and verified, or none. Not
// being allowed to see addresses is having none; not getting an answer is not.
func (s *session) primaryEmail(ctx context.Context) (string, error) {
	var address string
	status, err := s.each(ctx, "/user/emails", func(page []byte, _ http.Header) (bool, error) {
		found, err := decodePrimaryEmail(page)
		address = found
		return found != "", err
	})
	if err != nil && status == http.StatusNotFound {
		return "", nil
	}
	if err != nil && status == http.StatusForbidden && !isUnavailable(err) {
		return "", nil
	}
	return address, err
}

func (s *session) orgs(ctx context.Context) ([]string, error) {
	return s.list(ctx, "/user/orgs", decodeOrgs)
}

func (s *session) teams(ctx context.Context) ([]string, error) {
	return s.list(ctx, "/user/teams", decodeTeams)
}

func (s *session) list(ctx context.Context, path string, decode func([]byte) ([]string, error)) ([]string, error) {
	var all []string
	_, err := s.each(ctx, path, func(page []byte, h http.Header) (bool, error) {
		s.notePartial(ctx, path, h)
		names, err := decode(page)
		all = append(all, names...)
		return false, err
	})
	return all, err
}

// notePartial tells the operator why a member may have been turned away: GitHub
// leaves out organizations the user has no SAML session for, with status 200.
func (s *session) notePartial(ctx context.Context, path string, h http.Header) {
	if sso := h.Get("X-GitHub-SSO"); strings.HasPrefix(sso, "partial-results") {
		s.g.logger.WarnContext(ctx, "github left out organizations that need a SAML sign-in first",
			slog.String("path", path), slog.String("x_github_sso", printable(sso)))
	}
}
