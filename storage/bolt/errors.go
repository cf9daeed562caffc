// SPDX-License-Identifier: Apache-2.0

package bolt

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"syscall"

	berrors "go.etcd.io/bbolt/errors"

	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
)

// Errors of Open. Where the file itself is at fault it is left as it is: nobody
// but the operator may decide that the state of all users is to be thrown away.
var (
	// ErrInUse: another process, or another Store of this one, holds the file.
	ErrInUse = errors.New("another process has it open; use `caddy reload` to give a running server a new configuration, " +
		"or give every server a state file of its own")
	// ErrDamaged: the file is not intact. Verbs answer it too, when they meet
	// damage that Open did not see.
	ErrDamaged = errors.New("the state file is damaged")
	// ErrForeign: an intact bbolt file, but written by another program or by a
	// newer version of this one.
	ErrForeign = errors.New("the file does not hold state this version can read")
)

// explainOpen adds to a failure of Open what the operator can do about it.
func explainOpen(path string, err error) error {
	const advice = "it was not changed; restore a backup, or move it away to start empty, which signs everyone out and forgets all clients"
	switch {
	case errors.Is(err, berrors.ErrTimeout):
		err = ErrInUse
	case errors.Is(err, ErrDamaged), errors.Is(err, ErrForeign):
		err = fmt.Errorf("%w: %s", err, advice)
	case errors.Is(err, berrors.ErrInvalid), errors.Is(err, berrors.ErrChecksum), errors.Is(err, berrors.ErrVersionMismatch),
		strings.HasPrefix(err.Error(), "file size too small"): // bbolt has no name for it
		err = fmt.Errorf("%w (%w): %s", ErrDamaged, err, advice)
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		err = fmt.Errorf("%w: the file and its directory must be writable by the user the server runs as", err)
	}
	return fmt.Errorf("open state file %s: %w", path, err)
}

// explain names the step that failed. What it meets is either of the contract
// or a failure of the file below it.
func explain(verb string, err error) error {
	switch {
	case err == nil || outcome(err):
		return err
	case errors.Is(err, berrors.ErrDatabaseNotOpen):
		err = storage.ErrClosed
	}
	return fmt.Errorf("%s: %w", verb, err)
}

// outcome reports whether err is an answer about the record and not a failure.
func outcome(err error) bool {
	switch err { //nolint:errorlint // only the bare values are answers, see write
	case storage.ErrNotFound, storage.ErrExists, storage.ErrChanged, storage.ErrReplay, storage.ErrReuse, storage.ErrFull, storage.ErrNotEmpty:
		return true
	}
	return false
}
