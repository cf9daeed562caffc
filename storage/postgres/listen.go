// SPDX-License-Identifier: Apache-2.0

package postgres

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	listenPauseMin = 250 * time.Millisecond
	listenPauseMax = 30 * time.Second
	// listenCheck is how long a connection that says nothing is trusted.
	listenCheck = time.Minute
)

// listener wakes who waits for changes. It holds a connection of its own, outside
// of the pool, because LISTEN belongs to one session.
type listener struct {
	connect connector
	sql     string
	log     *slog.Logger
	wanted  chan struct{} // closed by the first who waits
	want    sync.Once

	mu   sync.Mutex
	wake chan struct{} // closed by the next call
}

func newListener(connect connector, channel string, log *slog.Logger) *listener {
	return &listener{
		connect: connect,
		sql:     "LISTEN " + pgx.Identifier{channel}.Sanitize(),
		log:     log,
		wanted:  make(chan struct{}),
		wake:    make(chan struct{}),
	}
}

// next returns a channel that the next notification closes. The first call makes
// the listener connect: one gateway alone has nobody to listen to.
func (l *listener) next() <-chan struct{} {
	l.want.Do(func() { close(l.wanted) })
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.wake
}

func (l *listener) call() {
	l.mu.Lock()
	defer l.mu.Unlock()
	close(l.wake)
	l.wake = make(chan struct{})
}

// run listens, and connects again when the connection is lost. Until it is back,
// whoever waits does so to their limit.
func (l *listener) run(ctx context.Context) {
	select {
	case <-l.wanted:
	case <-ctx.Done():
		return
	}
	pause := listenPauseMin
	for ctx.Err() == nil {
		began := time.Now()
		err := l.listen(ctx)
		if ctx.Err() != nil {
			return
		}
		if time.Since(began) > listenPauseMax {
			pause = listenPauseMin
		}
		l.log.Debug("listening for changes ended; polling goes on", "error", clean(err), "again_in", pause)
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
		pause = min(2*pause, listenPauseMax)
	}
}

// listen holds one connection for as long as it lives.
func (l *listener) listen(ctx context.Context) error {
	conn, err := l.connect(ctx)
	if err != nil {
		return err
	}
	defer closeNow(ctx, conn)
	err = within(ctx, connectTimeout, func(ctx context.Context) error {
		_, err := conn.Exec(ctx, l.sql)
		return err
	})
	if err != nil {
		return err
	}
	for {
		// What happened before the LISTEN was not announced to us.
		l.call()
		if err := l.hear(ctx, conn); err != nil {
			return err
		}
	}
}

// hear waits for a notification. A connection that was quiet for long is asked
// whether it still is one.
func (l *listener) hear(ctx context.Context, conn *pgx.Conn) error {
	for {
		quiet, cancel := context.WithTimeout(ctx, listenCheck)
		_, err := conn.WaitForNotification(quiet)
		timedOut := quiet.Err() != nil && ctx.Err() == nil
		cancel()
		if err == nil || !timedOut || conn.IsClosed() {
			return err
		}
		if err := within(ctx, pingTimeout, conn.Ping); err != nil {
			return err
		}
	}
}

func within(ctx context.Context, limit time.Duration, fn func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	return fn(ctx)
}
