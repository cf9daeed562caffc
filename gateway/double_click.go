// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
	"github.com/caddy-mcp/caddy-mcp-oauth/token"
	"github.com/caddy-mcp/caddy-mcp-oauth/upstream"
)

// repeatTime is how long the answer to a password is kept for its own second click.
const repeatTime = 10 * time.Second

// answeredSignIns are the sign-ins with a password that end at this moment. Who
// clicks twice sends the form twice and sees the answer to the second one only; by
// then the sign-in is taken, and the code would be lost with the first answer. So
// the second one gets the same answer: it comes from the same browser, with the same
// secret cookie, form and password, within seconds. The sign-in is still taken once
// and has one code. Another gateway over the same store does not know the answer,
// and there it is over. The zero value is ready for use.
type answeredSignIns struct {
	mu   sync.Mutex
	byID map[storage.Hash]*answered
}

// answered is one of them. Everything but until is fixed once done is closed.
type answered struct {
	pending *storage.Pending
	subject string
	done    chan struct{}
	until   time.Time
	// answer is nil if there is none worth repeating.
	answer *recorded
}

// begin is true for the first one to get here, who has to call end.
func (t *answeredSignIns) begin(p *storage.Pending, subject string, now time.Time) (*answered, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for id, a := range t.byID {
		if now.After(a.until) {
			delete(t.byID, id)
		}
	}
	if a := t.byID[p.ID]; a != nil {
		return a, false
	}
	if t.byID == nil {
		t.byID = make(map[storage.Hash]*answered)
	}
	a := &answered{pending: p, subject: subject, done: make(chan struct{}), until: now.Add(finishTime + repeatTime)}
	t.byID[p.ID] = a
	return a, true
}

// end keeps the answer for a moment, or forgets the sign-in if it is nil.
func (t *answeredSignIns) end(a *answered, answer *recorded, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	a.answer, a.until = answer, now.Add(repeatTime)
	if answer == nil {
		delete(t.byID, a.pending.ID)
	}
	close(a.done)
}

func (t *answeredSignIns) find(id storage.Hash, now time.Time) *answered {
	t.mu.Lock()
	defer t.mu.Unlock()
	if a := t.byID[id]; a != nil && !now.After(a.until) {
		return a
	}
	return nil
}

// findAnswered is findPending for a form whose sign-in was taken a moment ago. bad is
// what to say if it was not, or not by this browser.
func (s *Server) findAnswered(r *http.Request, up upstream.Upstream, state string, bad *problem) (*storage.Pending, *problem) {
	id := token.Hash(state)
	a := s.answered.find(id, s.st.now())
	cookie := s.cookies.get(r, stateName(id))
	if a == nil || a.pending.Upstream != up.Name() || cookie == "" || !equalHash(token.Hash(cookie), a.pending.Browser) {
		return nil, bad
	}
	return a.pending, nil
}

// finishOnce ends a sign-in whose password was right: the first time for good, and
// once more for a second click. in is who the password was of, each time.
func (s *Server) finishOnce(
	w http.ResponseWriter, r *http.Request, up upstream.Upstream, p *storage.Pending, state string, in *upstream.SignIn,
) {
	a, first := s.answered.begin(p, in.Identity.Subject(), s.st.now())
	if !first && s.repeatAnswer(w, r, a, in.Identity.Subject()) {
		return
	}
	rec := &recorder{ResponseWriter: w}
	if first {
		defer func() { s.answered.end(a, rec.answer(), s.st.now()) }()
	}
	// The browser hangs up on the first of two clicks, which must not tear it apart.
	ctx, cancel := finish(r.Context())
	defer cancel()
	r = r.WithContext(ctx)
	if taken := s.takePending(rec, r, up, state); taken != nil {
		s.completeSignIn(rec, r, taken, in)
	}
}

// repeatAnswer waits for the first click and answers the same. It is false where
// there is no answer to repeat.
func (s *Server) repeatAnswer(w http.ResponseWriter, r *http.Request, a *answered, subject string) bool {
	select {
	case <-a.done:
	case <-r.Context().Done():
		s.showProblem(w, r, problemExpired.withFlow(a.pending.Flow).withCause(context.Cause(r.Context())))
		return true
	}
	if a.answer == nil || a.subject != subject {
		return false
	}
	if code := a.answer.code(); code != "" {
		if bad := s.usedCode(r.Context(), code); bad != nil {
			s.showProblem(w, r, bad.withFlow(a.pending.Flow))
			return true
		}
	}
	s.log.Info("sign-in answered again", "flow", a.pending.Flow, "subject", subject)
	a.answer.writeTo(w)
	return true
}

// usedCode says why a code must not be given to the browser again. A client that got
// the same code twice might redeem it twice, and lose the grant for it.
func (s *Server) usedCode(ctx context.Context, code string) *problem {
	grantID, err := s.st.ring.Load().ParseCode(code)
	if err != nil {
		return &problemExpired
	}
	g, err := s.st.store.Grant(ctx, s.cfg.Issuer, grantID)
	switch {
	case errors.Is(err, storage.ErrNotFound):
		return &problemExpired
	case err != nil:
		bad := problemStore.withCause(err)
		return &bad
	case !g.Code.RedeemedAt.IsZero():
		return &problemSignedIn
	}
	return nil
}

// problemSignedIn is none: both clicks arrived, and the first was enough.
var problemSignedIn = problem{
	status: http.StatusOK, reason: "signed_in",
	title: "You are signed in",
	text:  "Your program is connected.",
	hint:  "Close this page and go on in your MCP client.",
}

// recorded is an answer that can be given again.
type recorded struct {
	status int
	header http.Header
	body   []byte
}

func (a *recorded) writeTo(w http.ResponseWriter) {
	for name, values := range a.header {
		w.Header()[name] = slices.Clone(values)
	}
	w.WriteHeader(a.status)
	_, _ = w.Write(a.body)
}

// code is the authorization code in the answer, empty if it is a page.
func (a *recorded) code() string {
	to, err := url.Parse(a.header.Get("Location"))
	if err != nil {
		return ""
	}
	return to.Query().Get("code")
}

// recorder writes an answer and keeps it. Answers are redirects and pages of ours.
type recorder struct {
	http.ResponseWriter
	recorded
	buf bytes.Buffer
}

func (r *recorder) WriteHeader(status int) {
	if r.status == 0 {
		r.status, r.header = status, r.Header().Clone()
	}
	r.ResponseWriter.WriteHeader(status)
}

func (r *recorder) Write(p []byte) (int, error) {
	r.buf.Write(p)
	return r.ResponseWriter.Write(p)
}

// answer is what can be repeated. A fault is not: the next click may do better, and
// neither is that the sign-in was over before.
func (r *recorder) answer() *recorded {
	if r.status != http.StatusSeeOther && r.status != http.StatusForbidden {
		return nil
	}
	return &recorded{status: r.status, header: r.header, body: r.buf.Bytes()}
}
