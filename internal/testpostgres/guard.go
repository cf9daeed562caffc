// SPDX-License-Identifier: Apache-2.0

package testpostgres

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
)

// guard is a process that outlives the test binary by the time it takes to stop
// the server and to remove its directory. It waits for the end of a pipe that the
// kernel closes with the test binary, whatever that dies of.
type guard struct {
	once  sync.Once
	pipe  io.Closer
	ended chan struct{}
}

// The server may be down already, or down and up again: pg_ctl goes by the file
// in which a server notes its process id.
const guardScript = `
read -r _
"$1/pg_ctl" stop -D "$2/data" -m immediate -t 20
rm -rf "$2"
`

func (s *Server) startGuard() (*guard, error) {
	read, write, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer read.Close()
	cmd := exec.Command("/bin/sh", "-c", guardScript, "guard", s.bin, s.dir)
	cmd.Stdin, cmd.Dir, cmd.SysProcAttr = read, "/", ownGroup(s.owner)
	if err := cmd.Start(); err != nil {
		_ = write.Close()
		return nil, fmt.Errorf("start the guard of the server: %w", err)
	}
	g := &guard{pipe: write, ended: make(chan struct{})}
	go func() {
		_ = cmd.Wait()
		close(g.ended)
	}()
	return g, nil
}

// end stops the server now.
func (g *guard) end() {
	g.once.Do(func() { _ = g.pipe.Close() })
	<-g.ended
}
