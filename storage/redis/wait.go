// SPDX-License-Identifier: Apache-2.0

package redis

import (
	"context"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

// Wait is how many replicas have to have a write before it is acknowledged.
//
// It narrows the window in which a failover forgets what was acknowledged; it does not
// close it, because Redis may still promote a replica that was not among those that
// confirmed. And a write that too few confirmed in time is not undone: the caller is told
// that the outcome is unknown, and a repeat may find it done.
type Wait struct {
	// Replicas that have to confirm; 0 asks for none.
	Replicas int
	// Timeout after which the write counts as unconfirmed, one second if zero.
	Timeout time.Duration
}

// maxWait bounds how long a sign-in hangs when a replica is away.
const maxWait = 10 * time.Second

func (w Wait) check() error {
	switch {
	case w.Replicas < 0:
		return fmt.Errorf("wait: %d replicas", w.Replicas)
	case w.Replicas > 0 && (w.Timeout < time.Millisecond || w.Timeout > maxWait): // 0 would be for ever
		return fmt.Errorf("wait: the timeout is %s; it can be 1ms to %s", w.Timeout, maxWait)
	}
	return nil
}

// processAndWait runs a command that writes and then WAIT, which is about the writes of
// its own connection. If too few replicas confirm, that is the error of the command.
func (s *Store) processAndWait(ctx context.Context, args []any) *redis.Cmd {
	for attempt := 1; ; attempt++ {
		cmd := s.pipelineWithWait(ctx, args)
		// A node of a cluster that does not have the slot any more did not run it.
		cluster, ok := s.client.(*redis.ClusterClient)
		if !ok || attempt == readAttempts || !redis.HasErrorPrefix(cmd.Err(), "MOVED") {
			return cmd
		}
		// This is how the driver looks again who has which slot, and waits for it.
		if err := cluster.ForEachMaster(ctx, func(context.Context, *redis.Client) error { return nil }); err != nil {
			return cmd
		}
	}
}

func (s *Store) pipelineWithWait(ctx context.Context, args []any) *redis.Cmd {
	cmd := redis.NewCmd(ctx, args...)
	node, err := s.node(ctx)
	if err != nil {
		cmd.SetErr(err)
		return cmd
	}
	pipe := node.Pipeline()
	_ = pipe.Process(ctx, cmd)
	wait := pipe.Do(ctx, "wait", s.wait.Replicas, s.wait.Timeout.Milliseconds())
	_, _ = pipe.Exec(ctx) // each command has its own error
	if cmd.Err() != nil {
		return cmd
	}
	switch confirmed, err := wait.Int(); {
	case err != nil:
		cmd.SetErr(fmt.Errorf("wait for replicas: %w", err))
	case confirmed < s.wait.Replicas:
		cmd.SetErr(fmt.Errorf("%w (%d of %d within %s)", ErrReplicas, confirmed, s.wait.Replicas, s.wait.Timeout))
	}
	return cmd
}

// fence makes sure that what a caller was told is there is with the replicas too, where
// that is asked for: the write it saw may be one that nobody has confirmed yet. It is a
// deletion of nothing, which then writes all the same.
func (s *Store) fence(ctx context.Context) error {
	if s.wait.Replicas == 0 {
		return nil
	}
	return s.done(ctx, scriptDrop, "none", "none", "", flag(true))
}

// node returns the client of the server that has our keys.
func (s *Store) node(ctx context.Context) (*redis.Client, error) {
	switch c := s.client.(type) {
	case *redis.Client:
		return c, nil
	case *redis.ClusterClient:
		return c.MasterForKey(ctx, s.meta)
	default:
		return nil, fmt.Errorf("no node of a %T", c)
	}
}
