// SPDX-License-Identifier: Apache-2.0

package storage

import "errors"

// Errors of Store. Test with errors.Is; engines may wrap them with context that
// never includes a secret.
var (
	// ErrNotFound: no such record under this issuer, or it is past its end.
	ErrNotFound = errors.New("storage: not found")
	// ErrExists: the id of a new record is taken.
	ErrExists = errors.New("storage: already exists")
	// ErrChanged: the record is no longer the one the caller has seen.
	ErrChanged = errors.New("storage: changed meanwhile")
	// ErrReplay: the authorization code was redeemed before.
	ErrReplay = errors.New("storage: code already redeemed")
	// ErrReuse: a refresh secret was used after its time; the grant is revoked.
	ErrReuse = errors.New("storage: refresh token reuse, grant revoked")
	// ErrFull: too many clients that never completed a sign-in, all of them young.
	ErrFull = errors.New("storage: too many unused clients")
	// ErrMissed: a Feed no longer has all changes after a position.
	ErrMissed = errors.New("storage: changes were missed")
	// ErrNotEmpty: only an empty store can be restored into.
	ErrNotEmpty = errors.New("storage: not empty")
	// ErrClosed: the store was closed.
	ErrClosed = errors.New("storage: closed")
)
