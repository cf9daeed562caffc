// SPDX-License-Identifier: Apache-2.0

package testproc_test

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/caddy-mcp/caddy-mcp-oauth/internal/testproc"
)

// childVar makes the test binary a server at this address, which says something first.
const (
	childVar = "MCP_OAUTH_TESTPROC_CHILD"
	sayVar   = "MCP_OAUTH_TESTPROC_SAY"
)

func TestMain(m *testing.M) {
	addr := os.Getenv(childVar)
	if addr == "" {
		os.Exit(testproc.Main(m))
	}
	fmt.Fprintln(os.Stderr, os.Getenv(sayVar))
	if addr != "none" {
		err := http.ListenAndServe(addr, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusUnauthorized)
		}))
		fmt.Fprintln(os.Stderr, err)
	}
	os.Exit(1)
}

// child is the test binary as a server, and a request to it.
func child(t *testing.T, say string) (cmd *exec.Cmd, r *http.Request) {
	t.Helper()
	addr := fmt.Sprintf("127.0.0.1:%d", testproc.FreePort(t))
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+addr+"/", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	cmd = exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childVar+"="+addr, sayVar+"="+say)
	return cmd, r
}

var transport = &http.Transport{DisableKeepAlives: true}

func TestProcessLivesTwice(t *testing.T) {
	t.Parallel()
	p := testproc.Process{Name: "it", Log: new(testproc.Log)}
	for _, end := range []func(testing.TB){p.Stop, p.Kill, p.Stop} {
		cmd, r := child(t, "hello")
		p.Start(t, cmd, testproc.Here)
		p.Await(t, transport, r, http.StatusUnauthorized)
		end(t)
		if resp, err := transport.RoundTrip(r); err == nil {
			_ = resp.Body.Close()
			t.Error("it still answers")
		}
		end(t) // what is over can be ended
	}
	p.Finish(t)
	if got := strings.Count(p.Log.String(), "hello\n"); got != 3 {
		t.Errorf("it said hello %d times, want 3", got)
	}
}

func TestFinishStopsWhatRuns(t *testing.T) {
	t.Parallel()
	p := testproc.Process{Name: "it", Log: new(testproc.Log)}
	p.Finish(t) // nothing was started
	cmd, r := child(t, "hello")
	p.Start(t, cmd, testproc.Here)
	p.Await(t, transport, r, http.StatusUnauthorized)
	p.Finish(t)
	if cmd.ProcessState == nil {
		t.Error("it runs on")
	}
}

// What went wrong with a server fails the test that looks at it, and shows its log.
func TestProcessFails(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		say    string
		status int
		dies   bool
		want   []string
	}{
		"another status": {status: http.StatusOK, want: []string{"it answers http://127.0.0.1:", "401 Unauthorized, want 200"}},
		"it dies":        {say: "no such file", status: http.StatusUnauthorized, dies: true, want: []string{"it did not start:\nno such file"}},
		"a panic":        {say: "panic: x", status: http.StatusUnauthorized, want: []string{`the log of it contains "panic"`, "the end of the log of it:\npanic: x"}},
		"a data race":    {say: "WARNING: DATA RACE\nin a function", status: http.StatusUnauthorized, want: []string{"contains \"DATA RACE\":\nDATA RACE\nin a function"}},
		"a fatal error":  {say: "fatal error: all goroutines are asleep", status: http.StatusUnauthorized, want: []string{`contains "fatal error"`}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rec := record(t, func(rec *recorder) {
				p := testproc.Process{Name: "it", Log: new(testproc.Log)}
				defer p.Finish(rec)
				cmd, r := child(t, tc.say)
				if tc.dies {
					cmd.Env = append(cmd.Env, childVar+"=none")
				}
				p.Start(rec, cmd, testproc.Here)
				p.Await(rec, transport, r, tc.status)
			})
			for _, want := range tc.want {
				if !strings.Contains(rec.said.String(), want) {
					t.Errorf("it does not say %q but\n%s", want, rec.said.String())
				}
			}
			if !rec.failed {
				t.Error("the test does not fail")
			}
		})
	}
}

func TestStartOfWhatIsNotThere(t *testing.T) {
	t.Parallel()
	rec := record(t, func(rec *recorder) {
		p := testproc.Process{Name: "it", Log: new(testproc.Log)}
		p.Start(rec, exec.Command(filepath.Join(t.TempDir(), "none")), testproc.Here)
	})
	if !rec.failed || !strings.Contains(rec.said.String(), "start it: ") {
		t.Errorf("it says %s", rec.said.String())
	}
}

func TestProgram(t *testing.T) {
	t.Setenv("TESTPROC_BINARY", "given")
	given, err := filepath.Abs("given")
	if err != nil {
		t.Fatal(err)
	}
	p := testproc.Program{Package: "no/such/package", Env: "TESTPROC_BINARY"}
	if got := p.Path(t); got != given {
		t.Errorf("%s, want what the variable says: %s", got, given)
	}
	for name, p := range map[string]*testproc.Program{
		"the variable is not set": {Package: "no/such/package", Env: "TESTPROC_NOT_SET"},
		"there is none":           {Package: "no/such/package"},
	} {
		rec := record(t, func(rec *recorder) { p.Path(rec) })
		if !rec.failed || !strings.Contains(rec.said.String(), "build no/such/package") {
			t.Errorf("%s: it says %s", name, rec.said.String())
		}
	}
}

// Every test gets the binary that the first of them had built.
func TestProgramIsBuiltOnce(t *testing.T) {
	t.Parallel()
	p := testproc.Program{Package: "github.com/caddy-mcp/caddy-mcp-oauth/internal/testproc/testdata/hello", Race: true}
	first := p.Path(t)
	out, err := exec.CommandContext(t.Context(), first).CombinedOutput()
	if err != nil || string(out) != "hello\n" {
		t.Fatalf("%q, %v", out, err)
	}
	built, err := os.Stat(first)
	if err != nil {
		t.Fatal(err)
	}
	second := p.Path(t)
	if again, err := os.Stat(second); err != nil || second != first || !again.ModTime().Equal(built.ModTime()) {
		t.Errorf("built anew: %s, then %s, %v", first, second, err)
	}
}

// A port that is free is not given to two, and not one that the next server that asks
// for any could get.
func TestFreePort(t *testing.T) {
	t.Parallel()
	seen := map[int]bool{}
	for range 100 {
		port := testproc.FreePort(t)
		if seen[port] || port < 20000 || port >= 32000 {
			t.Fatalf("port %d, after %v", port, seen)
		}
		seen[port] = true
	}
}

func TestFirstLines(t *testing.T) {
	for n, want := range map[int]string{0: "", 2: "a\nb", 9: "a\nb\nc"} {
		if got := testproc.FirstLines("a\nb\nc", n); got != want {
			t.Errorf("first %d: %q, want %q", n, got, want)
		}
	}
}

func TestLastLines(t *testing.T) {
	t.Parallel()
	for n, want := range map[int]string{1: "c", 2: "b\nc", 3: "a\nb\nc", 9: "a\nb\nc"} {
		if got := testproc.LastLines("\na\nb\nc\n", n); got != want {
			t.Errorf("%d: %q, want %q", n, got, want)
		}
	}
}

// recorder is a test that only notes what it is told.
type recorder struct {
	testing.TB

	said   strings.Builder
	failed bool
}

// record runs a test until it ends by itself or gives up.
func record(t *testing.T, f func(*recorder)) *recorder {
	t.Helper()
	rec := &recorder{TB: t}
	done := make(chan struct{})
	go func() {
		defer close(done)
		f(rec)
	}()
	<-done
	return rec
}

func (r *recorder) Helper()      {}
func (r *recorder) Failed() bool { return r.failed }

func (r *recorder) Logf(format string, args ...any) { fmt.Fprintf(&r.said, format+"\n", args...) }

func (r *recorder) Errorf(format string, args ...any) {
	r.failed = true
	r.Logf(format, args...)
}

func (r *recorder) Fatal(args ...any) {
	r.Errorf("%s", fmt.Sprint(args...))
	runtime.Goexit()
}

func (r *recorder) Fatalf(format string, args ...any) {
	r.Errorf(format, args...)
	runtime.Goexit()
}
