// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"net/http"
	"slices"
)

// walk repeats the discovery of one client family on what was observed.
type walk struct {
	f family
	o *observation
	v *Verdict
	// cause is the check because of which the client goes on without protected
	// resource metadata; "" if it has it.
	cause string
}

// walkAll judges every family.
func walkAll(o *observation) []Verdict {
	verdicts := make([]Verdict, 0, len(families))
	for _, f := range families {
		w := &walk{f: f, o: o, v: &Verdict{ID: f.id, Name: f.name}}
		w.run()
		verdicts = append(verdicts, *w.v)
	}
	return verdicts
}

// fails notes what ends the client's discovery. The walk goes on, so that
// everything is found at once.
func (w *walk) fails(check, why string) {
	if !slices.ContainsFunc(w.v.Blockers, func(b Blocker) bool { return b.Check == check }) {
		w.v.Blockers = append(w.v.Blockers, Blocker{Check: check, Why: why})
	}
}

// copes notes what the client finds a way around.
func (w *walk) copes(check, how string) {
	if !slices.ContainsFunc(w.v.Notes, func(b Blocker) bool { return b.Check == check }) {
		w.v.Notes = append(w.v.Notes, Blocker{Check: check, Why: how})
	}
}

func (w *walk) run() {
	if !w.reach() {
		return
	}
	w.firstAnswer()
	expected := w.authorizationServer()
	if w.f.needsNotFound {
		w.forbiddenWellKnowns()
	}
	if d := w.serverMetadata(expected); d != nil {
		w.useServer(d)
	}
	if w.f.page {
		w.asPage()
	}
	w.registrations()
}

// reach is the connection; false where there is nothing to go on with.
func (w *walk) reach() bool {
	t := w.o.target
	if w.f.hosted {
		switch {
		case t.loopback() || slices.ContainsFunc(w.o.addresses, private):
			w.fails(checkAddress, "it runs at its vendor and cannot reach an address of this network")
		case !t.https():
			w.fails(checkScheme, "it connects to https only")
		}
	}
	if !t.https() && !t.loopback() {
		w.fails(checkScheme, "it sends no credentials over plain http, except on this computer")
	}
	if e := w.o.first(); e.Err != nil {
		id := checkConnect
		if tlsProblem(e.Err) != "" {
			id = checkTLS
		}
		w.fails(id, "it cannot connect")
		return false
	}
	return true
}

// firstAnswer is the request without a token: everything begins with a 401.
func (w *walk) firstAnswer() {
	e := w.o.first()
	if w.f.id == goSDK {
		e = w.o.modern
	}
	switch {
	case e.ok(http.StatusUnauthorized):
	case e.Err != nil:
		w.fails(checkUnauthenticated, "its first request gets no answer")
	case e.Status >= 200 && e.Status < 300:
		w.fails(checkUnauthenticated, "it is let in without a token, so it never starts to sign anybody in")
	case e.redirect() && keepsMethod(e):
		if next, err := resolve(e.URL, e.Header.Get("Location")); err == nil && w.f.mismatchFatal && !w.f.resource(w.o.target, next, false) {
			w.fails(checkUnauthenticated, "it follows the redirect, and then refuses the metadata, which is that of another URL")
			return
		}
		w.copes(checkUnauthenticated, "it follows the redirect")
	case e.redirect():
		w.fails(checkUnauthenticated, "the redirect turns its POST into a GET, or leads to another origin, where it sends no token")
	case e.firewall():
		w.fails(checkUnauthenticated, "a web page answers in place of the server")
	default:
		w.fails(checkUnauthenticated, "only a 401 makes it look for the way to sign in")
	}
	if c, ok := bearer(parsed(w.o.challengeHeader())); ok && c.params["error"] != "" && w.f.id == grok {
		w.copes(checkChallengeError, "some versions are reported to give up at an error code before they sent a token")
	}
}

// keepsMethod reports whether a redirect repeats the POST at the same origin.
func keepsMethod(e *Exchange) bool {
	next, err := resolve(e.URL, e.Header.Get("Location"))
	return err == nil && sameOrigin(next, e.URL) &&
		(e.Status == http.StatusTemporaryRedirect || e.Status == http.StatusPermanentRedirect)
}

// parsed is parseChallenges of a header that may be malformed.
func parsed(values []string) []challenge {
	list, err := parseChallenges(values)
	if err != nil {
		return nil
	}
	return list
}

// forbiddenWellKnowns: for some clients a refusal at an address where nothing
// needs to be is the end.
func (w *walk) forbiddenWellKnowns() {
	for _, e := range w.o.others {
		if e.ok(http.StatusUnauthorized) || e.ok(http.StatusForbidden) {
			w.fails(checkWellKnown, "it looks there too, and a refusal instead of a 404 ends its discovery")
		}
	}
}

// asPage is what a browser lets the client's page read.
func (w *walk) asPage() {
	b := w.o.browser
	for _, d := range []*document{w.o.resource, w.o.server()} {
		if d != nil && d.readable() && !d.corsFrom(inspectorOrigin) {
			w.fails(checkMetadataCORS, "it runs in a web page, and the browser keeps the metadata from it")
		}
	}
	for _, e := range b.endpoints {
		if !allowsPage(e, inspectorOrigin, "content-type") {
			w.fails(checkEndpointCORS, "it runs in a web page, and the browser does not let it register or fetch a token")
		}
	}
	switch {
	case allowsPage(b.preflight, inspectorOrigin, "authorization"):
	case b.preflight.ok(http.StatusForbidden) && b.own != nil && allowsPage(b.own, b.origin, "authorization"):
		w.copes(checkPreflight, "its direct mode is refused; through its own proxy it works")
	default:
		w.copes(checkPreflight, "its direct mode does not work; through its own proxy it does")
	}
}

// registrations is what the throw-away clients were told.
func (w *walk) registrations() {
	r, id := w.o.registerPublic, checkRegisterPublic
	if w.f.secret {
		r, id = w.o.registerSecret, checkRegisterSecret
	}
	if r == nil || r.problem == "" {
		return
	}
	if w.f.documents && w.o.server().flag("client_id_metadata_document_supported") {
		w.copes(id, "it uses a client ID metadata document instead")
		return
	}
	w.fails(id, "it cannot register: "+r.problem)
}
