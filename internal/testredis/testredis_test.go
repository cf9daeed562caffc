// SPDX-License-Identifier: Apache-2.0

package testredis_test

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/caddy-mcp/caddy-mcp-oauth/internal/testredis"
)

// childVar makes the test binary start a server and wait to be killed.
const childVar = "MCP_OAUTH_TESTREDIS_CHILD"

func TestMain(m *testing.M) { os.Exit(testredis.Main(m)) }

func TestKillForgetsAndStopDoesNot(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		options []testredis.Option
		end     func(*testredis.Server)
		want    any
	}{
		"killed, in memory":        {nil, (*testredis.Server).Kill, nil},
		"stopped, in memory":       {nil, (*testredis.Server).Stop, nil},
		"killed, append-only":      {[]testredis.Option{testredis.AppendOnly("always")}, (*testredis.Server).Kill, "1"},
		"stopped, append-only":     {[]testredis.Option{testredis.AppendOnly("everysec")}, (*testredis.Server).Stop, "1"},
		"on a socket, append-only": {[]testredis.Option{testredis.AppendOnly("always"), testredis.Unix()}, (*testredis.Server).Kill, "1"},
		"a cluster, append-only":   {[]testredis.Option{testredis.AppendOnly("always"), testredis.Cluster()}, (*testredis.Server).Kill, "1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := testredis.Start(t, tc.options...)
			addr := s.Addr()
			s.Do("SET", "a", "1")
			tc.end(s)
			if c, err := net.Dial("tcp", addr); err == nil {
				_ = c.Close()
				t.Error("something still listens")
			}
			s.Restart()
			if got := s.Do("GET", "a"); got != tc.want || s.Addr() != addr {
				t.Errorf("%v at %s, want %v at %s", got, s.Addr(), tc.want, addr)
			}
		})
	}
}

func TestAReplicaHasTheData(t *testing.T) {
	t.Parallel()
	primary := testredis.Start(t)
	primary.Do("SET", "a", "1")
	replica := testredis.Start(t, testredis.ReplicaOf(primary))
	if got := replica.Do("GET", "a"); got != "1" {
		t.Errorf("%v", got)
	}
	if err := replica.Try("SET", "a", "2"); err == nil {
		t.Error("it takes writes")
	}
}

func TestFreezeAndThaw(t *testing.T) {
	t.Parallel()
	s := testredis.Start(t)
	s.Freeze()
	answered := make(chan struct{})
	go func() {
		_ = s.Try("PING")
		close(answered)
	}()
	select {
	case <-answered:
		t.Error("a frozen server answers")
	case <-time.After(100 * time.Millisecond):
	}
	s.Thaw()
	<-answered
}

func TestSharedIsOne(t *testing.T) {
	t.Parallel()
	if first, second := testredis.Shared(t), testredis.Shared(t); first != second {
		t.Error("two servers")
	}
	if first, second := testredis.Prefix(), testredis.Prefix(); first == second {
		t.Error("one prefix twice")
	}
}

// A test run that is killed, by its time limit or by hand, leaves no server behind.
func TestServersEndWithTheTestProcess(t *testing.T) {
	if os.Getenv(childVar) != "" {
		fmt.Println("pid", testredis.Start(t).Do("INFO", "server"))
		time.Sleep(time.Hour)
	}
	t.Parallel()
	testredis.Binary(t)
	if runtime.GOOS != "linux" {
		t.Skip("only Linux tells a child that its parent is gone")
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestServersEndWithTheTestProcess$") //nolint:gosec,noctx // this very binary
	cmd.Env = append(os.Environ(), childVar+"=1", "TMPDIR="+t.TempDir())            // it cannot clean up
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	addr := ""
	for lines := bufio.NewScanner(out); addr == "" && lines.Scan(); {
		if port, found := strings.CutPrefix(lines.Text(), "tcp_port:"); found {
			addr = "127.0.0.1:" + strings.TrimSpace(port)
		}
	}
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatalf("the child's server: %v", err)
	}
	_ = c.Close()
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			return
		}
		_ = c.Close()
		if time.Now().After(deadline) {
			t.Fatal("the server outlives the process that started it")
		}
	}
}
