// SPDX-License-Identifier: Apache-2.0

package fetch

import (
	"context"
	"errors"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/caddy-mcp/caddy-mcp-oauth/internal/limiter"
)

// What all requests together may be. A host of ours could otherwise be made to
// knock at somebody's door, or be kept busy waiting for servers that are slow on
// purpose.
const (
	perSourcePerMinute = 30  // of one source
	perHostPerMinute   = 10  // of one source, to one host
	hostPerMinute      = 120 // to one host, of all sources
	perMinute          = 900
	concurrent         = 32
)

// Budget bounds the requests of several caches: per source that causes them, per
// host that answers them, together, and at a time. What one source causes at a host
// counts for it alone first, so that it cannot use up, by asking for documents that
// are not there, what others need of that host.
type Budget struct {
	source, pair, host, total *limiter.Limiter
	slots                     chan struct{}
}

// NewBudget makes a full one: 30 requests a minute per source and 10 of them to one
// host, 120 per host, 900 in all, 32 at a time. now is the clock; nil means time.Now.
func NewBudget(now func() time.Time) *Budget {
	return &Budget{
		source: limiter.New(perSourcePerMinute, time.Minute, now),
		pair:   limiter.New(perHostPerMinute, time.Minute, now),
		host:   limiter.New(hostPerMinute, time.Minute, now),
		total:  limiter.New(perMinute, time.Minute, now),
		slots:  make(chan struct{}, concurrent),
	}
}

type sourceKey struct{}

// WithSource says who causes the requests made under a context: a key for a
// network address. One source cannot use up what is there for all.
func WithSource(ctx context.Context, source string) context.Context {
	return context.WithValue(ctx, sourceKey{}, source)
}

type trustedKey struct{}

// Trusted marks a context whose requests are the operator's own, for addresses in
// the configuration. What strangers use up does not stop them.
func Trusted(ctx context.Context) context.Context { return context.WithValue(ctx, trustedKey{}, true) }

var errBudget = errors.New("too many requests for documents, try again later")

// take takes one request, to be given back with release when it is over. Renewing a
// document that was good before is bounded by its freshness, and not by what
// strangers ask for.
func (b *Budget) take(ctx context.Context, rawURL string, renewal bool) error {
	if trusted, _ := ctx.Value(trustedKey{}).(bool); !trusted && !renewal && !b.allows(ctx, rawURL) {
		return errBudget
	}
	select {
	case b.slots <- struct{}{}:
		return nil
	default:
		return errBudget
	}
}

func (b *Budget) allows(ctx context.Context, rawURL string) bool {
	u, err := url.Parse(rawURL)
	if err != nil {
		return false
	}
	host := hostKey(u.Hostname())
	if source, ok := ctx.Value(sourceKey{}).(string); ok {
		if ok, _ := b.source.Allow(source); !ok {
			return false
		}
		if ok, _ := b.pair.Allow(source + " " + host); !ok {
			return false
		}
	}
	if ok, _ := b.host.Allow(host); !ok {
		return false
	}
	ok, _ := b.total.Allow("")
	return ok
}

// hostKey is the same for all spellings of a host.
func hostKey(host string) string {
	if ip, err := netip.ParseAddr(host); err == nil {
		return ip.Unmap().WithZone("").String()
	}
	return strings.TrimSuffix(strings.ToLower(host), ".")
}

func (b *Budget) release() { <-b.slots }
