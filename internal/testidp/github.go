// SPDX-License-Identifier: Apache-2.0

// Package testidp is a GitHub for tests: the OAuth web flow and the few API
// endpoints that signing in needs, in one process, scriptable, and faithful to
// what github.com does where a client could notice.
//
// It serves the web pages and the API from one handler: point base_url at the
// server's root, and api_url at the root as well or at /api/v3, which is where
// GitHub Enterprise Server has it. A handler that is reached by two host names
// passes for github.com and api.github.com.
package testidp

import (
	"net/http"
	"strings"
	"sync"
	"time"
)

// Config is the one OAuth app that the fake knows. Zero fields take the
// defaults that are documented here.
type Config struct {
	// ClientID and ClientSecret are the app's. Defaults "Ov23liTestClient" and
	// "test-client-secret".
	ClientID, ClientSecret string
	// RedirectURIs are the registered callback URLs. None means that any
	// absolute URL will do, which GitHub never allows.
	RedirectURIs []string
	// PageSize is the most entries a page has, so that small sets have several.
	// Default 100, as at GitHub; a request without per_page gets 30.
	PageSize int
	// OmitIssuer leaves out the iss parameter (RFC 9207), as GitHub Enterprise
	// Server does.
	OmitIssuer bool
	// App makes it a GitHub App: tokens begin with ghu_ and have no scopes. They end
	// after eight hours and come with a refresh token, unless KeepTokens opts out.
	App, KeepTokens bool
	// RateLimit is how many requests a user has per hour, with all tokens together.
	// Default 5000.
	RateLimit int
	// LinkOn304 repeats the Link header in answers with 304. GitHub does not say
	// whether it does.
	LinkOn304 bool
	// Now is the clock of codes, tokens and limits. Default time.Now.
	Now func() time.Time
}

// GitHub is the fake. All methods are safe for concurrent use.
type GitHub struct {
	cfg Config
	mux *http.ServeMux

	mu       sync.Mutex
	mode     Mode
	current  int64
	users    map[int64]*User
	codes    map[string]*code
	tokens   []*token // oldest first
	sessions map[string]int64
	approved map[approval]bool
	granted  *[]string // overrides what is granted, if not nil
	suspend  bool
	quotas   map[int64]*quota
	uses     int // of all tokens, to order them by last use
	orgs     orgs
	faults   map[string][]Fault // scripted: one per request
	standing map[string]Fault   // until Heal
	requests []Request
}

// Mode is what happens on the authorization page.
type Mode int

const (
	// Approve is the default: the current user consents at once. Without a
	// current user it acts like Interactive.
	Approve Mode = iota
	// Deny: the current user presses Cancel at once.
	Deny
	// Interactive shows GitHub's sign-in and consent pages as plain forms.
	Interactive
)

// New returns a fake without users.
func New(cfg Config) *GitHub {
	if cfg.ClientID == "" {
		cfg.ClientID = "Ov23liTestClient"
	}
	if cfg.ClientSecret == "" {
		cfg.ClientSecret = "test-client-secret"
	}
	if cfg.PageSize <= 0 || cfg.PageSize > 100 {
		cfg.PageSize = 100
	}
	if cfg.RateLimit <= 0 {
		cfg.RateLimit = rateLimit
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	g := &GitHub{
		cfg:      cfg,
		users:    make(map[int64]*User),
		codes:    make(map[string]*code),
		sessions: make(map[string]int64),
		approved: make(map[approval]bool),
		quotas:   make(map[int64]*quota),
		orgs:     newOrgs(),
		faults:   make(map[string][]Fault),
		standing: make(map[string]Fault),
	}
	g.mux = g.routes()
	return g
}

func (g *GitHub) routes() *http.ServeMux {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /login/oauth/authorize", g.serveAuthorize)
	mux.HandleFunc("POST /login/oauth/authorize", g.serveDecision)
	mux.HandleFunc("POST /session", g.serveSession)
	mux.HandleFunc("POST /login/oauth/access_token", g.serveToken)
	for _, prefix := range []string{"", apiPrefix} {
		mux.HandleFunc("GET "+prefix+"/user", g.api("", g.serveUser))
		mux.HandleFunc("GET "+prefix+"/user/emails", g.api("user:email", g.serveEmails))
		mux.HandleFunc("GET "+prefix+"/user/orgs", g.api("read:org", g.serveOrgs))
		mux.HandleFunc("GET "+prefix+"/user/teams", g.api("read:org", g.serveTeams))
		mux.HandleFunc("GET "+prefix+"/user/memberships/orgs", g.api("read:org", g.serveMemberships))
		mux.HandleFunc("GET "+prefix+"/user/memberships/orgs/{org}", g.api("read:org", g.serveMembership))
		mux.HandleFunc("GET "+prefix+"/orgs/{org}", g.api("", g.serveOrg))
		mux.HandleFunc("GET "+prefix+"/orgs/{org}/teams/{team}", g.api("read:org", g.serveTeam))
		mux.HandleFunc("GET "+prefix+"/orgs/{org}/teams/{team}/memberships/{login}", g.api("read:org", g.serveTeamMembership))
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { g.notFound(w) })
	return mux
}

const apiPrefix = "/api/v3"

// pathOf is a request's path as faults and the recorder name it: without the
// API prefix, so that a test does not depend on where the API is mounted.
func pathOf(r *http.Request) string {
	if rest, ok := strings.CutPrefix(r.URL.Path, apiPrefix); ok && strings.HasPrefix(rest, "/") {
		return rest
	}
	return r.URL.Path
}

// ServeHTTP implements http.Handler.
func (g *GitHub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if err := g.record(r); err != nil {
		http.Error(w, "unreadable request", http.StatusBadRequest)
		return
	}
	w.Header().Set("X-GitHub-Request-Id", strings.ToUpper(randomHex(2)+":"+randomHex(3)+":"+randomHex(8)))
	if fault := g.nextFault(pathOf(r)); fault != nil {
		fault(w, r, g.mux)
		return
	}
	g.mux.ServeHTTP(w, r)
}

// ClientID is the app's client id.
func (g *GitHub) ClientID() string { return g.cfg.ClientID }

// ClientSecret is the app's client secret.
func (g *GitHub) ClientSecret() string { return g.cfg.ClientSecret }

// SetMode chooses what happens on the authorization page.
func (g *GitHub) SetMode(m Mode) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.mode = m
}

// SetRedirectURIs registers callback URLs, for a gateway whose address is known
// only after the fake's.
func (g *GitHub) SetRedirectURIs(uris ...string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.cfg.RedirectURIs = uris
}

// Suspend makes GitHub refuse the app at the authorization page.
func (g *GitHub) Suspend(suspended bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.suspend = suspended
}

// Grant makes every further sign-in grant exactly these scopes, whatever was
// asked for: a user or an organization that withholds a permission.
func (g *GitHub) Grant(scopes ...string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.granted = &scopes
}
