// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

// A client that hangs up while the store works is nothing to wake an operator for. A
// store that is too slow is.
func TestWhoHangsUpIsNoFailureOfTheStore(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		err     error
		failure bool
	}{
		"client gone":   {fmt.Errorf("read grant: %w", context.Canceled), false},
		"store is slow": {fmt.Errorf("read grant: %w", context.DeadlineExceeded), true},
		"disk is full":  {errors.New("no space left on device"), true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var log strings.Builder
			counted := 0
			st := NewState(Options{Store: newScriptedStore(), Count: func(e Event) {
				if e == EventStoreFailed {
					counted++
				}
			}})
			s := &Server{st: st, log: slog.New(slog.NewTextHandler(&log, nil))}
			if got := s.storeError("grant", c.err); got.HTTPStatus() != 503 {
				t.Errorf("status %d, want 503", got.HTTPStatus())
			}
			if failed := strings.Contains(log.String(), "level=ERROR"); failed != c.failure || (counted == 1) != c.failure {
				t.Errorf("counted %d, logged %s", counted, log.String())
			}
		})
	}
}
