// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/caddy-mcp/caddy-mcp-oauth/oauth"
	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
)

// consentLife is how long a remembered consent is good for. It is not extended by
// being used.
const consentLife = 30 * 24 * time.Hour

// mayRemember: only a website proves by its address who gets the answer. Behind a
// loopback or private-use address may be another program every time (M-29, M-30).
func mayRemember(redirectURI string) bool {
	kind, perr := oauth.ParseRedirectURI(redirectURI)
	return perr == nil && kind == oauth.RedirectHTTPS
}

// consentID names a decision by everything that was decided on (R6.3): who agreed,
// to which client as it was described then, answering where, for what, and whether
// the backend gets their token of the upstream. Any change is another decision.
func (s *Server) consentID(subject string, client storage.Hash, a storage.Authorization) storage.Hash {
	scopes := slices.Sorted(slices.Values(a.Scopes))
	if s.forwards(a.Resource) {
		scopes = append(scopes, "with the upstream token") // no scope: it has blanks
	}
	h := sha256.New()
	for _, part := range append([]string{
		s.cfg.Issuer, subject, a.ClientID, string(client[:]), a.RedirectURI, a.Resource,
	}, scopes...) {
		_ = binary.Write(h, binary.BigEndian, uint32(len(part))) // a hash never fails
		h.Write([]byte(part))
	}
	return storage.Hash(h.Sum(nil))
}

// isRemembered reports whether the person agreed to exactly this before.
func (s *Server) isRemembered(ctx context.Context, subject string, client storage.Hash, a storage.Authorization) (bool, error) {
	c, err := s.st.store.Consent(ctx, s.cfg.Issuer, s.consentID(subject, client, a))
	if err != nil {
		return false, unlessNotFound("read consent", err)
	}
	return c.Subject == subject, nil
}

// remember keeps the decision. client is the fingerprint of what the person saw,
// not of what the client says of itself by now.
func (s *Server) remember(ctx context.Context, subject string, client storage.Hash, a storage.Authorization) error {
	now := s.st.now()
	return s.saveConsent(ctx, &storage.Consent{
		ID: s.consentID(subject, client, a), Subject: subject, CreatedAt: now, ExpiresAt: now.Add(consentLife),
	})
}

// forgetDenied takes a remembered consent back: who says no does not want to be
// taken for having said yes the next time.
func (s *Server) forgetDenied(r *http.Request, req *consentRequest) error {
	who, err := s.whoseSession(r)
	if who == nil {
		return err
	}
	subject := who.identity.Subject()
	yes, err := s.isRemembered(r.Context(), subject, req.Client, req.Request)
	if !yes {
		return err
	}
	now := s.st.now()
	return s.saveConsent(r.Context(), &storage.Consent{ // over before it begins
		ID: s.consentID(subject, req.Client, req.Request), Subject: subject, CreatedAt: now, ExpiresAt: now,
	})
}

func (s *Server) saveConsent(ctx context.Context, c *storage.Consent) error {
	c.Issuer = s.cfg.Issuer
	if err := s.st.store.SaveConsent(ctx, c); err != nil {
		return fmt.Errorf("save consent: %w", err)
	}
	return nil
}

// fromClient reports whether a page of the client's own website sent the person
// here, in a window of its own. Without asking them, nothing is given away for any
// other reason.
//
// Whoever else makes a browser come here has a use for it: a client that does not
// tie state to the browser would connect the person's account to the attacker who
// began there, and a redirector at the client's address would pass the code on to
// whoever chose the challenge. A program on the person's computer, which opens the
// browser without a Referer, is one of those. Frames and scripts are no windows,
// a preloaded page is nobody's decision, and browsers that do not say what they
// are doing (Fetch Metadata) are asked.
func fromClient(r *http.Request, redirectURI string) bool {
	h := r.Header
	if r.Method != http.MethodGet || !only(h, "Sec-Fetch-Dest", "document") || !only(h, "Sec-Fetch-Mode", "navigate") ||
		h.Get("Sec-Purpose") != "" || h.Get("Purpose") != "" || h.Get("X-Moz") != "" || len(h["Referer"]) != 1 {
		return false
	}
	from, err1 := webOrigin(h.Get("Referer"))
	to, err2 := webOrigin(redirectURI)
	return err1 == nil && err2 == nil && from == to
}

// only reports whether a header has this value and was sent once.
func only(h http.Header, name, value string) bool {
	v := h[name]
	return len(v) == 1 && v[0] == value
}

var errNoWebsite = errors.New("not the address of a website")

// webOrigin is the origin of an https address in the form in which origins compare.
func webOrigin(address string) (string, error) {
	u, err := url.Parse(address)
	if err != nil {
		return "", errNoWebsite
	}
	if u.Scheme != "https" || u.Hostname() == "" {
		return "", errNoWebsite
	}
	return strings.ToLower(u.Hostname()) + ":" + orElse(u.Port(), "443"), nil
}
