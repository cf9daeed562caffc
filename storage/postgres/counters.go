// SPDX-License-Identifier: Apache-2.0

package postgres

import "github.com/jackc/pgx/v5"

// unusedClients is the name of the counter of clients that never completed a
// sign-in.
const unusedClients = "unused clients"

// lockCounter queues the locking of a counter. Its value is there after the next
// flush.
func (w *tx) lockCounter(name string) *int64 {
	value := new(int64)
	w.read(w.store.sql.counterLock, []any{name}, func(rows pgx.Rows) error { return rows.Scan(value) })
	return value
}

// addTo queues the change of a counter that this transaction has locked.
func (w *tx) addTo(name string, delta int64) {
	if delta != 0 {
		w.change(w.store.sql.counterAdd, name, delta)
	}
}
