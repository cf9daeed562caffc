// SPDX-License-Identifier: Apache-2.0

package caddymodule

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyevents"

	"github.com/caddy-mcp/caddy-mcp-oauth/policy"
)

// appName is the name of the app, the handler and the global option.
const appName = "mcp_oauth"

func init() { caddy.RegisterModule(new(App)) }

// App says who people are and where the state of the authorization server
// lives. It applies to every site that protects an MCP server with the handler
// `mcp_oauth` (directives `mcp_gateway` and `mcp_oauth`).
//
// At least one upstream is required, everything else has a safe default.
// Secrets are written as placeholders, `{env.NAME}` or `{file./path}`, which
// are resolved when the configuration is loaded and never shown by the admin
// API.
type App struct {
	// Issuer is the public origin of the authorization server, such as
	// `https://mcp.example.com`, for all sites. Default: each host name of a site
	// is its own issuer. Needed only where the site address does not say it, as
	// with `:8080` behind a load balancer. Plain http on loopback only.
	Issuer string `json:"issuer,omitempty"`
	// StorageRaw is where the state lives. Default: the engine `bolt` with its
	// default path.
	StorageRaw json.RawMessage `json:"storage,omitempty" caddy:"namespace=mcp_oauth.storage inline_key=engine"`
	// EncryptionKey is the master key, followed by older ones that are still
	// accepted: 32 bytes in base64 each, as made by `openssl rand -base64 32`.
	// Default: generated and kept, readable by its owner only, beside the bolt
	// file. Removing a key invalidates what was sealed with it.
	EncryptionKey []string `json:"encryption_key,omitempty"`
	// UpstreamsRaw are the identity providers users sign in with. If there are
	// several, users choose, and allow rules are qualified as in `ghe/org:acme`.
	UpstreamsRaw []json.RawMessage `json:"upstreams,omitempty" caddy:"namespace=mcp_oauth.upstreams inline_key=kind"`
	// Allow is who may use the resources that have no allow rules of their own:
	// `any`, `user:<login>`, `id:<n>`, `org:<org>`, `team:<org>/<team>`,
	// `email:<address>`, `domain:<domain>`, `group:<group>`, `local:<name>`. Any
	// one suffices.
	Allow []string `json:"allow,omitempty"`
	// AccessTokenTTL is how long an access token lasts. Default: 1h. Clients
	// renew it by themselves.
	AccessTokenTTL caddy.Duration `json:"access_token_ttl,omitempty"`
	// RefreshTokenTTL is how long a client may stay away before the user has to
	// sign in again; every renewal extends it. Default: 90d.
	RefreshTokenTTL caddy.Duration `json:"refresh_token_ttl,omitempty"`
	// RefreshGrace is how long a refresh token is still answered after it was
	// exchanged, for clients that renew twice at once. Default: 60s.
	RefreshGrace *caddy.Duration `json:"refresh_grace,omitempty"`
	// RecheckUpstream is how often membership and account status of the people in
	// use are looked at again at their identity provider: who was removed is refused
	// by the first request after that time. It needs their upstream token, which is
	// kept encrypted. 0 never looks again and keeps no token. Default: 10m.
	RecheckUpstream *caddy.Duration `json:"recheck_upstream,omitempty"`
	// UpstreamOutage is how long the last decision about a person holds while their
	// identity provider cannot be asked. After that they are answered 503 until it
	// can. Default: 24h.
	UpstreamOutage caddy.Duration `json:"upstream_outage,omitempty"`
	// MaxStaleness is how long tokens that were verified before are still accepted
	// while a store that several gateways share cannot be reached, and with it no
	// revocation. After that requests are answered 503 until it can. Default: 60s.
	// No meaning with bolt.
	MaxStaleness *caddy.Duration `json:"max_staleness,omitempty"`
	// Registration says who may register a client (RFC 7591): `open` (default)
	// anybody, as MCP clients expect; `off` nobody; `token` whoever presents
	// registration_token.
	Registration string `json:"registration,omitempty"`
	// RegistrationToken is the initial access token of `token`. Write a
	// placeholder.
	RegistrationToken string `json:"registration_token,omitempty"`
	// ClientIDDocuments says which clients may describe themselves at the URL that is
	// their client id, as Claude Code, ChatGPT and VS Code do: `["on"]` (default) all
	// of them, `["off"]` none, or the hosts whose documents are accepted, such as
	// `["claude.ai", "chatgpt.com"]`, without their subdomains. Documents are fetched
	// from public addresses over https.
	ClientIDDocuments []string `json:"client_id_documents,omitempty"`
	// Clients are MCP clients registered by hand.
	Clients []Client `json:"clients,omitempty"`
	// Limit bounds what one source may do.
	Limit *Limit `json:"limit,omitempty"`

	logger   *slog.Logger
	settings settings
	engine   StorageEngine
	upstream []UpstreamProvider

	// open builds the table once, for Start or for the first request, whichever
	// comes first: apps start in random order.
	open func() (*table, error)

	mu      sync.Mutex
	sites   []*site // registered by handlers while they are provisioned
	shared  *sharedState
	stopped bool
}

// Limit bounds what one source may do, as `<number>/<duration>` or `off`.
type Limit struct {
	// Registrations of clients, per redirect host, or per client address for
	// clients on the user's machine. Default: 300/10m.
	Registrations string `json:"registrations,omitempty"`
	// Authorizations are requests of the sign-in and consent pages, per client
	// address. Default: 600/10m.
	Authorizations string `json:"authorizations,omitempty"`
	// Tokens are failed requests to the token endpoint, per client address.
	// Default: 300/10m.
	Tokens string `json:"tokens,omitempty"`
}

// CaddyModule returns the Caddy module information.
func (*App) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  appName,
		New: func() caddy.Module { return new(App) },
	}
}

// Provision loads the guests and resolves the settings. It opens nothing.
func (a *App) Provision(ctx caddy.Context) error {
	a.logger = ctx.Slogger()
	a.open = sync.OnceValues(a.build)
	errs := []error{a.loadStorage(ctx), a.loadUpstreams(ctx)}
	var err error
	a.settings, err = a.settle()
	errs = append(errs, err, a.checkAllow())
	if a.engine != nil && a.engine.KeyFile() == "" && len(a.EncryptionKey) == 0 {
		errs = append(errs, errNoKey)
	}
	errs = append(errs, a.watchExit(ctx), registerMetrics(ctx.GetMetricsRegistry()))
	return errors.Join(errs...)
}

var errNoKey = errors.New("encryption_key is required with this storage: " +
	"every machine needs the same one, made by `openssl rand -base64 32`")

func (a *App) loadStorage(ctx caddy.Context) error {
	var mod any
	var err error
	if a.StorageRaw == nil {
		mod, err = ctx.LoadModuleByID(storageNamespace+".bolt", nil)
	} else {
		mod, err = ctx.LoadModule(a, "StorageRaw")
	}
	if err != nil {
		return fmt.Errorf("storage: %w", err)
	}
	engine, ok := mod.(StorageEngine)
	if !ok {
		return fmt.Errorf("storage: %T is not a StorageEngine", mod)
	}
	a.engine = engine
	return nil
}

func (a *App) loadUpstreams(ctx caddy.Context) error {
	if len(a.UpstreamsRaw) == 0 {
		return errors.New("no identity provider: nobody could sign in; " +
			"add a github or local block to the global option mcp_oauth")
	}
	mods, err := ctx.LoadModule(a, "UpstreamsRaw")
	if err != nil {
		return fmt.Errorf("upstreams: %w", err)
	}
	for _, mod := range mods.([]any) {
		p, ok := mod.(UpstreamProvider)
		if !ok {
			return fmt.Errorf("upstreams: %T is not an UpstreamProvider", mod)
		}
		a.upstream = append(a.upstream, p)
	}
	return nil
}

// checkAllow finds mistakes in the default rules even if every site has its own.
func (a *App) checkAllow() error {
	if len(a.Allow) == 0 || len(a.upstream) == 0 {
		return nil
	}
	_, err := a.policyOf(a.Allow)
	return err
}

func (a *App) refs() []policy.Ref {
	refs := make([]policy.Ref, len(a.upstream))
	for i, p := range a.upstream {
		refs[i] = p.Ref()
	}
	return refs
}

// policyOf builds the policy of a resource from its rules.
func (a *App) policyOf(allow []string) (*policy.Policy, error) {
	var rules []policy.Rule
	var errs []error
	for _, s := range allow {
		r, err := policy.ParseRule(s)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		rules = append(rules, r)
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return policy.New(rules, a.refs())
}

// watchExit ends open streams when the process is about to exit: the HTTP
// server waits for requests to end, and an event stream never does.
func (a *App) watchExit(ctx caddy.Context) error {
	events, err := ctx.App("events")
	if err != nil {
		return fmt.Errorf("events app: %w", err)
	}
	return events.(*caddyevents.App).On("stopping", exitWatcher{})
}

// Start opens the state and completes the table of resources.
func (a *App) Start() error {
	if len(a.sites) == 0 {
		a.logger.Info("no site uses mcp_gateway or mcp_oauth; nothing to do")
		return nil
	}
	_, err := a.open()
	return err
}

// Stop does nothing: requests of this configuration may still be running. The
// state is released by Cleanup.
func (a *App) Stop() error { return nil }

// Cleanup releases the state if this instance acquired it. A configuration that
// failed to load never takes the state away from the one still running.
func (a *App) Cleanup() error {
	a.mu.Lock()
	shared := a.shared
	a.shared, a.stopped = nil, true
	a.mu.Unlock()
	if shared == nil {
		return nil
	}
	return shared.release(a)
}

var errStopped = errors.New("this configuration was stopped")

var (
	_ caddy.App          = (*App)(nil)
	_ caddy.Provisioner  = (*App)(nil)
	_ caddy.CleanerUpper = (*App)(nil)
)
