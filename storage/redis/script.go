// SPDX-License-Identifier: Apache-2.0

package redis

import (
	"context"
	"crypto/sha1" //nolint:gosec // the name Redis gives a script, not a protection
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"

	"github.com/redis/go-redis/v9"
)

//go:embed lua/*.lua
var sources embed.FS

// script is one of the files in lua with the prelude before it.
type script struct {
	name, source, sha string
	// reads: it changes nothing, so it may run twice.
	reads bool
}

var (
	scriptOpen     = newScript("open", false)
	scriptLoad     = newScript("load", true)
	scriptMembers  = newScript("members", true)
	scriptPage     = newScript("page", true)
	scriptInsert   = newScript("insert", false)
	scriptCommit   = newScript("commit", false)
	scriptDrop     = newScript("drop", false)
	scriptDropList = newScript("drop_list", false)
	scriptSweep    = newScript("sweep", false)
	scriptHead     = newScript("head", false)
	scriptChanges  = newScript("changes", true)
	scriptTrim     = newScript("trim", false)
	scriptImport   = newScript("import", false)
)

func newScript(name string, reads bool) *script {
	source := mustRead("prelude") + mustRead(name)
	sum := sha1.Sum([]byte(source)) //nolint:gosec // see the import
	return &script{name: name, source: source, sha: hex.EncodeToString(sum[:]), reads: reads}
}

func mustRead(name string) string {
	raw, err := sources.ReadFile("lua/" + name + ".lua")
	if err != nil {
		panic(err) // embedded: it cannot be missing
	}
	return string(raw)
}

// readAttempts is how often a script that only reads is tried. After a restart of the
// server the first connections from the pool may be dead ones.
const readAttempts = 3

// call runs a script and returns its answer as texts; a record that is not there is "".
//
// A script that writes is sent once. Whether it ran is unknown if the connection breaks
// before the answer, and a second run would not do the same: it would find a code
// redeemed, by the first. The caller fails closed then, as Store says.
func (s *Store) call(ctx context.Context, sc *script, args ...string) ([]string, error) {
	for attempt := 1; ; attempt++ {
		reply, err := s.send(ctx, sc, args)
		if err == nil || !sc.reads || attempt == readAttempts || !broken(err) || ctx.Err() != nil {
			return reply, err
		}
	}
}

// broken reports whether a connection was at fault, and not the server or the time.
func broken(err error) bool {
	var op *net.OpError
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.As(err, &op) && op.Op != "dial" && !op.Timeout()
}

// send has the server run a script by its hash, and by its text where that is not known
// there, as after a restart.
func (s *Store) send(ctx context.Context, sc *script, args []string) ([]string, error) {
	argv, err := s.argv(args)
	if err != nil {
		return nil, err
	}
	cmd := s.evaluate(ctx, sc, "evalsha", sc.sha, argv)
	if redis.HasErrorPrefix(cmd.Err(), "NOSCRIPT") {
		cmd = s.evaluate(ctx, sc, "eval", sc.source, argv)
	}
	if err := cmd.Err(); err != nil && !errors.Is(err, redis.Nil) {
		return nil, fmt.Errorf("script %s: %w", sc.name, err)
	}
	return texts(cmd.Val())
}

// argv puts before the arguments what every script gets.
func (s *Store) argv(args []string) ([]string, error) {
	now := ""
	if s.now != nil {
		now = stamp(s.now())
	}
	nonce, err := randomBelow(1 << nonceBits)
	if err != nil {
		return nil, err
	}
	return append([]string{now, format, fmt.Sprint(nonce)}, args...), nil
}

func (s *Store) evaluate(ctx context.Context, sc *script, how, what string, argv []string) *redis.Cmd {
	args := make([]any, 0, len(argv)+4)
	args = append(args, how, what, 1, s.meta)
	for _, a := range argv {
		args = append(args, a)
	}
	if s.wait.Replicas > 0 && !sc.reads {
		return s.processAndWait(ctx, args)
	}
	cmd := redis.NewCmd(ctx, args...)
	_ = s.client.Process(ctx, onceOnly{cmd}) // the command has the error, too
	return cmd
}

// onceOnly keeps the driver from sending a command a second time, except where the
// server said that it did not take the first.
type onceOnly struct{ *redis.Cmd }

// NoRetry implements redis.Cmder.
func (onceOnly) NoRetry() bool { return true }

// texts reads the answer of a script: a list of texts, numbers and nothing.
func texts(answer any) ([]string, error) {
	list, ok := answer.([]any)
	if !ok {
		return nil, fmt.Errorf("a script answered %T", answer)
	}
	out := make([]string, len(list))
	for i, item := range list {
		switch v := item.(type) {
		case string:
			out[i] = v
		case int64:
			out[i] = fmt.Sprint(v)
		case nil:
		default:
			return nil, fmt.Errorf("a script answered a list with %T", item)
		}
	}
	return out, nil
}

// do runs a script that answers "ok" and results, or why not.
func (s *Store) do(ctx context.Context, sc *script, args ...string) ([]string, error) {
	reply, err := s.call(ctx, sc, args...)
	if err != nil {
		return nil, err
	}
	if len(reply) == 0 || reply[0] != "ok" {
		return nil, refusal(reply)
	}
	return reply[1:], nil
}

// done is do for a script without results.
func (s *Store) done(ctx context.Context, sc *script, args ...string) error {
	reply, err := s.do(ctx, sc, args...)
	if err == nil && len(reply) != 0 {
		return fmt.Errorf("script %s answered too much", sc.name)
	}
	return err
}
