// SPDX-License-Identifier: Apache-2.0

package testmcp

import (
	"io"
	"net/http"
	"net/url"
	"slices"
	"sync"
)

// Scripted is a backend that records every request and answers as it is told.
// It is an http.Handler; the zero value answers 200 with an empty body.
type Scripted struct {
	mu       sync.Mutex
	seen     []Request
	queue    []Reply
	fallback Reply
	arrived  chan struct{}
}

// Request is one recorded request, exactly as the backend received it.
type Request struct {
	Method string
	// URI is the request target as on the wire, escapes and query included.
	URI string
	// Path is the decoded path, RawQuery the query as sent.
	Path, RawQuery string
	Host           string
	Proto          string
	Header         http.Header
	// Body is the whole body. BodyErr is what reading it ended with, nil for a
	// complete one.
	Body    []byte
	BodyErr error
	Trailer http.Header
}

// Query is the parsed query; malformed pairs are left out.
func (r Request) Query() url.Values {
	q, _ := url.ParseQuery(r.RawQuery) // what could be parsed is what a handler sees
	return q
}

// Reply answers one request. The request's body has been read.
type Reply func(http.ResponseWriter, *http.Request)

// ServeHTTP records the request and runs the next reply.
func (s *Scripted) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	s.record(Request{
		Method: r.Method, URI: r.RequestURI, Path: r.URL.Path, RawQuery: r.URL.RawQuery,
		Host: r.Host, Proto: r.Proto, Header: r.Header.Clone(),
		Body: body, BodyErr: err, Trailer: r.Trailer.Clone(),
	})
	if reply := s.next(); reply != nil {
		reply(w, r)
	}
}

// Always sets the reply of every request that no queued one answers.
func (s *Scripted) Always(reply Reply) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fallback = reply
}

// Next queues replies, one for each request to come, in order.
func (s *Scripted) Next(replies ...Reply) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.queue = append(s.queue, replies...)
}

// Requests are all requests so far, oldest first.
func (s *Scripted) Requests() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.seen)
}

// Last is the newest request; false if there was none.
func (s *Scripted) Last() (Request, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.seen) == 0 {
		return Request{}, false
	}
	return s.seen[len(s.seen)-1], true
}

// Reset forgets the requests and every reply.
func (s *Scripted) Reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seen, s.queue, s.fallback = nil, nil, nil
}

// Arrived is closed when the next request has been recorded.
func (s *Scripted) Arrived() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.arrived == nil {
		s.arrived = make(chan struct{})
	}
	return s.arrived
}

func (s *Scripted) record(r Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seen = append(s.seen, r)
	if s.arrived != nil {
		close(s.arrived)
		s.arrived = nil
	}
}

func (s *Scripted) next() Reply {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.queue) == 0 {
		return s.fallback
	}
	reply := s.queue[0]
	s.queue = s.queue[1:]
	return reply
}
