// SPDX-License-Identifier: Apache-2.0

package caddymodule

import (
	"context"
	"log/slog"
	"sync/atomic"
)

// logSwitch is the log of a state that outlives configurations. It writes to
// the log of the configuration in effect: the files of an earlier one may be
// closed.
type logSwitch struct {
	target *atomic.Pointer[slog.Logger]
	// with are the attributes and groups added since, in order.
	with []func(slog.Handler) slog.Handler
}

func newLogSwitch(l *slog.Logger) *logSwitch {
	s := &logSwitch{target: new(atomic.Pointer[slog.Logger])}
	s.target.Store(l)
	return s
}

func (s *logSwitch) set(l *slog.Logger) { s.target.Store(l) }

// Enabled implements slog.Handler.
func (s *logSwitch) Enabled(ctx context.Context, level slog.Level) bool {
	return s.target.Load().Enabled(ctx, level)
}

// Handle implements slog.Handler.
func (s *logSwitch) Handle(ctx context.Context, r slog.Record) error {
	h := s.target.Load().Handler()
	for _, f := range s.with {
		h = f(h)
	}
	return h.Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (s *logSwitch) WithAttrs(attrs []slog.Attr) slog.Handler {
	return s.add(func(h slog.Handler) slog.Handler { return h.WithAttrs(attrs) })
}

// WithGroup implements slog.Handler.
func (s *logSwitch) WithGroup(name string) slog.Handler {
	return s.add(func(h slog.Handler) slog.Handler { return h.WithGroup(name) })
}

func (s *logSwitch) add(f func(slog.Handler) slog.Handler) *logSwitch {
	return &logSwitch{target: s.target, with: append(s.with[:len(s.with):len(s.with)], f)}
}
