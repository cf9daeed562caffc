// SPDX-License-Identifier: Apache-2.0

package caddymodule

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"

	"github.com/caddy-mcp/caddy-mcp-oauth/gateway"
	"github.com/caddy-mcp/caddy-mcp-oauth/policy"
)

func init() { httpcaddyfile.RegisterGlobalOption(appName, parseGlobalOption) }

// parseGlobalOption sets up the app. Syntax:
//
//	mcp_oauth {
//		github [<name>] {
//			client_id     <id>
//			client_secret <placeholder>
//			scopes        <scope...>
//			base_url      <url>
//			api_url       <url>
//		}
//		oidc <name> {
//			issuer        <url>
//			client_id     <id>
//			client_secret <placeholder>
//			scopes        <scope...>
//			groups_claim  <claim>
//		}
//		local [<name>] {
//			user <name> <bcrypt-hash> [<email>] [<groups...>]
//		}
//		allow             <rule...>
//		issuer            <url>
//		storage           bolt [<path>]
//		encryption_key    <current> [<old...>]
//		access_token_ttl  <duration>
//		refresh_token_ttl <duration>
//		refresh_grace     <duration>
//		recheck_upstream  <duration>|off
//		upstream_outage   <duration>
//		max_staleness     <duration>
//		registration      open|off|token <placeholder>
//		client_id_documents on|off|<domain...>
//		client <id> {
//			name         <text>
//			secret       <placeholder>
//			redirect_uri <uri...>
//			grant        authorization_code [refresh_token]
//			jwks         <json>|<placeholder>
//			jwks_uri     <url>
//		}
//		limit             registrations|authorizations|tokens <n>/<duration>|off
//	}
//
// At least one of github, oidc and local is required. See App for the defaults.
func parseGlobalOption(d *caddyfile.Dispenser, existing any) (any, error) {
	d.Next() // the name of the option
	if existing != nil {
		return nil, d.Errf("the global option %s is given twice", appName)
	}
	if d.NextArg() {
		return nil, d.Errf("%s: unexpected %q; options go into a block", appName, d.Val())
	}
	app := new(App)
	if err := parseOptions(d, appName, app.options()); err != nil {
		return nil, err
	}
	return httpcaddyfile.App{Name: appName, Value: caddyconfig.JSON(app, nil)}, nil
}

func (a *App) options() optionSet {
	set := optionSet{
		"issuer":            issuerOption(&a.Issuer),
		"storage":           a.parseStorage,
		"encryption_key":    secrets(&a.EncryptionKey),
		"allow":             list(&a.Allow, checkRule),
		"access_token_ttl":  duration(&a.AccessTokenTTL, time.Second),
		"refresh_token_ttl": duration(&a.RefreshTokenTTL, time.Second),
		"refresh_grace":     a.parseRefreshGrace,
		"recheck_upstream":  a.parseRecheck,
		"upstream_outage":   duration(&a.UpstreamOutage, time.Minute),
		"max_staleness":     a.parseMaxStaleness,
		"registration":      a.parseRegistration,
		"limit":             a.parseLimit,

		"client_id_documents": a.parseDocuments,
		"client":              a.parseClient,
	}
	for _, kind := range guestNames(upstreamNamespace) {
		set[kind] = a.parseUpstream
	}
	return set
}

// guestNames lists the registered modules of a namespace, ours and others'.
func guestNames(namespace string) []string {
	var names []string
	for _, m := range caddy.GetModules(namespace) {
		names = append(names, m.ID.Name())
	}
	return names
}

func (a *App) parseUpstream(d *caddyfile.Dispenser) error {
	kind, start := d.Val(), here(d)
	guest, err := caddyfile.UnmarshalModule(d, upstreamNamespace+"."+kind)
	if err != nil {
		return err
	}
	provider, ok := guest.(UpstreamProvider)
	if !ok {
		return fmt.Errorf("%T is not an UpstreamProvider", guest)
	}
	for _, raw := range a.UpstreamsRaw {
		var other struct{ Kind, Name string }
		if err := json.Unmarshal(raw, &other); err != nil {
			return err
		}
		if orDefault(other.Name, other.Kind) == provider.Ref().Name {
			return start.Errf("two upstreams are named %q; give one another name, as in: %s other {", provider.Ref().Name, kind)
		}
	}
	a.UpstreamsRaw = append(a.UpstreamsRaw, caddyconfig.JSONModuleObject(guest, "kind", kind, nil))
	return nil
}

func (a *App) parseStorage(d *caddyfile.Dispenser) error {
	if a.StorageRaw != nil {
		return errors.New("storage is given twice")
	}
	if !d.NextArg() {
		return errors.New("storage: the engine is missing; write storage bolt [<path>]")
	}
	engine := d.Val()
	known := guestNames(storageNamespace)
	switch {
	case slices.Contains(known, engine):
	case engine == "redis" || engine == "postgres":
		return fmt.Errorf("storage %[1]s is not in this build of Caddy; build one with ./xcaddy.sh --with-%[1]s", engine)
	default:
		return fmt.Errorf("storage: unknown engine %q; known are %s", engine, strings.Join(known, ", "))
	}
	guest, err := caddyfile.UnmarshalModule(d, storageNamespace+"."+engine)
	if err != nil {
		return err
	}
	a.StorageRaw = caddyconfig.JSONModuleObject(guest, "engine", engine, nil)
	return nil
}

func (a *App) parseRefreshGrace(d *caddyfile.Dispenser) error {
	if a.RefreshGrace != nil {
		return errors.New("refresh_grace is given twice")
	}
	a.RefreshGrace = new(caddy.Duration)
	return duration(a.RefreshGrace, 0)(d)
}

// parseRecheck reads a duration, or off.
func (a *App) parseRecheck(d *caddyfile.Dispenser) error {
	if a.RecheckUpstream != nil {
		return errors.New("recheck_upstream is given twice")
	}
	a.RecheckUpstream = new(caddy.Duration)
	if next := *d; next.NextArg() && next.Val() == "off" {
		d.NextArg()
		return nil
	}
	return duration(a.RecheckUpstream, minRecheck)(d)
}

func (a *App) parseMaxStaleness(d *caddyfile.Dispenser) error {
	if a.MaxStaleness != nil {
		return errors.New("max_staleness is given twice")
	}
	a.MaxStaleness = new(caddy.Duration)
	return duration(a.MaxStaleness, 0)(d)
}

func (a *App) parseRegistration(d *caddyfile.Dispenser) error {
	if err := single(&a.Registration)(d); err != nil {
		return err
	}
	switch mode := gateway.RegistrationMode(a.Registration); mode {
	case gateway.RegistrationOpen, gateway.RegistrationOff:
		return nil
	case gateway.RegistrationToken:
		if d.CountRemainingArgs() != 1 {
			return errors.New("registration token: write registration token {env.NAME}")
		}
		d.NextArg()
		a.RegistrationToken = d.Val()
		return nil
	default:
		return fmt.Errorf("registration: %q is none of open, off, token", mode)
	}
}

func (a *App) parseLimit(d *caddyfile.Dispenser) error {
	var what, rate string
	if !d.AllArgs(&what, &rate) {
		return errors.New("limit: write limit registrations|authorizations|tokens <number>/<duration>, or off in place of the rate")
	}
	if a.Limit == nil {
		a.Limit = new(Limit)
	}
	target, ok := map[string]*string{
		"registrations":  &a.Limit.Registrations,
		"authorizations": &a.Limit.Authorizations,
		"tokens":         &a.Limit.Tokens,
	}[what]
	if !ok {
		return fmt.Errorf("limit: %q is none of registrations, authorizations, tokens", what)
	}
	if *target != "" {
		return fmt.Errorf("limit %s is given twice", what)
	}
	if _, err := parseRate(rate); err != nil {
		return fmt.Errorf("limit %s: %w", what, err)
	}
	*target = rate
	return nil
}

// secrets reads the values of a list without ever repeating one.
func secrets(target *[]string) option {
	return func(d *caddyfile.Dispenser) error {
		name := d.Val()
		if len(*target) > 0 {
			return fmt.Errorf("%s is given twice; write older keys on the same line, after the current one", name)
		}
		if *target = d.RemainingArgs(); len(*target) == 0 || slices.Contains(*target, "") {
			return fmt.Errorf("%s: the value is missing", name)
		}
		return nil
	}
}

// duration reads a duration of at least floor that may be given once.
func duration(target *caddy.Duration, floor time.Duration) option {
	return func(d *caddyfile.Dispenser) error {
		name := d.Val()
		if *target != 0 {
			return fmt.Errorf("%s is given twice", name)
		}
		if !d.NextArg() {
			return fmt.Errorf("%s: the value is missing", name)
		}
		v, err := caddy.ParseDuration(d.Val())
		if err != nil {
			return fmt.Errorf("%s: %q is not a duration; write a number with unit, as 30s, 10m, 1h or 90d", name, d.Val())
		}
		if v < floor {
			return fmt.Errorf("%s: %s is shorter than %s", name, v, floor)
		}
		*target = caddy.Duration(v)
		return nil
	}
}

// issuerOption reads an issuer and checks it as far as it has no placeholder.
func issuerOption(target *string) option {
	return func(d *caddyfile.Dispenser) error {
		if err := single(target)(d); err != nil {
			return err
		}
		if strings.Contains(*target, "{") {
			return nil
		}
		o, err := parseOrigin(*target)
		if err != nil {
			return fmt.Errorf("issuer: %w", err)
		}
		*target = o.url
		return nil
	}
}

// checkRule checks the form of an allow rule. Whether an upstream can satisfy it
// is known once all are.
func checkRule(s string) error {
	_, err := policy.ParseRule(s)
	return err
}
