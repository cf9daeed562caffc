// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"math"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/caddy-mcp/caddy-mcp-oauth/internal/limiter"
	"github.com/caddy-mcp/caddy-mcp-oauth/oauth"
)

// limiterSet keeps limiters across reloads: a reload must not refill every bucket.
// A changed rate starts a new limiter.
type limiterSet struct {
	mu     sync.Mutex
	byName map[string]namedLimiter
}

type namedLimiter struct {
	rate    Rate
	limiter *limiter.Limiter
}

// get returns nil, which allows everything, for the zero Rate.
func (s *limiterSet) get(name string, rate Rate, now func() time.Time) *limiter.Limiter {
	if rate.Events <= 0 || rate.Per <= 0 {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if l, ok := s.byName[name]; ok && l.rate == rate {
		return l.limiter
	}
	if s.byName == nil {
		s.byName = map[string]namedLimiter{}
	}
	l := limiter.New(rate.Events, rate.Per, now)
	s.byName[name] = namedLimiter{rate, l}
	return l
}

// assertionFactor is how many times the rate of failures a client may assert
// itself from one address: once per token request, and hosted clients have many
// users.
const assertionFactor = 10

// clientKey is what limits by client count under.
func (s *Server) clientKey(r *http.Request) string { return limiter.AddrKey(s.cfg.ClientAddr(r)) }

// tooMany builds the 429 and its Retry-After.
func tooMany(w http.ResponseWriter, retry time.Duration) *oauth.Error {
	w.Header().Set("Retry-After", strconv.Itoa(max(1, int(math.Ceil(retry.Seconds())))))
	return &oauth.Error{
		Code: oauth.CodeTemporarilyUnavailable, Status: http.StatusTooManyRequests,
		Description: "too many requests, try again later",
	}
}

// mayAuthorize counts one request of the pages and answers it if there were too
// many. Approving is counted as well as asking: a form can be approved again and
// again, and each time a record is stored.
func (s *Server) mayAuthorize(w http.ResponseWriter, r *http.Request) bool {
	ok, retry := s.limitAuthorizations.Allow(s.clientKey(r))
	if !ok {
		tooMany(w, retry)
		s.showProblem(w, r, problem{
			status: http.StatusTooManyRequests, reason: "rate_limited", title: "Too many attempts",
			text: "Too many sign-ins were started from your network.", hint: "Wait a minute and try again.",
		})
	}
	return ok
}
