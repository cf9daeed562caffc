// SPDX-License-Identifier: Apache-2.0

//go:build unix

package testpostgres

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"strconv"
	"syscall"
)

// credential is what a process of the server is started with: PostgreSQL refuses
// to run as root, and then runs as the user whom its package made.
func credential() (*syscall.SysProcAttr, error) {
	if os.Geteuid() != 0 {
		return ownGroup(nil), nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		return nil, errors.New("the tests run as root and there is no user postgres to run the server as")
	}
	uid, uidErr := strconv.ParseUint(u.Uid, 10, 32)
	gid, gidErr := strconv.ParseUint(u.Gid, 10, 32)
	if err := errors.Join(uidErr, gidErr); err != nil {
		return nil, fmt.Errorf("user postgres: %w", err)
	}
	return ownGroup(&syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}), nil
}

// ownGroup keeps an interrupt at the terminal from the process, which has to end
// in its own order.
func ownGroup(attr *syscall.SysProcAttr) *syscall.SysProcAttr {
	own := syscall.SysProcAttr{Setpgid: true}
	if attr != nil {
		own.Credential = attr.Credential
	}
	return &own
}

func giveTo(path string, owner *syscall.SysProcAttr) error {
	if owner.Credential == nil {
		return nil
	}
	return os.Chown(path, int(owner.Credential.Uid), int(owner.Credential.Gid))
}
