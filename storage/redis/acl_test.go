// SPDX-License-Identifier: Apache-2.0

package redis

import (
	"strings"
	"testing"

	"github.com/caddy-mcp/caddy-mcp-oauth/internal/testredis"
	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
	"github.com/caddy-mcp/caddy-mcp-oauth/storage/storagetest"
)

// user makes an ACL user on a server of its own.
func user(t *testing.T, server *testredis.Server, rules string) Options {
	t.Helper()
	args := []any{"ACL", "SETUSER", "gateway", "reset", "on", ">pw"}
	for _, rule := range strings.Fields(rules) {
		args = append(args, rule)
	}
	server.Do(args...)
	return Options{Addresses: []string{server.Addr()}, Username: "gateway", Password: "pw"}
}

// The rights that the documentation tells operators to give are enough for everything.
func TestLeastRights(t *testing.T) {
	t.Parallel()
	server := testredis.Start(t, testredis.AppendOnly("always"))
	o := user(t, server, strings.ReplaceAll(LeastRights, "<prefix>", DefaultPrefix))
	o.Prefix = DefaultPrefix
	var log journal
	o.Logger = log.logger()
	s := openWith(t, o)
	// CONFIG and INFO are not among them, and it says what it could not see.
	wantText(t, log.String(), "may not read INFO or CONFIG")

	ctx, now := t.Context(), nowOf(s)
	createLive(t, s, "grant")
	head, err := s.Head(ctx)
	ok(t, err)
	ok(t, s.CreateClient(ctx, storagetest.NewClient(issuer, "client", now)))
	ok(t, s.SaveAccount(ctx, &storage.Account{Subject: "github:1"}))
	if _, _, err := s.Accounts(ctx, "", 10); err != nil {
		t.Error(err)
	}
	ok(t, s.CreatePending(ctx, storagetest.NewPending(issuer, "state", now)))
	if _, err := s.TakePending(ctx, issuer, storagetest.NewPending(issuer, "state", now).ID); err != nil {
		t.Error(err)
	}
	ok(t, s.CreateSession(ctx, storagetest.NewSession(issuer, "cookie", now)))
	ok(t, s.DeleteSessions(ctx, "github:583231"))
	if ids, err := s.DeleteClient(ctx, issuer, "client"); err != nil || len(ids) != 1 {
		t.Errorf("%q, %v", ids, err)
	}
	if changes, _, err := s.Changes(ctx, head, 10); err != nil || len(changes) != 2 {
		t.Errorf("%v, %v", changes, err)
	}
	s.Wait(ctx, head, 1)
	if _, err := s.Sweep(ctx); err != nil {
		t.Error(err)
	}
	for _, err := range s.Export(ctx) {
		ok(t, err)
	}
	checkDenied(t, server)
}

// checkDenied fails if the server noted a command that the user may not use.
func checkDenied(t *testing.T, server *testredis.Server) {
	t.Helper()
	for _, entry := range server.Do("ACL", "LOG").([]any) {
		fields := entry.([]any)
		for i := 0; i+1 < len(fields); i += 2 {
			if fields[i] == "object" && fields[i+1] != "info" && !strings.HasPrefix(fields[i+1].(string), "config") {
				t.Errorf("the user lacks %v", fields[i+1])
			}
		}
	}
}

// A script that may not do its last step would leave half of it: so the start fails, and
// says what is missing.
func TestARightThatIsMissing(t *testing.T) {
	t.Parallel()
	server := testredis.Start(t)
	rights := strings.ReplaceAll(LeastRights, "<prefix>", DefaultPrefix)
	for _, right := range []string{"zadd", "xadd", "srem", "hset", "del", "zrangebylex", "xtrim"} {
		o := user(t, server, strings.ReplaceAll(rights+" ", "+"+right+" ", ""))
		err := openError(t, o)
		wantErr(t, err, ErrRights)
		wantText(t, err.Error(), right)
		if strings.Contains(err.Error(), "pw") {
			t.Errorf("%v tells the password", err)
		}
	}
	err := openError(t, user(t, server, strings.ReplaceAll(rights, "~", "~other")))
	wantText(t, err.Error(), "NOPERM", "rights")
}
