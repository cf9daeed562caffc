// SPDX-License-Identifier: Apache-2.0

package caddymodule

import (
	"errors"
	"fmt"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-mcp/caddy-mcp-oauth/caddymodule/internal/options"
	"github.com/caddy-mcp/caddy-mcp-oauth/gateway"
	"github.com/caddy-mcp/caddy-mcp-oauth/token"
)

// Defaults of the app. The limits are generous: hosted connectors register anew
// on every connect, and an office shares one address.
const (
	defaultAccessTokenTTL  = time.Hour
	defaultRefreshTokenTTL = 90 * 24 * time.Hour
	defaultRefreshGrace    = time.Minute
	defaultRecheck         = 10 * time.Minute
	defaultOutage          = 24 * time.Hour
	defaultMaxStaleness    = time.Minute

	defaultRegistrations  = "300/10m"
	defaultAuthorizations = "600/10m"
	defaultTokens         = "300/10m"

	minRegistrationToken = 16
	// minRecheck keeps a busy gateway within the quota of its users at the provider.
	minRecheck = time.Minute
	// maxMaxStaleness bounds how long a revocation may go unnoticed.
	maxMaxStaleness = time.Hour
)

// settings are the app's options with defaults filled in and secrets resolved.
// They live in unexported fields, which neither the admin API nor a trace shows.
type settings struct {
	issuer       *origin
	keys         []token.Key
	accessTTL    time.Duration
	refreshTTL   time.Duration
	grace        time.Duration
	recheck      time.Duration // 0: never
	outage       time.Duration
	maxStaleness time.Duration
	registration gateway.Registration
	limits       gateway.Limits
	documents    gateway.ClientDocuments
	clients      []gateway.PreregisteredClient
}

func (a *App) settle() (settings, error) {
	s := settings{
		accessTTL:  orDefaultDuration(a.AccessTokenTTL, defaultAccessTokenTTL),
		refreshTTL: orDefaultDuration(a.RefreshTokenTTL, defaultRefreshTokenTTL),
		grace:      orDefaultPointer(a.RefreshGrace, defaultRefreshGrace),

		recheck:      orDefaultPointer(a.RecheckUpstream, defaultRecheck),
		outage:       orDefaultDuration(a.UpstreamOutage, defaultOutage),
		maxStaleness: orDefaultPointer(a.MaxStaleness, defaultMaxStaleness),
	}
	errs := []error{checkLifetimes(s), checkRecheck(s)}
	for _, step := range []func(*settings) error{a.settleIssuer, a.settleKeys, a.settleRegistration, a.settleLimits, a.settleClients} {
		errs = append(errs, step(&s))
	}
	return s, errors.Join(errs...)
}

func checkLifetimes(s settings) error {
	switch {
	case s.accessTTL < time.Second:
		return errors.New("access_token_ttl is shorter than a second")
	case s.refreshTTL < s.accessTTL:
		return fmt.Errorf("refresh_token_ttl (%s) is shorter than access_token_ttl (%s)", s.refreshTTL, s.accessTTL)
	case s.grace < 0 || s.grace > 15*time.Minute:
		return fmt.Errorf("refresh_grace is %s; it can be 0 to 15m", s.grace)
	}
	return nil
}

func checkRecheck(s settings) error {
	switch {
	case s.recheck < 0 || s.recheck > 0 && s.recheck < minRecheck:
		return fmt.Errorf("recheck_upstream is %s; write at least %s, or off", s.recheck, minRecheck)
	case s.outage < s.recheck:
		return fmt.Errorf("upstream_outage (%s) is shorter than recheck_upstream (%s)", s.outage, s.recheck)
	case s.maxStaleness < 0 || s.maxStaleness > maxMaxStaleness:
		return fmt.Errorf("max_staleness is %s; it can be 0 to %s", s.maxStaleness, maxMaxStaleness)
	}
	return nil
}

func (a *App) settleIssuer(s *settings) error {
	if a.Issuer == "" {
		return nil
	}
	o, err := explicitIssuer(a.Issuer)
	s.issuer = o
	return err
}

// explicitIssuer reads an issuer the operator wrote.
func explicitIssuer(raw string) (*origin, error) {
	v, err := options.Expand("issuer", raw)
	if err != nil {
		return nil, err
	}
	o, err := parseOrigin(v)
	if err != nil {
		return nil, fmt.Errorf("issuer: %w", err)
	}
	return &o, nil
}

func (a *App) settleKeys(s *settings) error {
	var errs []error
	for i, raw := range a.EncryptionKey {
		option := "encryption_key"
		if len(a.EncryptionKey) > 1 {
			option = fmt.Sprintf("encryption_key %d", i+1)
		}
		v, err := options.ExpandSecret(a.logger, option, raw)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		k, err := token.ParseKey(v)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", option, err))
			continue
		}
		s.keys = append(s.keys, k)
	}
	return errors.Join(errs...)
}

func (a *App) settleRegistration(s *settings) error {
	s.registration.Mode = gateway.RegistrationMode(orDefault(a.Registration, string(gateway.RegistrationOpen)))
	switch s.registration.Mode {
	case gateway.RegistrationOpen, gateway.RegistrationOff:
		if a.RegistrationToken != "" {
			return fmt.Errorf("registration_token is set, but registration is %s", s.registration.Mode)
		}
		return nil
	case gateway.RegistrationToken:
	default:
		return fmt.Errorf("registration: %q is none of open, off, token", a.Registration)
	}
	if a.RegistrationToken == "" {
		return errors.New("registration token: the token is missing; write registration token {env.NAME}")
	}
	v, err := options.ExpandSecret(a.logger, "registration token", a.RegistrationToken)
	if err != nil {
		return err
	}
	if len(v) < minRegistrationToken {
		return fmt.Errorf("registration token: shorter than %d characters", minRegistrationToken)
	}
	s.registration.Token = v
	return nil
}

func (a *App) settleLimits(s *settings) error {
	var l Limit
	if a.Limit != nil {
		l = *a.Limit
	}
	var errs [3]error
	s.limits.Registrations, errs[0] = parseRate(orDefault(l.Registrations, defaultRegistrations))
	s.limits.Authorizations, errs[1] = parseRate(orDefault(l.Authorizations, defaultAuthorizations))
	s.limits.Tokens, errs[2] = parseRate(orDefault(l.Tokens, defaultTokens))
	for i, name := range []string{"registrations", "authorizations", "tokens"} {
		if errs[i] != nil {
			errs[i] = fmt.Errorf("limit %s: %w", name, errs[i])
		}
	}
	return errors.Join(errs[:]...)
}

func orDefaultDuration(d caddy.Duration, def time.Duration) time.Duration {
	if d == 0 {
		return def
	}
	return time.Duration(d)
}

// orDefaultPointer is for durations of which zero means something.
func orDefaultPointer(d *caddy.Duration, def time.Duration) time.Duration {
	if d == nil {
		return def
	}
	return time.Duration(*d)
}
