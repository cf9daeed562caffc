// SPDX-License-Identifier: Apache-2.0

package redis

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// fakeServer answers commands as a test says, for what a real server cannot be made to
// answer. answer gets the command in lower case and returns a reply in the protocol.
func fakeServer(t *testing.T, answer func(command []string) string) string {
	t.Helper()
	return listen(t, func(c net.Conn) {
		r := bufio.NewReader(c)
		for {
			command, err := readCommand(r)
			if err != nil {
				return
			}
			command[0] = strings.ToLower(command[0])
			reply := "-ERR unknown command\r\n"
			if command[0] != "hello" {
				reply = answer(command)
			}
			if _, err := io.WriteString(c, reply); err != nil {
				return
			}
		}
	})
}

// readCommand reads one array of texts (RESP2).
func readCommand(r *bufio.Reader) ([]string, error) {
	n, err := readNumber(r, "*")
	if err != nil {
		return nil, err
	}
	command := make([]string, n)
	for i := range command {
		size, err := readNumber(r, "$")
		if err != nil {
			return nil, err
		}
		text := make([]byte, size+2)
		if _, err := io.ReadFull(r, text); err != nil {
			return nil, err
		}
		command[i] = string(text[:size])
	}
	return command, nil
}

func readNumber(r *bufio.Reader, mark string) (int, error) {
	line, err := r.ReadString('\n')
	if err != nil {
		return 0, err
	}
	text, found := strings.CutPrefix(strings.TrimRight(line, "\r\n"), mark)
	if !found {
		return 0, fmt.Errorf("%q does not begin with %s", line, mark)
	}
	return strconv.Atoi(text)
}

// listen serves connections on loopback until the test ends.
func listen(t *testing.T, serve func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	ok(t, err)
	var (
		wg    sync.WaitGroup
		mu    sync.Mutex
		conns []net.Conn
	)
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			conns = append(conns, c)
			mu.Unlock()
			wg.Go(func() {
				defer func() { _ = c.Close() }()
				serve(c)
			})
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		mu.Lock()
		for _, c := range conns {
			_ = c.Close()
		}
		mu.Unlock()
		wg.Wait()
	})
	return l.Addr().String()
}

// bulk is a text in the protocol.
func bulk(text string) string { return fmt.Sprintf("$%d\r\n%s\r\n", len(text), text) }

func TestAnOldServerIsRefused(t *testing.T) {
	t.Parallel()
	addr := fakeServer(t, func(command []string) string {
		if command[0] == "info" {
			return bulk("# Server\r\nredis_version:5.0.14\r\n")
		}
		return "-ERR must not be asked\r\n"
	})
	err := openError(t, Options{Addresses: []string{addr}})
	wantErr(t, err, ErrVersion)
	wantText(t, err.Error(), addr, "5.0.14", "6.2 or newer", "Valkey")
}

// Some hosted servers hide INFO and CONFIG. Then nobody knows what is at risk, and it is
// said.
func TestAServerThatTellsNothing(t *testing.T) {
	t.Parallel()
	var log journal
	addr := fakeServer(t, func(command []string) string {
		switch command[0] {
		case "info", "config":
			return fmt.Sprintf("-ERR unknown command '%s'\r\n", command[0])
		case "evalsha":
			return "*1\r\n" + bulk("ok")
		default:
			return "-ERR must not be asked\r\n"
		}
	})
	openWith(t, Options{Addresses: []string{addr}, Logger: log.logger()})
	wantText(t, log.String(), warnUnknown)
}

// What a server answers when it cannot serve is never taken for an answer about a record.
func TestErrorsOfTheServerAreNoAnswers(t *testing.T) {
	t.Parallel()
	for _, reply := range []string{
		"-LOADING Redis is loading the dataset in memory\r\n", "-READONLY You can't write against a read only replica.\r\n",
		"-OOM command not allowed when used memory > 'maxmemory'.\r\n", "-NOAUTH Authentication required.\r\n",
		"-CLUSTERDOWN The cluster is down\r\n", "-MASTERDOWN Link with MASTER is down\r\n", "-MISCONF Redis is configured to save RDB snapshots\r\n",
		"-BUSY Redis is busy running a script\r\n", "-NOREPLICAS Not enough good replicas to write.\r\n", "-TRYAGAIN Multiple keys request during rehashing of slot\r\n",
		"-MOVED 1 127.0.0.1:1\r\n", "-ERR max number of clients reached\r\n", "-WRONGTYPE Operation against a key\r\n", "-NOPERM no permissions\r\n",
		// And what no server answers to these scripts.
		"*0\r\n", "*-1\r\n", "$-1\r\n", ":0\r\n", "+OK\r\n", "*1\r\n$-1\r\n", "*1\r\n*0\r\n", "*1\r\n$7\r\ngarbage\r\n", "*2\r\n$2\r\nok\r\n$3\r\n1:x\r\n", "garbage\r\n",
	} {
		t.Run(strings.TrimSpace(reply), func(t *testing.T) {
			t.Parallel()
			opened := make(chan struct{})
			addr := fakeServer(t, func(command []string) string {
				select {
				case <-opened:
					return reply
				default:
				}
				if command[0] == "info" {
					return bulk("redis_version:7.0.0\r\n")
				}
				return "*1\r\n" + bulk("ok")
			})
			s := openWith(t, Options{Addresses: []string{addr}})
			close(opened)
			for name, verb := range verbs(t, s) {
				if err := verb(); err == nil || outcome(err) {
					t.Errorf("%s: %v", name, err)
				}
			}
		})
	}
}

// The server went away in the middle of an answer, or something else listens there.
func TestBrokenAnswers(t *testing.T) {
	t.Parallel()
	for _, reply := range []string{"", "*", "*2\r\n$2\r\nok\r\n", "$100\r\nshort", "HTTP/1.1 400 Bad Request\r\n\r\n", "\x00\x00\x00"} {
		t.Run(reply, func(t *testing.T) {
			t.Parallel()
			addr := listen(t, func(c net.Conn) {
				_ = c.SetReadDeadline(time.Now().Add(time.Second))
				_, _ = readCommand(bufio.NewReader(c))
				_, _ = io.WriteString(c, reply)
			})
			err := openError(t, Options{Addresses: []string{addr}, StartTimeout: 500 * time.Millisecond})
			if outcome(err) {
				t.Errorf("open: %v", err)
			}
		})
	}
}
