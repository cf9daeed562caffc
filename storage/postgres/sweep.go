// SPDX-License-Identifier: Apache-2.0

package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
)

// sweepStep is how many rows one statement of the sweeper deletes: few enough that
// a sign-in that comes meanwhile does not notice.
const sweepStep = 256

// Sweep deletes every expired record and drops old changes, and returns how many
// records there were. It is what the background sweeper does at each interval;
// nothing but the size of the database depends on it. Any number of gateways may
// do so at once: each leaves alone what another one has its hands on.
func (s *Store) Sweep(ctx context.Context) (int, error) {
	total := 0
	var errs []error
	steps := []func(context.Context) (int, error){s.sweepClients}
	for _, l := range layouts() {
		if l.ends() && l.name != clients.name {
			steps = append(steps, func(ctx context.Context) (int, error) { return s.sweepTable(ctx, l.name) })
		}
	}
	for _, step := range steps {
		n, err := inSteps(func() (int, error) { return step(ctx) })
		total += n
		errs = append(errs, err)
	}
	_, err := inSteps(func() (int, error) { return s.trimFeed(ctx) })
	errs = append(errs, err, s.recountClients(ctx))
	return total, errors.Join(errs...)
}

// inSteps repeats a step until it finds less than it would take.
func inSteps(step func() (int, error)) (total int, err error) {
	for {
		n, err := step()
		total += n
		if err != nil || n < sweepStep {
			return total, err
		}
	}
}

func (s *Store) sweepTable(ctx context.Context, name string) (n int, err error) {
	err = once(ctx, s, "sweep "+name, true, func(ctx context.Context, conn *pgx.Conn) error {
		tag, err := conn.Exec(ctx, s.sql.tables[name].sweep, s.moment(), sweepStep)
		n = int(tag.RowsAffected())
		return err
	})
	return n, err
}

// sweepClients counts what it deletes.
func (s *Store) sweepClients(ctx context.Context) (int, error) {
	return write(ctx, s, "sweep clients", func(w *tx) (int, error) {
		w.lockCounter(unusedClients)
		if err := w.flush(); err != nil {
			return 0, err
		}
		n, err := w.changeNow(s.sql.tables[clients.name].sweep, w.now, sweepStep)
		w.addTo(unusedClients, -n)
		return int(n), err
	})
}

// recountClients puts the counter right if somebody deleted clients by hand.
func (s *Store) recountClients(ctx context.Context) error {
	wrong, err := write(ctx, s, "count clients", func(w *tx) (int64, error) {
		counted := w.lockCounter(unusedClients)
		var there int64
		w.read(s.sql.countUnused, nil, func(rows pgx.Rows) error { return rows.Scan(&there) })
		if err := w.flush(); err != nil {
			return 0, err
		}
		wrong := *counted - there
		w.addTo(unusedClients, -wrong)
		return wrong, nil
	})
	if wrong != 0 && err == nil {
		s.log.Warn("the number of unused clients was wrong and is right again; was the database changed by hand?", "off_by", wrong)
	}
	return err
}

// startSweeper sweeps at once, for a server that is restarted often would
// otherwise never, and then at every interval until Close.
func (s *Store) startSweeper(interval time.Duration) {
	if interval < 0 {
		return
	}
	s.background.Go(func() {
		ticker := time.NewTicker(interval)
		defer ticker.Stop()
		for {
			s.sweepAndLog()
			select {
			case <-s.life.Done():
				return
			case <-ticker.C:
			}
		}
	})
}

func (s *Store) sweepAndLog() {
	n, err := s.Sweep(s.life)
	switch {
	case s.life.Err() != nil, errors.Is(err, storage.ErrClosed):
	case err != nil:
		s.log.Error("sweeping expired records failed", "deleted", n, "error", err)
	case n > 0:
		s.log.Debug("swept expired records", "deleted", n)
	}
}
