// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"sync/atomic"
	"testing"
)

// headerTo names the gateway that a request goes to. Without it they take turns.
const headerTo = "Test-Gateway"

// headerNoAnswer marks the load balancer's own 502, where a gateway gave no answer:
// whether it did what it was asked for is unknown.
const headerNoAnswer = "Test-No-Answer"

// balancer is a plain load balancer: it keeps Host, says whom it serves, and knows
// nothing of sessions.
type balancer struct {
	proxies map[string]http.Handler
	names   []string
	turn    atomic.Int64
}

// serveBalancer takes requests from the listener until the test ends.
func serveBalancer(t *testing.T, listener net.Listener, gateways []*gateway) {
	t.Helper()
	b := &balancer{proxies: map[string]http.Handler{}}
	for _, g := range gateways {
		b.names = append(b.names, g.name)
		b.proxies[g.name] = proxyTo(g)
	}
	server := &http.Server{Handler: b}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = server.Serve(listener) // until it is closed
	}()
	t.Cleanup(func() {
		_ = server.Close()
		<-ended
	})
}

func (b *balancer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name := r.Header.Get(headerTo)
	if name == "" {
		name = b.names[int(b.turn.Add(1))%len(b.names)]
	}
	proxy := b.proxies[name]
	if proxy == nil {
		http.Error(w, "no gateway "+name, http.StatusInternalServerError)
		return
	}
	proxy.ServeHTTP(w, r)
}

func proxyTo(g *gateway) http.Handler {
	target := &url.URL{Scheme: "http", Host: g.addr}
	return &httputil.ReverseProxy{
		Transport: &http.Transport{DialContext: g.dial, MaxIdleConnsPerHost: 64},
		ErrorLog:  log.New(io.Discard, "", 0), // streams that end are part of the story
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			r.Out.Host = r.In.Host
			r.SetXForwarded()
			r.Out.Header.Del(headerTo)
		},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) {
			w.Header().Set(headerNoAnswer, g.name)
			w.WriteHeader(http.StatusBadGateway)
		},
	}
}
