// SPDX-License-Identifier: Apache-2.0

package github

import (
	"context"
	"net/url"

	"github.com/caddy-mcp/caddy-mcp-oauth/upstream"
)

// answer is a decoded answer with the headers that mean something beside it.
type answer[T decoded] struct {
	value   T
	headers headers
	// reused is whether GitHub said that what we had is what it has.
	reused bool
	// linked is whether this very answer came with links to other pages.
	linked bool
}

// fetch asks for one thing. What is decoded once is asked for conditionally
// afterwards, which costs no quota while it does not change. Fresh asks without
// condition.
func fetch[T decoded](ctx context.Context, s *session, u *url.URL, decode func([]byte) (T, error), fresh bool) (answer[T], error) {
	var known entry
	key := keyOf(s.token, u)
	if s.cached && !fresh {
		known, _ = s.g.cache.get(key)
	}
	before, ok := known.value.(T)
	if !ok {
		known = entry{}
	}
	got, err := s.call(ctx, u, known.etag)
	if err != nil {
		return answer[T]{}, err
	}
	if got.unchanged {
		known.headers = known.headers.updated(got.header)
		s.g.cache.put(key, known)
		return answer[T]{value: before, headers: known.headers, reused: true, linked: got.header.Get("Link") != ""}, nil
	}
	value, err := decode(got.body)
	if err != nil {
		return answer[T]{}, upstream.Refuse(upstream.ReasonUnavailable, "github: %s: %w", u.Path, err)
	}
	h := headersOf(got.header)
	if s.cached {
		s.g.cache.put(key, entry{etag: etagOf(got.header), value: value, headers: h})
	}
	return answer[T]{value: value, headers: h, linked: true}, nil
}

// each calls add with every page of a list until add is done or the list ends.
// A list that cannot be followed to its end is no list.
func each[T page](ctx context.Context, s *session, first *url.URL, decode func([]byte) (T, error), add func(T, headers) (done bool)) error {
	u := first
	for range maxPages {
		a, err := fetch(ctx, s, u, decode, false)
		if err != nil {
			return err
		}
		next, more, err := nextPage(u, a.headers.link)
		if err == nil && !more && a.reused && !a.linked && a.value.entries() >= perPage {
			// A list that grew beyond a full page leaves that page as it was, and a
			// 304 need not say that there is another one now.
			if a, err = fetch(ctx, s, u, decode, true); err != nil {
				return err
			}
			next, more, err = nextPage(u, a.headers.link)
		}
		if err != nil {
			return upstream.Refuse(upstream.ReasonUnavailable, "github: %s: %w", u.Path, err)
		}
		if add(a.value, a.headers) || !more {
			return nil
		}
		u = next
	}
	return upstream.Refuse(upstream.ReasonUnavailable, "github: %s has more than %d pages", first.Path, maxPages)
}
