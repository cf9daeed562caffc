// SPDX-License-Identifier: Apache-2.0

package storage

import (
	"context"
	"time"
)

// Feed is implemented by stores that several gateways share. It tells each of them
// what the others changed of that which gateways hold in memory.
//
// A change is in the feed once the verb that made it has returned nil, and what a
// reader has not seen yet is after its position: nothing appears later at a position
// that was already passed (no gaps to fill). Verbs that append: RevokeGrant,
// DeleteClient for each grant, RotateRefresh where it answers ErrReuse, SaveAccount
// and ReplaceAccount.
type Feed interface {
	// Head is the position after the latest change.
	Head(ctx context.Context) (position uint64, err error)
	// Changes returns at most limit changes after a position, oldest first, and the
	// position to go on from. ErrMissed if some were dropped already, or the position
	// is beyond the head, because the store was emptied or restored: then whoever asks
	// forgets all it holds and begins again at Head.
	Changes(ctx context.Context, after uint64, limit int) (changes []Change, position uint64, err error)
	// Wait returns when there may be changes after the position, at the latest after
	// limit or when ctx is done. It only saves waiting: no change depends on it.
	Wait(ctx context.Context, after uint64, limit time.Duration)
}

// FeedRetention is how long changes stay in a feed at least.
const FeedRetention = time.Hour

// Change is one entry of a feed.
type Change struct {
	Kind ChangeKind
	// ID is the id of a grant, or the subject of an account.
	ID string
}

// ChangeKind says what a change is about.
type ChangeKind string

const (
	// ChangeGrant: the grant ended.
	ChangeGrant ChangeKind = "grant"
	// ChangeAccount: the account has other facts or another token.
	ChangeAccount ChangeKind = "account"
)
