// SPDX-License-Identifier: Apache-2.0

package redis

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"time"
)

// randomBelow returns a number below n, which is a power of two.
func randomBelow(n uint64) (uint64, error) {
	var b [8]byte
	if _, err := rand.Read(b[:]); err != nil {
		return 0, fmt.Errorf("randomness: %w", err)
	}
	return binary.BigEndian.Uint64(b[:]) & (n - 1), nil
}

// Bounds of a step that others disturb. Every conflict means that another caller got on,
// so the number of callers bounds the number of conflicts; the time bounds the wait of
// one caller among very many.
const (
	firstPause = time.Millisecond
	maxPause   = 64 * time.Millisecond
	retryFor   = 8 * time.Second
)

// pause waits after the n-th conflict, longer each time and never in step with others.
func pause(ctx context.Context, n int) error {
	longest := min(firstPause<<min(n, 10), maxPause)
	r, err := randomBelow(1 << 32)
	if err != nil {
		return err
	}
	timer := time.NewTimer(time.Duration(float64(longest) * float64(r) / (1 << 32)))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
