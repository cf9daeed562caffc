// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// The cuts of these tests are only worth something if they cut.

// echoLink is a link to a server that repeats every line.
func echoLink(t *testing.T) *link {
	t.Helper()
	server := (*namespace)(nil).listen(t, "127.0.0.1:0")
	go func() {
		for {
			conn, err := server.Accept()
			if err != nil {
				return
			}
			go func() { _, _ = io.Copy(conn, conn); _ = conn.Close() }()
		}
	}()
	t.Cleanup(func() { _ = server.Close() })
	return openLink(t, (*namespace)(nil).listen(t, "127.0.0.1:0"), func(ctx context.Context) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", server.Addr().String())
	})
}

// dialEcho returns a function that says a line and waits that long for the echo. A
// connection that is reset before the dialler knows it has it, which happens, is one
// that fails at the first line.
func dialEcho(t *testing.T, l *link) func(line string, wait time.Duration) (string, error) {
	t.Helper()
	conn, err := net.Dial("tcp", l.addr())
	if err != nil {
		return func(string, time.Duration) (string, error) { return "", err }
	}
	t.Cleanup(func() { _ = conn.Close() })
	in := bufio.NewReader(conn)
	return func(line string, wait time.Duration) (string, error) {
		if line != "" {
			if _, err := io.WriteString(conn, line+"\n"); err != nil {
				return "", err
			}
		}
		_ = conn.SetReadDeadline(time.Now().Add(wait)) // a TCP connection has deadlines
		got, err := in.ReadString('\n')
		return strings.TrimSpace(got), err
	}
}

func isTimeout(err error) bool {
	timeout, ok := err.(net.Error) //nolint:errorlint // as the connection returns it
	return ok && timeout.Timeout()
}

func TestLinkIsSilent(t *testing.T) {
	t.Parallel()
	for name, cut := range map[string]func(*link){"both": (*link).silence, "answers": (*link).silenceAnswers} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := echoLink(t)
			say := dialEcho(t, l)
			if got, err := say("one", patience); got != "one" {
				t.Fatalf("%q, %v", got, err)
			}
			cut(l)
			sayNew := dialEcho(t, l)
			for what, say := range map[string]func(string, time.Duration) (string, error){"old": say, "new": sayNew} {
				if got, err := say("two", 100*time.Millisecond); !isTimeout(err) {
					t.Errorf("%s connection: %q, %v, want silence", what, got, err)
				}
			}
			l.heal()
			for what, say := range map[string]func(string, time.Duration) (string, error){"old": say, "new": sayNew} {
				if got, err := say("", patience); got != "two" {
					t.Errorf("%s connection after the silence: %q, %v", what, got, err)
				}
			}
		})
	}
}

func TestLinkRefuses(t *testing.T) {
	t.Parallel()
	l := echoLink(t)
	say := dialEcho(t, l)
	if got, err := say("one", patience); got != "one" {
		t.Fatalf("%q, %v", got, err)
	}
	l.refuse()
	if got, err := say("two", patience); err == nil || isTimeout(err) {
		t.Errorf("an old connection: %q, %v, want it reset", got, err)
	}
	if got, err := dialEcho(t, l)("two", patience); err == nil || isTimeout(err) {
		t.Errorf("a new connection: %q, %v, want it reset", got, err)
	}
	l.heal()
	if got, err := dialEcho(t, l)("three", patience); got != "three" {
		t.Errorf("after healing: %q, %v", got, err)
	}
}

// A client may say whom to ask, the others take turns, Host stays, and no answer is
// no 502 of a gateway.
func TestBalancer(t *testing.T) {
	t.Parallel()
	var gateways []*gateway
	for _, name := range names {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, name+" "+r.Host+" "+r.Header.Get(headerTo))
		}))
		t.Cleanup(server.Close)
		gateways = append(gateways, &gateway{name: name, addr: server.Listener.Addr().String()})
		if name == "C" {
			server.Close()
		}
	}
	front := (*namespace)(nil).listen(t, "127.0.0.1:0")
	serveBalancer(t, front, gateways)
	c := client{origin: "http://" + front.Addr().String(), route: at("")}
	get := func(c client) answer {
		a, err := c.send(t.Context(), http.MethodGet, "/", nil, http.Header{})
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	if got, want := string(get(c.via(at("B"))).body), "B "+front.Addr().String()+" "; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if a := get(c.via(at("C"))); a.settled() || a.status != 0 {
		t.Errorf("a dead gateway answered %d", a.status)
	}
	turns := map[string]int{}
	for range 2 * len(names) {
		first, _, _ := strings.Cut(string(get(c).body), " ")
		turns[first]++
	}
	if turns["A"] != 2 || turns["B"] != 2 || turns[""] != 2 {
		t.Errorf("turns %v, want two each", turns)
	}
}
