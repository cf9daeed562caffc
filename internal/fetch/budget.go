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
	perSourcePerMinute = 60
	perHostPerMinute   = 30
	perMinute          = 300
	concurrent         = 32
)

// Budget bounds the requests of several caches: per source that causes them, per
// host that answers them, together, and at a time.
type Budget struct {
	source, host, total *limiter.Limiter
	slots               chan struct{}
}

// NewBudget makes a full one: 60 requests a minute per source, 30 per host, 300 in
// all, 32 at a time. now is the clock; nil means time.Now.
func NewBudget(now func() time.Time) *Budget {
	return &Budget{
		source: limiter.New(perSourcePerMinute, time.Minute, now),
		host:   limiter.New(perHostPerMinute, time.Minute, now),
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

var errBudget = errors.New("too many requests for documents, try again later")

// take takes one request, to be given back with release when it is over.
func (b *Budget) take(ctx context.Context, rawURL string) error {
	u, err := url.Parse(rawURL)
	if err != nil {
		return errBudget
	}
	if source, ok := ctx.Value(sourceKey{}).(string); ok {
		if ok, _ := b.source.Allow(source); !ok {
			return errBudget
		}
	}
	if ok, _ := b.host.Allow(hostKey(u.Hostname())); !ok {
		return errBudget
	}
	if ok, _ := b.total.Allow(""); !ok {
		return errBudget
	}
	select {
	case b.slots <- struct{}{}:
		return nil
	default:
		return errBudget
	}
}

// hostKey is the same for all spellings of a host.
func hostKey(host string) string {
	if ip, err := netip.ParseAddr(host); err == nil {
		return ip.Unmap().WithZone("").String()
	}
	return strings.TrimSuffix(strings.ToLower(host), ".")
}

func (b *Budget) release() { <-b.slots }
