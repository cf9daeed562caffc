// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"
)

// slowCount is how many clients do not read.
const slowCount = 100

// slowReaders measures what clients cost that open a stream and do not read it, while
// the backend has more to say than anybody could keep.
func slowReaders(r *rig, _ options, report *report) error {
	if err := r.start(slowCount); err != nil {
		return err
	}
	var cost [2]memory
	var accepted [2]int64
	for i, side := range []contender{r.viaGateway(slowCount), r.viaPlain()} {
		if _, err := side.introduce(slowCount); err != nil {
			return err
		}
		var err error
		if cost[i], accepted[i], err = r.stuck(side); err != nil {
			return fmt.Errorf("%s: %w", side.process.name, err)
		}
	}
	per := func(bytes int64) int64 { return bytes / slowCount / 1024 }
	report.figure(fmt.Sprintf("memory of a client that does not read, of %d", slowCount),
		fmt.Sprintf("%.3f", float64(cost[0].inUse())/float64(cost[1].inUse())), "≤ 1.10",
		fmt.Sprintf("%d and %d KB; the backend was stopped after %d and %d KB", per(cost[0].inUse()), per(cost[1].inUse()), per(accepted[0]), per(accepted[1])))
	return r.cutSlow(report)
}

// stuck opens the streams, waits until the backend cannot write any more, and returns
// the memory they take and what the backend had written.
func (r *rig) stuck(side contender) (memory, int64, error) {
	before, err := settled(side.process, side.admin)
	if err != nil {
		return memory{}, 0, err
	}
	already, err := r.poured()
	if err != nil {
		return memory{}, 0, err
	}
	conns, err := openSlow(side, "")
	defer closeAll(conns)
	if err != nil {
		return memory{}, 0, err
	}
	written, err := r.awaitPressure()
	if err != nil {
		return memory{}, 0, err
	}
	after, err := settled(side.process, side.admin)
	return after.less(before), written - already, err
}

// openSlow opens streams and reads nothing but their headers. Little room in the
// kernel makes them get stuck soon. id, if any, is that of the first one.
func openSlow(side contender, id string) (conns []net.Conn, err error) {
	for i := range slowCount {
		query := "?pour=1"
		if i == 0 && id != "" {
			query += "&id=" + id
		}
		conn, _, err := dialStream(context.Background(), side.call.addr, side.token(i), query)
		if err != nil {
			return conns, err
		}
		conns = append(conns, conn)
		if err := conn.(*net.TCPConn).SetReadBuffer(4096); err != nil {
			return conns, err
		}
	}
	return conns, nil
}

func closeAll(conns []net.Conn) {
	for _, c := range conns {
		_ = c.Close()
	}
}

// awaitPressure waits until the backend has written nothing for a second, and returns
// how much it got rid of in all.
func (r *rig) awaitPressure() (int64, error) {
	last, since := int64(-1), time.Now()
	for began := time.Now(); time.Since(began) < 20*time.Second; time.Sleep(100 * time.Millisecond) {
		now, err := r.poured()
		if err != nil {
			return 0, err
		}
		if now != last {
			last, since = now, time.Now()
		}
		if time.Since(since) > time.Second {
			return now, nil
		}
	}
	return 0, fmt.Errorf("the backend still writes after 20 s, %d MB so far: nobody slows it down", last>>20)
}

func (r *rig) poured() (int64, error) {
	resp, err := http.Get("http://" + r.backendAddr + "/poured")
	if err != nil {
		return 0, err
	}
	answer, err := io.ReadAll(resp.Body)
	if err := errors.Join(err, resp.Body.Close()); err != nil {
		return 0, err
	}
	return strconv.ParseInt(string(answer), 10, 64)
}

// cutSlow revokes the grant of a client that does not read, and then ends the gateway
// under all of them.
func (r *rig) cutSlow(report *report) error {
	side := r.viaGateway(slowCount)
	conns, err := openSlow(side, "slow")
	defer closeAll(conns)
	if err != nil {
		return err
	}
	if _, err := r.awaitPressure(); err != nil {
		return err
	}
	began := time.Now()
	if err := newAPI(r.issuer()).revoke(side.token(0)); err != nil {
		return err
	}
	ended, err := askVisit(r.backendAddr, "slow", "ended")
	if err != nil {
		return fmt.Errorf("after the revocation of a client that does not read: %w", err)
	}
	report.figure("revoking a client that does not read", ended.Sub(began).Round(100*time.Microsecond).String(), "≤ 1 s", "until the backend knows")
	began = time.Now()
	took := "not within 20 s"
	if r.gateway.stop() == nil {
		took = time.Since(began).Round(time.Millisecond).String()
	}
	r.gateway = nil
	report.figure(fmt.Sprintf("exit under %d clients that do not read", slowCount), took, "quick", "")
	return nil
}
