// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"encoding/json"
	"net/http"
	"strings"

	"github.com/caddy-mcp/caddy-mcp-oauth/oauth"
)

// resourceURL is the identifier of the resource at a path: the origin alone for
// the root.
func resourceURL(issuer, path string) string { return issuer + strings.TrimSuffix(path, "/") }

// wellKnownFor is where the metadata of a resource path is found: the well-known
// segment is inserted before the path (RFC 9728 §3.1).
func wellKnownFor(path string) string {
	if path == "/" {
		return oauth.WellKnownResource
	}
	return oauth.WellKnownResource + path
}

// metadataDocuments renders every discovery document once. A document exists for
// each path of each resource, with and without a trailing slash, naming exactly
// the URL it was derived from, because some clients compare byte for byte (R2.5);
// and at the root, where it speaks of the resource that is there, or else of the
// issuer's first one.
func (s *Server) metadataDocuments() (map[string][]byte, error) {
	docs := map[string]any{oauth.WellKnownServer: s.serverMetadata()}
	for _, res := range s.cfg.Resources {
		for _, p := range append([]string{res.Path}, res.Also...) {
			if p == "/" {
				continue // the root documents, below
			}
			docs[wellKnownFor(p)] = s.resourceMetadata(res, s.cfg.Issuer+p)
			docs[wellKnownFor(p+"/")] = s.resourceMetadata(res, s.cfg.Issuer+p+"/")
		}
	}
	root := s.cfg.Resources[0]
	if g := s.byResource[s.cfg.Issuer]; g != nil {
		root = g.cfg
	}
	docs[oauth.WellKnownResource] = s.resourceMetadata(root, s.cfg.Issuer)
	docs[oauth.WellKnownResource+"/"] = s.resourceMetadata(root, s.cfg.Issuer+"/")

	out := make(map[string][]byte, len(docs))
	for path, doc := range docs {
		b, err := json.Marshal(doc)
		if err != nil {
			return nil, err
		}
		out[path] = b
	}
	return out, nil
}

// appendedWellKnowns are the addresses of a client that takes a resource for an
// issuer and appends the well-known segment instead of inserting it. They lie
// below the resource, whose guard would answer 401 or, to a web page, nothing it
// can read; both make clients give up where a 404 lets them go on (R2.9).
func (s *Server) appendedWellKnowns() []string {
	var paths []string
	for _, res := range s.cfg.Resources {
		for _, p := range append([]string{res.Path}, res.Also...) {
			if p != "/" {
				paths = append(paths, p+oauth.WellKnownOpenID, p+oauth.WellKnownServer)
			}
		}
	}
	return paths
}

func (s *Server) resourceMetadata(res *Resource, resource string) *oauth.ResourceMetadata {
	return &oauth.ResourceMetadata{
		Resource:               resource,
		AuthorizationServers:   []string{s.cfg.Issuer},
		ScopesSupported:        res.Scopes,
		BearerMethodsSupported: []string{"header"},
		ResourceName:           res.Name,
	}
}

func (s *Server) serverMetadata() *oauth.ServerMetadata {
	var scopes, resources []string
	for _, res := range s.cfg.Resources {
		resources = append(resources, resourceURL(s.cfg.Issuer, res.Path))
		scopes = append(scopes, res.Scopes...)
	}
	return oauth.NewServerMetadata(s.cfg.Issuer, oauth.ServerMetadataOptions{
		Scopes:             scopes,
		Registration:       s.cfg.Registration.Mode != RegistrationOff,
		Revocation:         true,
		Introspection:      true,
		JWKS:               true,
		ClientIDDocuments:  s.cfg.ClientDocuments.Enabled,
		PrivateKeyJWT:      s.anyAssertions(),
		ProtectedResources: resources,
	})
}

// metadataMaxAge is short enough that moving to another issuer is noticed soon
// (RFC 9728 §7.10), long enough to spare every connect a request.
const metadataMaxAge = "public, max-age=300"

func serveDocument(doc []byte) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, _ *http.Request) {
		h := w.Header()
		h.Set("Content-Type", "application/json")
		h.Set("Cache-Control", metadataMaxAge)
		h.Set("X-Content-Type-Options", "nosniff")
		_, _ = w.Write(doc) // the client hanging up is not our failure
	}
}
