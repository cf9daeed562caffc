// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-mcp/caddy-mcp-oauth/identity"
	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
	"github.com/caddy-mcp/caddy-mcp-oauth/token"
	"github.com/caddy-mcp/caddy-mcp-oauth/upstream"
)

// memStore is a store of what checks touch, in memory: no file, so that time can be
// made up. Every other verb panics.
type memStore struct {
	storage.Store
	mu       sync.Mutex
	accounts map[string]storage.Account
	grants   map[string]storage.Grant
	// sessions and consents count what is left of a subject.
	sessions, consents map[string]int
	// before runs ahead of every verb, without the lock; an error is its answer.
	before func(verb, id string) error
	reads  int
}

func newMemStore() *memStore {
	return &memStore{
		accounts: map[string]storage.Account{}, grants: map[string]storage.Grant{},
		sessions: map[string]int{}, consents: map[string]int{},
	}
}

func (s *memStore) step(verb, id string) error {
	s.mu.Lock()
	before := s.before
	s.mu.Unlock()
	if before == nil {
		return nil
	}
	return before(verb, id)
}

// intercept sets what runs ahead of every verb from now on.
func (s *memStore) intercept(f func(verb, id string) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.before = f
}

func (s *memStore) Grant(ctx context.Context, issuer, id string) (*storage.Grant, error) {
	if err := s.step("Grant", id); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	g, ok := s.grants[id]
	if !ok || g.Issuer != issuer {
		return nil, storage.ErrNotFound
	}
	return &g, ctx.Err()
}

func (s *memStore) GrantsOf(ctx context.Context, subject string) ([]*storage.Grant, error) {
	if err := s.step("GrantsOf", subject); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []*storage.Grant
	for _, g := range s.grants {
		if g.Subject == subject {
			list = append(list, &g)
		}
	}
	return list, ctx.Err()
}

func (s *memStore) CreateGrant(_ context.Context, g *storage.Grant) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.grants[g.ID] = *g
	return nil
}

func (s *memStore) RevokeGrant(_ context.Context, _, id string) error {
	if err := s.step("RevokeGrant", id); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.grants, id)
	return nil
}

func (s *memStore) Account(ctx context.Context, subject string) (*storage.Account, error) {
	if err := s.step("Account", subject); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reads++
	a, ok := s.accounts[subject]
	if !ok {
		return nil, storage.ErrNotFound
	}
	return &a, ctx.Err()
}

func (s *memStore) SaveAccount(_ context.Context, a *storage.Account) error {
	if err := s.step("SaveAccount", a.Subject); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	next := *a
	next.Revision = s.accounts[a.Subject].Revision + 1
	s.accounts[a.Subject] = next
	return nil
}

func (s *memStore) ReplaceAccount(_ context.Context, a *storage.Account) error {
	if err := s.step("ReplaceAccount", a.Subject); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	old, ok := s.accounts[a.Subject]
	switch {
	case !ok:
		return storage.ErrNotFound
	case old.Revision != a.Revision:
		return storage.ErrChanged
	}
	next := *a
	next.Revision++
	s.accounts[a.Subject] = next
	return nil
}

func (s *memStore) Accounts(_ context.Context, cursor string, limit int) (page []*storage.Account, next string, err error) {
	if err := s.step("Accounts", cursor); err != nil {
		return nil, "", err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var first string
	for len(page) < limit {
		first = ""
		for subject := range s.accounts {
			if subject > cursor && (first == "" || subject < first) {
				first = subject
			}
		}
		if first == "" {
			return page, "", nil
		}
		a := s.accounts[first]
		page, cursor = append(page, &a), first
	}
	return page, cursor, nil
}

func (s *memStore) DeleteSessions(_ context.Context, subject string) error {
	if err := s.step("DeleteSessions", subject); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.sessions, subject)
	return nil
}

func (s *memStore) DeleteConsents(_ context.Context, issuer, subject string) error {
	if err := s.step("DeleteConsents", subject); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.consents, issuer+" "+subject)
	return nil
}

func (s *memStore) Close() error { return nil }

// account is the record of a subject, the zero value if there is none.
func (s *memStore) account(subject string) storage.Account {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.accounts[subject]
}

func (s *memStore) hasGrant(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ok := s.grants[id]
	return ok
}

// idp is an upstream that answers about people as told.
type idp struct {
	name     string
	tokenful bool

	mu     sync.Mutex
	people map[string]identity.Identity // by subject
	// answer, if set, answers instead.
	answer func(ctx context.Context, last identity.Identity, tok *upstream.Token, save func(*upstream.Token) error) (identity.Identity, error)
	renew  func(ctx context.Context, tok *upstream.Token) (*upstream.Token, error)
	asked  []string
	used   []string // access tokens
}

func newIDP(people ...identity.Identity) *idp {
	p := &idp{name: "github", tokenful: true, people: map[string]identity.Identity{}}
	for _, id := range people {
		p.people[id.Subject()] = id
	}
	return p
}

func (p *idp) Name() string     { return p.name }
func (p *idp) Kind() string     { return identity.KindGitHub }
func (p *idp) Label() string    { return "GitHub" }
func (p *idp) NeedsToken() bool { return p.tokenful }

func (p *idp) Check(
	ctx context.Context, last identity.Identity, tok *upstream.Token, save func(*upstream.Token) error,
) (identity.Identity, error) {
	p.mu.Lock()
	p.asked = append(p.asked, last.Subject())
	if tok != nil {
		p.used = append(p.used, tok.Access)
	}
	answer, id := p.answer, p.people[last.Subject()]
	p.mu.Unlock()
	switch {
	case answer != nil:
		return answer(ctx, last, tok, save)
	case id.ID == "":
		return identity.Identity{}, upstream.Refuse(upstream.ReasonRevoked, "no such user")
	}
	return id, nil
}

func (p *idp) Refresh(ctx context.Context, tok *upstream.Token) (*upstream.Token, error) {
	p.mu.Lock()
	renew := p.renew
	p.used = append(p.used, tok.Refresh)
	p.mu.Unlock()
	return renew(ctx, tok)
}

// says makes it answer everything alike; nil for as usual.
func (p *idp) says(err *upstream.Refusal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.answer = nil
	if err != nil {
		p.answer = func(context.Context, identity.Identity, *upstream.Token, func(*upstream.Token) error) (identity.Identity, error) {
			return identity.Identity{}, err
		}
	}
}

// does makes it answer with f.
func (p *idp) does(f func(ctx context.Context, last identity.Identity, tok *upstream.Token, save func(*upstream.Token) error) (identity.Identity, error)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.answer = f
}

// is makes it know a person as this from now on.
func (p *idp) is(id identity.Identity) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.people[id.Subject()] = id
}

func (p *idp) lose(subject string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.people, subject)
}

// questions is how often it was asked.
func (p *idp) questions() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.asked)
}

// lab is a guard over a memory store, with an upstream that can be asked. Members of
// acme may use its resource. It belongs into a synctest bubble.
type lab struct {
	*testbed
	mem    *memStore
	idp    *idp
	log    *strings.Builder
	logMu  *sync.Mutex
	counts map[Event]int
	policy func(string, identity.Identity) bool
}

const labInterval, labOutage = 10 * time.Minute, 24 * time.Hour

type lockedWriter struct {
	mu *sync.Mutex
	b  *strings.Builder
}

func (w lockedWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.b.Write(p)
}

func newLab(t *testing.T, people ...identity.Identity) *lab {
	t.Helper()
	l := &lab{mem: newMemStore(), idp: newIDP(people...), log: &strings.Builder{}, logMu: &sync.Mutex{}, counts: map[Event]int{}}
	logger := slog.New(slog.NewJSONHandler(lockedWriter{l.logMu, l.log}, &slog.HandlerOptions{Level: slog.LevelDebug}))
	st := NewState(Options{
		Store: l.mem, Ring: token.NewRing(token.Key{1}), Logger: logger,
		Count: func(e Event) { l.logMu.Lock(); l.counts[e]++; l.logMu.Unlock() },
	})
	t.Cleanup(func() { _ = st.Close() })
	pol := testPolicy(t, "org:acme")
	l.policy = func(_ string, id identity.Identity) bool { return pol.Allows(id) }
	st.SetJudge(l.policy)
	res := &Resource{Path: "/mcp", Scopes: []string{"mcp"}, Policy: pol}
	l.testbed = &testbed{t: t, st: st, guard: newGuard(st, testIssuer, res, logger)}
	l.rules(labInterval, labOutage)
	for _, id := range people {
		l.signIn(id)
	}
	return l
}

func (l *lab) rules(interval, outage time.Duration) {
	l.st.SetRecheck(Recheck{
		Interval: interval, Outage: outage, Upstreams: []upstream.Upstream{l.idp}, Allowed: l.policy,
	})
}

// signIn stores what a sign-in of the person leaves: the account, with a token.
func (l *lab) signIn(id identity.Identity) {
	l.t.Helper()
	if err := l.st.saveAccount(context.Background(), nil, id, &upstream.Token{Access: "access-of-" + id.ID}); err != nil {
		l.t.Fatal(err)
	}
}

// grant stores a redeemed grant and returns an access token for it.
func (l *lab) grant(grantID string, id identity.Identity) string {
	l.t.Helper()
	err := l.mem.CreateGrant(context.Background(), &storage.Grant{
		Issuer: testIssuer, ID: grantID, Subject: id.Subject(), ClientID: "c", Resource: testIssuer + "/mcp",
		Identity: id, Code: storage.Code{RedeemedAt: time.Unix(1, 0)}, CreatedAt: time.Now(),
		ForwardsToken: l.guard.cfg.ForwardUpstreamToken,
	})
	if err != nil {
		l.t.Fatal(err)
	}
	raw, err := l.st.ring.Load().SealAccess(token.Access{
		Issuer: testIssuer, GrantID: grantID, Subject: id.Subject(), ClientID: "c", Resource: testIssuer + "/mcp",
		Scopes: []string{"mcp"}, ExpiresAt: time.Now().Add(100 * 24 * time.Hour),
	})
	if err != nil {
		l.t.Fatal(err)
	}
	return raw
}

func (l *lab) request(ctx context.Context, raw string) *http.Request {
	r := httptest.NewRequestWithContext(ctx, http.MethodPost, testIssuer+"/mcp", http.NoBody)
	r.Header.Set("Authorization", "Bearer "+raw)
	return r
}

// use sends one request and returns the status, 503 for what was not decided, and
// how long it took.
func (l *lab) use(raw string) (status int, took time.Duration) {
	l.t.Helper()
	start, rec := time.Now(), httptest.NewRecorder()
	err := l.guard.Serve(rec, l.request(l.t.Context(), raw), "/mcp", func(w http.ResponseWriter, _ *http.Request, _ *Admitted) error {
		w.WriteHeader(http.StatusOK)
		return nil
	})
	if err != nil {
		return http.StatusServiceUnavailable, time.Since(start)
	}
	return rec.Code, time.Since(start)
}

// want holds a request to a status, without any waiting.
func (l *lab) want(raw string, status int, when string) {
	l.t.Helper()
	if got, took := l.use(raw); got != status || took != 0 {
		l.t.Errorf("%s: %d after %v, want %d at once", when, got, took, status)
	}
}

func (l *lab) logged() string {
	l.logMu.Lock()
	defer l.logMu.Unlock()
	return l.log.String()
}

func (l *lab) counted(e Event) int {
	l.logMu.Lock()
	defer l.logMu.Unlock()
	return l.counts[e]
}

// member is somebody in acme.
func member(n int) identity.Identity { return person(fmt.Sprint(n), "acme") }

// pause is how long an answer takes whose caller may give up.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
