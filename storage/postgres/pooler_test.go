// SPDX-License-Identifier: Apache-2.0

package postgres

import (
	"fmt"
	"testing"
	"time"

	"github.com/caddy-mcp/caddy-mcp-oauth/internal/testpostgres"
	"github.com/caddy-mcp/caddy-mcp-oauth/storage/storagetest"
)

// How statements are sent is the operator's choice.
func TestQueryExecModes(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"cache_statement", "cache_describe", "describe_exec", "exec", "simple_protocol"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			s := openWith(t, Options{
				DSN: testpostgres.Shared(t).DSN() + "&default_query_exec_mode=" + mode, Schema: testpostgres.NewSchema(), MaxConnections: 2,
			})
			everyVerb(t, s)
			conn := connect(t, testpostgres.Shared(t))
			checkRecords(t, s, conn)
			checkCounter(t, s, conn)
			copied := openWith(t, Options{
				DSN: testpostgres.Shared(t).DSN() + "&default_query_exec_mode=" + mode, Schema: testpostgres.NewSchema(), MaxConnections: 2,
			})
			ok(t, copied.Import(t.Context(), s.Export(t.Context())))
			checkRecords(t, copied, conn)
		})
	}
}

// PgBouncer lends its connections for one transaction at a time, and knows nothing
// of prepared statements. Everything works, and changes are found by asking.
func TestBehindATransactionPooler(t *testing.T) {
	t.Parallel()
	server := testpostgres.Start(t)
	o := Options{DSN: server.Pooler(t) + "&default_query_exec_mode=exec", MaxConnections: 20}
	s := openWith(t, o)
	everyVerb(t, s)
	other := openWith(t, o)
	allOK(t, atOnce(40, func(i int) error {
		g := storagetest.NewGrant(issuer, fmt.Sprint("g", i%20), time.Now())
		if i < 20 {
			if err := s.CreateGrant(t.Context(), g); err != nil {
				return err
			}
			_, err := other.RedeemCode(t.Context(), issuer, g.ID, storagetest.NewRedemption(g.ID))
			return err
		}
		return s.SaveAccount(t.Context(), storagetest.NewAccount(g.ID, time.Now()))
	}))
	conn := connect(t, server)
	checkCounter(t, s, conn)
	checkFeed(t, s, conn)
	checkRecords(t, s, conn)
	head, err := s.Head(t.Context())
	ok(t, err)
	ok(t, other.SaveAccount(t.Context(), storagetest.NewAccount("1", time.Now())))
	s.Wait(t.Context(), head, 50*time.Millisecond)
	changes, _, err := s.Changes(t.Context(), head, 10)
	ok(t, err)
	if len(changes) != 1 {
		t.Errorf("%d changes, want 1", len(changes))
	}
}
