// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// visits are requests that came with an id in the query, so that one can ask when the
// backend got them and when it found that nobody waits any more.
type visits struct {
	mu   sync.Mutex
	byID map[string]*visit
}

type visit struct {
	began, ended chan struct{}
	at           time.Time // of the end, once ended is closed
}

// of returns the visit, which may be yet to come.
func (v *visits) of(id string) *visit {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.byID[id] == nil {
		if v.byID == nil {
			v.byID = map[string]*visit{}
		}
		v.byID[id] = &visit{began: make(chan struct{}), ended: make(chan struct{})}
	}
	return v.byID[id]
}

// watch notes that a request is here, if it has an id, and when its context ends.
func (v *visits) watch(r *http.Request, id string) {
	if id == "" {
		return
	}
	found := v.of(id)
	close(found.began)
	context.AfterFunc(r.Context(), func() {
		found.at = time.Now()
		close(found.ended)
	})
}

// serve answers once the visit has begun or ended, in the latter case with the time in
// nanoseconds, and then forgets it.
func (v *visits) serve(w http.ResponseWriter, r *http.Request) {
	id, until := r.URL.Query().Get("id"), r.URL.Query().Get("until")
	found := v.of(id)
	waitFor := found.began
	if until == "ended" {
		waitFor = found.ended
	}
	select {
	case <-waitFor:
	case <-r.Context().Done():
		return
	case <-time.After(10 * time.Second):
		http.Error(w, "it has not "+until, http.StatusGatewayTimeout)
		return
	}
	if until == "ended" {
		v.mu.Lock()
		delete(v.byID, id)
		v.mu.Unlock()
		fmt.Fprint(w, found.at.UnixNano())
	}
}

// pour writes as fast as it is let, until nobody listens.
func pour(w http.ResponseWriter, r *http.Request, written *atomic.Int64) {
	event := append([]byte("data: "), make([]byte, 32<<10)...)
	for i := len("data: "); i < len(event); i++ {
		event[i] = 'x'
	}
	event = append(event, "\n\n"...)
	for r.Context().Err() == nil {
		n, err := w.Write(event)
		written.Add(int64(n))
		if err != nil || http.NewResponseController(w).Flush() != nil {
			return
		}
	}
}

// hold is a call whose answer does not come, or only its first event.
func hold(w http.ResponseWriter, r *http.Request) {
	if r.URL.Query().Get("events") != "" {
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, ": open\n\n")
		_ = http.NewResponseController(w).Flush()
	}
	<-r.Context().Done()
}

// askVisit asks the backend for a visit, and when it ended.
func askVisit(backend, id, until string) (time.Time, error) {
	client := &http.Client{Timeout: 15 * time.Second}
	resp, err := client.Get("http://" + backend + "/visit?id=" + id + "&until=" + until)
	if err != nil {
		return time.Time{}, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	switch {
	case err != nil:
		return time.Time{}, err
	case resp.StatusCode != http.StatusOK:
		return time.Time{}, fmt.Errorf("request %s at the backend: %s", id, answer)
	case until != "ended":
		return time.Time{}, nil
	}
	ns, err := strconv.ParseInt(string(answer), 10, 64)
	return time.Unix(0, ns), err
}
