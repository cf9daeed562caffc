// SPDX-License-Identifier: Apache-2.0

package testpostgres

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// configuration is for many small databases on a small machine, and says nothing
// that a test of the engine relies on.
const configuration = `
listen_addresses = ''
max_connections = 300
shared_buffers = 32MB
max_wal_size = 256MB
log_min_messages = warning
log_min_error_statement = panic
autovacuum_naptime = 10s
deadlock_timeout = 100ms
`

// forgetful gives durability away where no test is about it.
const forgetful = `
fsync = off
full_page_writes = off
`

// access asks one role for its password and lets everybody else in.
const access = "local all " + PasswordRole + " scram-sha-256\nlocal all all trust\n"

// initialise makes the directory and the cluster in it. The directory lies right
// below the temporary one: the path of a socket has to be short, and the server
// runs as a user who may not enter what belongs to the test.
func (s *Server) initialise() (err error) {
	if s.dir, err = os.MkdirTemp("", "pg"); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.RemoveAll(s.dir)
		}
	}()
	if err := giveTo(s.dir, s.owner); err != nil {
		return err
	}
	cmd := exec.Command(filepath.Join(s.bin, "initdb"), "-D", s.data(), "-U", "postgres",
		"--auth=trust", "--no-sync", "--no-instructions", "-E", "UTF8", "--locale=C")
	cmd.Dir, cmd.SysProcAttr = s.dir, s.owner
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w\n%s", err, out)
	}
	conf := configuration
	if !s.options.durable {
		conf += forgetful
	}
	if err := s.appendTo("postgresql.conf", conf); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(s.data(), "pg_hba.conf"), []byte(access), 0o600)
}

func (s *Server) appendTo(name, text string) error {
	f, err := os.OpenFile(filepath.Join(s.data(), name), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = f.WriteString(text)
	return err
}
