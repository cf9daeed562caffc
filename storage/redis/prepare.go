// SPDX-License-Identifier: Apache-2.0

package redis

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// prepare is what Open does once there is a client. A server that is not there yet, or is
// still loading its data, as when all machines start together, is asked again until the
// time is up.
func (s *Store) prepare(ctx context.Context, o Options) error {
	ctx, cancel := context.WithTimeout(ctx, o.StartTimeout)
	defer cancel()
	info, err := s.enter(ctx)
	if err != nil {
		if ctx.Err() != nil {
			return fmt.Errorf("no answer within %s: %w", o.StartTimeout, advise(err))
		}
		return advise(err)
	}
	for _, w := range audit(info, s.settings(ctx), o) {
		s.log.Warn(w.text, w.attrs...) //nolint:sloglint // the texts are constants, in audit
	}
	return nil
}

const startPause = 200 * time.Millisecond

// enter tries until the server is what is needed, refuses for good, or the time is up. The
// error is the last one that was not just the end of the time.
func (s *Store) enter(ctx context.Context) (map[string]string, error) {
	var reason error
	for {
		info, err := s.tryToEnter(ctx)
		if err == nil {
			return info, nil
		}
		if reason == nil || !errors.Is(err, context.DeadlineExceeded) {
			reason = err
		}
		if !starting(err) || ctx.Err() != nil {
			return nil, reason
		}
		sleep(ctx, startPause)
		if ctx.Err() != nil {
			return nil, reason
		}
	}
}

func (s *Store) tryToEnter(ctx context.Context) (map[string]string, error) {
	info, err := s.info(ctx)
	if err != nil {
		return nil, err
	}
	if err := checkVersion(info); err != nil {
		return nil, err
	}
	return info, s.occupy(ctx)
}

// starting reports whether an error may go away when a server has started.
func starting(err error) bool {
	var op *net.OpError
	for _, prefix := range []string{"LOADING", "CLUSTERDOWN", "MASTERDOWN", "TRYAGAIN", "BUSY "} {
		if redis.HasErrorPrefix(err, prefix) {
			return true
		}
	}
	return errors.As(err, &op) || broken(err) || errors.Is(err, context.DeadlineExceeded) ||
		strings.Contains(err.Error(), "all sentinels specified in configuration are unreachable") // the driver has no name for it
}

// advise adds to a failure of Open what the operator can do about it.
func advise(err error) error {
	for prefix, advice := range map[string]string{
		"NOAUTH":    "the server wants a password",
		"WRONGPASS": "username or password are wrong",
		"NOPERM":    "see the documentation for the rights that the user needs",
		"READONLY":  "this is a replica; give the address of the primary, or those of the sentinels",
		"MOVED":     "this server is one of a cluster; say so in the configuration",
		"DENIED":    "the server is in protected mode: set a password on it",
	} {
		if redis.HasErrorPrefix(err, prefix) {
			return fmt.Errorf("%w; %s", err, advice)
		}
	}
	return err
}

// info asks the server about itself. A user who must not ask gets nothing and no error.
func (s *Store) info(ctx context.Context) (map[string]string, error) {
	node, err := s.node(ctx)
	if err != nil {
		return nil, err
	}
	text, err := node.Info(ctx).Result()
	if forbidden(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("ask the server for its version: %w", err)
	}
	return parseInfo(text), nil
}

// parseInfo reads the answer to INFO: lines of "name:value" under headings.
func parseInfo(text string) map[string]string {
	info := map[string]string{}
	for line := range strings.Lines(text) {
		name, value, found := strings.Cut(strings.TrimRight(line, "\r\n"), ":")
		if found && !strings.HasPrefix(name, "#") {
			info[name] = value
		}
	}
	return info
}

// settings are those of the server that INFO does not tell. Nil means that they cannot be
// read, as at most hosted servers.
func (s *Store) settings(ctx context.Context) map[string]string {
	node, err := s.node(ctx)
	if err != nil {
		return nil
	}
	all := map[string]string{}
	for _, name := range []string{"appendfsync", "save"} {
		found, err := node.ConfigGet(ctx, name).Result()
		if err != nil {
			return nil
		}
		for k, v := range found {
			all[k] = v
		}
	}
	return all
}

// forbidden reports whether the server does not let this user do something, or does not
// know it, as proxies and hosted servers do not know all commands.
func forbidden(err error) bool {
	return redis.HasErrorPrefix(err, "NOPERM") || redis.HasErrorPrefix(err, "unknown command") || redis.HasErrorPrefix(err, "Unknown")
}

// occupy makes sure that the keys under the prefix are ours and that the user may do with
// them what scripts do.
func (s *Store) occupy(ctx context.Context) error {
	args := make([]string, 0, len(kinds))
	for _, kind := range kinds {
		args = append(args, string(kind))
	}
	reply, err := s.call(ctx, scriptOpen, args...)
	if err != nil {
		if text := err.Error(); strings.Contains(text, "NOPERM") || strings.Contains(text, "can't run this command") ||
			strings.Contains(text, "can't access") {
			return fmt.Errorf("%w: %w", ErrRights, err)
		}
		return err
	}
	switch rest := reply[1:]; reply[0] {
	case "ok":
		return nil
	case "foreign":
		return fmt.Errorf("%w: %s is a %s of another program; choose another prefix", ErrForeign, s.meta, rest[0])
	case "formatless":
		return fmt.Errorf("%w: there is %s, but no format in %s; if the server evicted that, set its maxmemory-policy to noeviction "+
			"and restore a backup; if these keys are of another program, choose another prefix", ErrForeign, rest[0], s.meta)
	case "half":
		return fmt.Errorf("%w: an import did not come to its end, or is still under way; if it is not, delete all keys under %s and "+
			"restore the backup again", ErrDamaged, strings.TrimSuffix(s.meta, "meta"))
	case "denied":
		return refused(rest)
	default:
		return refusal(reply)
	}
}

// refused is the error for commands that the server did not run, each with its answer.
// That it is full or cannot save now does not keep a gateway from starting: it would not
// keep one from running.
func refused(answers []string) error {
	var denied []string
	for _, a := range answers {
		if !strings.Contains(a, ": OOM ") && !strings.Contains(a, ": MISCONF ") && !strings.Contains(a, ": NOREPLICAS ") {
			denied = append(denied, a)
		}
	}
	switch {
	case len(denied) == 0:
		return nil
	case strings.Contains(denied[0], ": READONLY"):
		return advise(readOnly{})
	}
	var names []string
	for _, d := range denied {
		name, _, _ := strings.Cut(d, ":")
		names = append(names, strings.ToLower(name))
	}
	_, first, _ := strings.Cut(denied[0], ": ")
	return fmt.Errorf("%w to use %s (the server says: %s)", ErrRights, strings.Join(names, ", "), first)
}

// readOnly is what a replica answers to writes.
type readOnly struct{}

func (readOnly) Error() string { return "READONLY You can't write against a read only replica" }

// RedisError implements redis.Error.
func (readOnly) RedisError() {}
