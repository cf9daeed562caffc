// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"net/http"
	"strings"
)

// candidate is a document a client may read, and whether it is the root's.
type candidate struct {
	*document
	root bool
}

// authorizationServer finds the protected resource metadata as the client does,
// and returns the issuer it goes on with; "" where it is stuck.
func (w *walk) authorizationServer() string {
	for _, c := range w.resourceCandidates() {
		if !c.readable() {
			continue
		}
		if w.f.validates && len(c.rejected) > 0 {
			w.copes(checkResourceForm, "it throws the document away, because of "+strings.Join(c.rejected, ", ")+
				", and takes the origin for the authorization server")
			return w.origin()
		}
		resource := c.str("resource")
		if !w.f.resource(w.o.target, resource, c.root) {
			if w.f.mismatchFatal {
				w.fails(checkResource, "it refuses metadata of another resource, "+printable(resource))
				return w.firstServer(c)
			}
			w.copes(checkResource, "it ignores the document, which speaks of another resource, "+printable(resource))
			continue
		}
		return w.firstServer(c)
	}
	if w.f.needsMetadata {
		w.fails(checkMetadata, "without protected resource metadata it does not find the authorization server")
		return w.origin()
	}
	w.copes(checkMetadata, "it takes the origin for the authorization server, as in the revision 2025-03-26")
	return w.origin()
}

// origin is the authorization server of the first revision: the host itself.
func (w *walk) origin() string {
	if w.f.validates && w.f.strictFetch { // the URL class writes the slash
		return w.o.target.Origin + "/"
	}
	return w.o.target.Origin
}

func (w *walk) firstServer(c candidate) string {
	list := c.list("authorization_servers")
	if len(list) > 0 {
		return list[0]
	}
	if w.f.serversFatal {
		w.fails(checkServers, "the metadata names no authorization server")
	} else {
		w.copes(checkServers, "the metadata names no authorization server; it takes the origin")
	}
	return w.origin()
}

// resourceCandidates are the documents the client reads, in its order.
func (w *walk) resourceCandidates() []candidate {
	o := w.o
	wellKnown := []candidate{{document: o.resource}, {document: o.rootResource, root: true}}
	if o.resource.URL == o.rootResource.URL {
		wellKnown = wellKnown[1:]
	}
	address := w.f.read(o.challengeHeader())
	if address == "" {
		w.withoutAddress()
		return wellKnown
	}
	if w.f.challengeOrigin && !sameOrigin(address, o.target.URL) {
		w.fails(checkChallengeURL, "it reads metadata of the server's own origin only")
	}
	if w.f.challengePath && address != o.resource.URL {
		w.fails(checkChallengeURL, "the challenge must name the metadata of exactly this path")
	}
	d := o.documentAt(address)
	if d == nil || !d.readable() {
		if d != nil && d.Err == nil && d.Status >= http.StatusInternalServerError {
			w.copes(checkMetadata, "the address in the challenge answers with an error")
		}
	}
	if w.f.namedOnly {
		return []candidate{{document: d, root: address == o.rootResource.URL && address != o.resource.URL && w.f.id != goSDK}}
	}
	return append([]candidate{{document: d}}, wellKnown...)
}

// withoutAddress notes why the client does not see resource_metadata.
func (w *walk) withoutAddress() {
	switch {
	case parsedReading(w.o.challengeHeader()) == "" && quotedReading(w.o.challengeHeader()) == "" &&
		firstWordReading(w.o.challengeHeader()) == "":
		w.copes(checkChallenge, "the challenge names no metadata; it tries the well-known addresses")
	default:
		w.copes(checkChallenge, "it cannot read resource_metadata in this form; it tries the well-known addresses")
	}
}

// documentAt is the document of an address that was fetched, or nil.
func (o *observation) documentAt(address string) *document {
	for _, d := range []*document{o.named, o.resource, o.rootResource, o.slashResource} {
		if d != nil && d.URL == address {
			return d
		}
	}
	return nil
}
