// SPDX-License-Identifier: Apache-2.0

package redis

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
)

// Errors of Open, and of verbs that meet later what Open looks for.
var (
	// ErrVersion: the server is too old.
	ErrVersion = errors.New("the server is too old")
	// ErrForeign: what lies under the prefix was written by another program or by a newer
	// version of this one. Nothing was changed.
	ErrForeign = errors.New("the keys under this prefix do not hold state this version can read")
	// ErrRights: the user may not do what the engine has to.
	ErrRights = errors.New("the user lacks rights")
	// ErrDamaged: a record is not what was written.
	ErrDamaged = errors.New("the state in the database is damaged")
	// ErrReplicas: a write is on the primary, but fewer replicas than asked for confirmed
	// it in time. Whether it survives a failover is unknown.
	ErrReplicas = errors.New("too few replicas confirmed the write")
	// ErrBusy: other callers changed the same record again and again until the time was up.
	ErrBusy = errors.New("the record is changed all the time")
)

// outcome reports whether err is an answer about the record and not a failure.
func outcome(err error) bool {
	switch err { //nolint:errorlint // only the bare values are answers
	case storage.ErrNotFound, storage.ErrExists, storage.ErrChanged, storage.ErrReplay, storage.ErrReuse, storage.ErrFull,
		storage.ErrMissed, storage.ErrNotEmpty:
		return true
	}
	return false
}

// explain names the step that failed. A context that is done is the reason, whatever the
// driver calls it.
func explain(ctx context.Context, verb string, err error) error {
	switch {
	case err == nil || outcome(err):
		return err
	case errors.Is(err, redis.ErrClosed):
		err = storage.ErrClosed
	default:
		if reason := over(ctx); reason != nil && !errors.Is(err, reason) {
			err = fmt.Errorf("%w (%w)", reason, err)
		}
	}
	return fmt.Errorf("redis: %s: %w", verb, err)
}

// over is why a context is done. The deadline of a connection is that of the context, and
// may strike a moment before the context notices.
func over(ctx context.Context) error {
	if deadline, ok := ctx.Deadline(); ok && ctx.Err() == nil && !time.Now().Before(deadline) {
		return context.DeadlineExceeded
	}
	return ctx.Err()
}

// refusal is the error for what a script answered in place of "ok".
func refusal(reply []string) error {
	if len(reply) == 0 {
		return errors.New("a script answered nothing")
	}
	switch reply[0] {
	case "exists":
		return storage.ErrExists
	case "full":
		return storage.ErrFull
	case "missed":
		return storage.ErrMissed
	case "damaged":
		return fmt.Errorf("%w (a record without its first line)", ErrDamaged)
	case "format":
		return fmt.Errorf("%w: they have format %.20q, this version reads %s", ErrForeign, strings.Join(reply[1:], " "), format)
	default:
		return fmt.Errorf("a script answered %.20q", reply[0])
	}
}
