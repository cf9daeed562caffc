// SPDX-License-Identifier: Apache-2.0

//go:build unix

package bolt

import (
	"io/fs"
	"os"
	"syscall"
)

// keepOwner gives a new file the owner of the one that it will replace.
func keepOwner(file *os.File, of fs.FileInfo) error {
	made, err := file.Stat()
	if err != nil {
		return err
	}
	old, known := of.Sys().(*syscall.Stat_t)
	now, knownToo := made.Sys().(*syscall.Stat_t)
	if !known || !knownToo || old.Uid == now.Uid && old.Gid == now.Gid {
		return nil
	}
	return file.Chown(int(old.Uid), int(old.Gid))
}
