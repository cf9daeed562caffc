// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"errors"
	"strings"
)

// candidate is a document a client may read, and whether it is the root's.
type candidate struct {
	*document
	root bool
}

// authorizationServer finds the protected resource metadata as the client does,
// and returns the issuer it goes on with.
func (w *walk) authorizationServer() string {
	for _, c := range w.resourceCandidates() {
		if !c.readable() {
			continue
		}
		if w.f.validates && len(c.rejected) > 0 {
			return w.withoutDocument(checkResourceForm, "it throws the document away, because of "+strings.Join(c.rejected, ", "))
		}
		if w.f.validates && !c.has("resource") {
			return w.withoutDocument(checkResource, "it throws the document away, because it has no resource")
		}
		resource := c.str("resource")
		if w.f.resource(w.o.target, resource, c.root) {
			return w.firstServer(c)
		}
		check := checkResource
		if c.root && !w.o.resource.readable() {
			check = checkMetadata // there is nothing better to read
		}
		if w.f.mismatchFatal {
			w.fails(check, "it refuses metadata of another resource, "+printable(resource))
			return w.firstServer(c)
		}
		w.cause = check
		w.copes(check, "it ignores the document, which speaks of another resource, "+printable(resource))
	}
	if w.cause == "" {
		w.cause = checkMetadata
		if w.o.resource.readable() {
			w.cause = checkChallengeURL // it looked there only
		}
	}
	if w.f.needsMetadata {
		w.fails(w.cause, "without protected resource metadata it does not find the authorization server")
	}
	return w.withoutDocument(w.cause, "it finds no metadata it can use")
}

// withoutDocument goes on as in the revision 2025-03-26. What fails from here on
// fails because of cause.
func (w *walk) withoutDocument(cause, why string) string {
	w.cause = cause
	w.copes(cause, why+", and takes the origin for the authorization server")
	return w.origin()
}

// origin is the authorization server of the first revision: the host itself, in
// the spelling of the client.
func (w *walk) origin() string {
	switch t := w.o.target; {
	case w.f.read != nil && w.f.validates && w.f.strictFetch: // the URL class
		return originOf(t.URL) + "/"
	case w.f.id == goSDK && t.parsed.RawQuery != "":
		return t.Origin + "?" + t.parsed.RawQuery
	case w.f.id == goSDK:
		return t.Origin
	default:
		return originOf(t.URL)
	}
}

func (w *walk) firstServer(c candidate) string {
	list := c.list("authorization_servers")
	switch {
	case len(list) > 0 && secureURL(list[0]):
		return list[0]
	case len(list) > 0 && w.f.id != goSDK: // which reads the next document
		w.fails(checkServers, "it signs in at no authorization server over plain http")
	case len(list) == 0 && w.f.serversFatal:
		w.fails(checkServers, "the metadata names no authorization server")
	}
	return w.withoutDocument(checkServers, "the metadata names no authorization server it can use")
}

// resourceCandidates are the documents the client reads, in its order.
func (w *walk) resourceCandidates() []candidate {
	o := w.o
	wellKnown := []candidate{{document: o.resource}, {document: o.rootResource, root: true}}
	if o.resource.URL == o.rootResource.URL {
		wellKnown = wellKnown[1:]
	}
	if _, err := parseChallenges(o.challengeHeader()); errors.Is(err, errUnterminated) && w.f.id == goSDK {
		w.fails(checkChallenge, "it stops at a header it cannot parse")
	}
	address := w.f.read(o.challengeHeader())
	if address == "" {
		w.withoutAddress()
		return wellKnown
	}
	if w.f.challengeOrigin && !sameOrigin(address, o.target.URL) {
		w.fails(checkChallengeURL, "it reads metadata of the server's own origin only")
	}
	if w.f.challengePath && !o.target.inserted(address) {
		w.fails(checkChallengeURL, "the challenge must name the metadata of exactly this path")
	}
	d := o.documentAt(address)
	switch {
	case d == nil || d.readable() || d.URL == o.resource.URL:
	case w.f.id == tsSDK2 && d.Err != nil && !errors.Is(d.Err, errNotFetched):
		w.fails(checkChallengeURL, "it stops where the address in the challenge cannot be reached")
	default:
		w.copes(checkChallengeURL, "there is nothing to read at the address in the challenge")
	}
	if w.f.namedOnly {
		return []candidate{{document: d, root: address == o.rootResource.URL}}
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
