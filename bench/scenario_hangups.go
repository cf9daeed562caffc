// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"
)

// hangup is a request whose client goes away.
type hangup struct {
	name, method, query string
	// answered: the client gets the beginning of an answer before it goes.
	answered bool
}

var hangupsOf = []hangup{
	{"a stream", http.MethodGet, "", true},
	{"a call that is not answered yet", http.MethodPost, "&hold=1", false},
	{"a call whose answer is a stream", http.MethodPost, "&hold=1&events=1", true},
}

// hangups measures how long it takes until the backend knows that a client is gone.
func hangups(r *rig, _ options, report *report) error {
	const times = 100
	if err := r.start(1000); err != nil {
		return err
	}
	for _, h := range hangupsOf {
		var took [2][]time.Duration
		for side, c := range []contender{r.viaGateway(1), r.viaPlain()} {
			for i := range times {
				d, err := r.hangUp(c, h, fmt.Sprintf("%s-%s-%d", c.process.name, h.method+h.query[:min(len(h.query), 1)], i))
				if err != nil {
					return fmt.Errorf("%s, %s: %w", c.process.name, h.name, err)
				}
				took[side] = append(took[side], d)
			}
		}
		most := percentile(took[0], 1)
		report.figure("hanging up on "+h.name, most.Round(100*time.Microsecond).String(), "≤ 100 ms",
			fmt.Sprintf("until the backend knows, the longest of %d; median %s, plain %s and %s", times,
				percentile(took[0], 0.5).Round(10*time.Microsecond), percentile(took[1], 1).Round(100*time.Microsecond),
				percentile(took[1], 0.5).Round(10*time.Microsecond)))
	}
	return nil
}

// hangUp sends one request, goes away, and returns how long the backend went on.
func (r *rig) hangUp(c contender, h hangup, id string) (took time.Duration, err error) {
	conn, err := net.Dial("tcp", c.call.addr)
	if err != nil {
		return 0, err
	}
	defer func() {
		if conn != nil {
			err = errors.Join(err, conn.Close())
		}
	}()
	body := ""
	if h.method == http.MethodPost {
		body = `{"jsonrpc":"2.0","id":1,"method":"ping"}`
	}
	if _, err := fmt.Fprintf(conn, "%s /mcp?id=%s%s HTTP/1.1\r\nHost: %s\r\nAccept: application/json, text/event-stream\r\nContent-Type: application/json\r\n"+
		"Authorization: Bearer %s\r\nContent-Length: %d\r\n\r\n%s", h.method, id, h.query, c.call.addr, c.token(0), len(body), body); err != nil {
		return 0, err
	}
	if _, err := askVisit(r.backendAddr, id, "begun"); err != nil {
		return 0, err
	}
	if h.answered {
		if err := readFirstLine(conn); err != nil {
			return 0, err
		}
	}
	gone := time.Now()
	if err := conn.Close(); err != nil {
		return 0, err
	}
	conn = nil
	ended, err := askVisit(r.backendAddr, id, "ended")
	return ended.Sub(gone), err
}

// readFirstLine reads the header of an answer and the first line of its body.
func readFirstLine(conn net.Conn) error {
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return errors.New(resp.Status)
	}
	_, err = bufio.NewReader(resp.Body).ReadString('\n')
	return err
}
