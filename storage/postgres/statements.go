// SPDX-License-Identifier: Apache-2.0

package postgres

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
)

// statements are the texts of all statements on one schema. They name the schema
// everywhere, so no search path matters, neither ours nor that of a pooler's
// connection. No value is ever part of a text.
type statements struct {
	tables map[string]tableSQL

	evictEnded, evictOldest              string
	countUnused, clientUnused            string
	grantsOfClient, grantsDelete         string
	grantsOfSubject, keysOfIssuer        string
	sessionsOfSubject, consentsOfSubject string
	accountsPage                         string
	counterLock, counterAdd, counterSet  string
	feedAppend, feedHead, feedChanges    string
	feedTrim, feedTrimmed                string
	feedBegin                            [2]string // empties it; $1 random part, at a new position
	lockAll, anything                    string

	channel string // that LISTEN and NOTIFY use
}

// tableSQL are the statements on one table.
type tableSQL struct {
	get    string // $1 key
	lock   string // $1 key
	create string // $1 now, then the columns
	insert string // the columns
	update string // the columns
	delete string // $1 key
	take   string // $1 key
	sweep  string // $1 now, $2 at most
	export string
	put    string // the columns
}

func newStatements(schema string) *statements {
	in := func(table string) string { return pgx.Identifier{schema, table}.Sanitize() }
	sum := sha256.Sum256([]byte(schema))
	s := &statements{tables: map[string]tableSQL{}, channel: "mcp_oauth_" + hex.EncodeToString(sum[:8])}
	var all, exist []string
	for _, l := range layouts() {
		s.tables[l.name] = l.statements(schema)
		all = append(all, in(l.name))
		exist = append(exist, "EXISTS (SELECT FROM "+in(l.name)+")")
	}
	s.lockAll = "LOCK TABLE " + strings.Join(all, ", ") + " IN EXCLUSIVE MODE"
	s.anything = "SELECT " + strings.Join(exist, " OR ")
	s.unusedClients(in("clients"))
	s.owners(in)
	s.counters(in("counters"))
	s.feed(in("feed"), in("counters"))
	return s
}

func (l layout) statements(schema string) tableSQL {
	table := pgx.Identifier{schema, l.name}.Sanitize()
	names := strings.Join(l.columns, ", ")
	s := tableSQL{
		get:    "SELECT data, clock_timestamp() FROM " + table + " WHERE key = $1",
		lock:   "SELECT data FROM " + table + " WHERE key = $1 FOR UPDATE",
		insert: fmt.Sprintf("INSERT INTO %s (%s) VALUES (%s)", table, names, marks(1, len(l.columns))),
		update: fmt.Sprintf("UPDATE %s SET %s WHERE key = $1", table,
			l.assign(func(i int, _ string) string { return fmt.Sprint("$", i+1) })),
		delete: "DELETE FROM " + table + " WHERE key = $1",
		take:   "DELETE FROM " + table + " WHERE key = $1 RETURNING data, clock_timestamp()",
		export: "SELECT data FROM " + table,
		put: fmt.Sprintf("INSERT INTO %s (%s) VALUES (%s) ON CONFLICT (key) DO UPDATE SET %s", table, names,
			marks(1, len(l.columns)), l.assign(excluded)),
	}
	if !l.ends() {
		return s
	}
	// One past its end does not hold its key. The row is locked before its end is
	// looked at, so of two who find the key free one does not.
	s.create = fmt.Sprintf("INSERT INTO %s AS old (%s) VALUES (%s) ON CONFLICT (key) DO UPDATE SET %s"+
		" WHERE old.expires_at <= coalesce($1::timestamptz, clock_timestamp())",
		table, names, marks(2, len(l.columns)), l.assign(excluded))
	s.sweep = deleteSome(table, "expires_at <= coalesce($1::timestamptz, now())", "expires_at")
	return s
}

// assign gives every column but the key a value.
func (l layout) assign(value func(i int, name string) string) string {
	var set []string
	for i, name := range l.columns {
		if i > 0 {
			set = append(set, name+" = "+value(i, name))
		}
	}
	return strings.Join(set, ", ")
}

func excluded(_ int, name string) string { return "EXCLUDED." + name }

// deleteSome deletes the first $2 rows that meet a condition and that nobody else
// has locked. The array is made once; a subquery with IN might run several times.
func deleteSome(table, condition, order string) string {
	return fmt.Sprintf("DELETE FROM %s WHERE key = ANY (ARRAY(SELECT key FROM %s WHERE %s ORDER BY %s LIMIT $2 FOR UPDATE SKIP LOCKED))",
		table, table, condition, order)
}

func (s *statements) unusedClients(clients string) {
	s.evictEnded = deleteSome(clients, "expires_at <= $1", "expires_at")
	s.evictOldest = deleteSome(clients, "expires_at IS NOT NULL AND created_at < $1", "created_at")
	s.clientUnused = "SELECT expires_at IS NOT NULL FROM " + clients + " WHERE key = $1"
	s.countUnused = "SELECT count(*) FROM " + clients + " WHERE expires_at IS NOT NULL"
}

// owners are the statements on what belongs to a client, a subject or an issuer.
func (s *statements) owners(in func(string) string) {
	s.grantsOfClient = "SELECT key, data FROM " + in("grants") + " WHERE client = $1 ORDER BY key FOR UPDATE"
	s.grantsDelete = "DELETE FROM " + in("grants") + " WHERE key = ANY ($1::bytea[])"
	s.grantsOfSubject = "SELECT key, data, clock_timestamp() FROM " + in("grants") + " WHERE subject = $1"
	s.keysOfIssuer = "SELECT key, data, clock_timestamp() FROM " + in("signing_keys") + " WHERE issuer = $1"
	s.sessionsOfSubject = "DELETE FROM " + in("sessions") + " WHERE subject = $1"
	s.consentsOfSubject = "DELETE FROM " + in("consents") + " WHERE subject = $1"
	s.accountsPage = "SELECT key, data FROM " + in("accounts") + " WHERE key > $1 ORDER BY key LIMIT $2"
}

func (s *statements) counters(counters string) {
	s.counterLock = "SELECT value FROM " + counters + " WHERE name = $1 FOR UPDATE"
	s.counterAdd = "UPDATE " + counters + " SET value = value + $2 WHERE name = $1"
	s.counterSet = "UPDATE " + counters + " SET value = $2 WHERE name = $1"
}

func (s *statements) feed(feed, counters string) {
	const head, trimmed = "'feed head'", "'feed trimmed'"
	value := func(name string) string { return "(SELECT value FROM " + counters + " WHERE name = " + name + ")" }
	number := func(value string) string { return fmt.Sprintf("(%s >> %d)", value, historyBits) }
	position := func(number, history string) string {
		return fmt.Sprintf("((%s) << %d | %s::bigint)", number, historyBits, history)
	}
	// The row of the head stays locked until the transaction ends, so positions
	// become visible in their order and without gaps.
	s.feedAppend = fmt.Sprintf(`WITH head AS (UPDATE %s SET value = %s WHERE name = %s RETURNING value)
		INSERT INTO %s (position, kind, id, at)
		SELECT %s, $1::text, change.id, coalesce($3::timestamptz, clock_timestamp())
		FROM head, unnest($2::bytea[]) WITH ORDINALITY AS change (id, n)`,
		counters, position(number("value")+" + cardinality($2::bytea[])", "$4"), head, feed,
		position(number("head.value")+" - cardinality($2::bytea[]) + change.n", "$4"))
	s.feedHead = "SELECT " + value(head)
	// One statement, hence one moment: head, loss and changes fit together. A position
	// is known if it is the head, that of a change, or of the latest that was dropped.
	s.feedChanges = fmt.Sprintf(`SELECT $1 IN (%s, %s) OR EXISTS (SELECT FROM %[3]s WHERE position = $1), change.position, change.kind, change.id
		FROM (SELECT) AS once LEFT JOIN (SELECT position, kind, id FROM %[3]s WHERE position > $1 ORDER BY position LIMIT $2) AS change ON true
		ORDER BY change.position`, value(head), value(trimmed), feed)
	// Whoever has seen anything before it has missed something.
	s.feedBegin = [2]string{
		"DELETE FROM " + feed,
		fmt.Sprintf(`WITH head AS (UPDATE %[1]s SET value = %[2]s WHERE name = %[3]s RETURNING value)
			UPDATE %[1]s SET value = head.value FROM head WHERE name = %[4]s`, counters, position(number("value")+" + 1", "$1"), head, trimmed),
	}
	// Up to the first change that is young, so that what is left has no holes even
	// if the clock was set back meanwhile.
	s.feedTrim = fmt.Sprintf(`WITH gone AS (DELETE FROM %[1]s WHERE position = ANY (ARRAY(
			SELECT position FROM %[1]s
			WHERE position < coalesce((SELECT min(position) FROM %[1]s WHERE at >= coalesce($1::timestamptz, clock_timestamp()) - $3::interval),
				9223372036854775807)
			ORDER BY position LIMIT $2)) RETURNING position)
		SELECT count(*), coalesce(max(position), 0) FROM gone`, feed)
	s.feedTrimmed = "UPDATE " + counters + " SET value = greatest(value, $1) WHERE name = " + trimmed
}

// marks lists the n parameters from first on.
func marks(first, n int) string {
	var b strings.Builder
	for i := range n {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "$%d", first+i)
	}
	return b.String()
}
