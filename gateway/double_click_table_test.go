// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"net/http"
	"testing"
	"time"

	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
)

// Answers have codes in them: they are not kept for longer than they are of use, nor
// those of sign-ins that never ended.
func TestAnswersAreForgotten(t *testing.T) {
	t.Parallel()
	var table answeredSignIns
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for i := range 1000 {
		a, first := table.begin(&storage.Pending{ID: storage.Hash{byte(i), byte(i >> 8)}}, "local:alice", now)
		if !first {
			t.Fatal("two sign-ins are one")
		}
		if i%10 != 0 { // the tenth is torn apart
			table.end(a, &recorded{status: http.StatusSeeOther}, now)
		}
		now = now.Add(time.Second)
	}
	if n := len(table.byID); n > int((repeatTime+finishTime)/time.Second)+1 {
		t.Errorf("%d are kept", n)
	}
	now = now.Add(repeatTime + finishTime)
	for i := range 1000 {
		if table.find(storage.Hash{byte(i), byte(i >> 8)}, now) != nil {
			t.Fatalf("the answer to %d is kept", i)
		}
	}
}

func TestNothingToRepeatIsForgottenAtOnce(t *testing.T) {
	t.Parallel()
	var table answeredSignIns
	now := time.Now()
	p := &storage.Pending{ID: storage.Hash{1}}
	for range 2 {
		a, first := table.begin(p, "local:alice", now)
		if !first {
			t.Fatal("a sign-in without an answer is remembered")
		}
		table.end(a, nil, now)
		if table.find(p.ID, now) != nil {
			t.Error("found")
		}
	}
}
