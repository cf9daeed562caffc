// SPDX-License-Identifier: Apache-2.0

package redis

import (
	"context"
	"encoding/json"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/google/go-cmp/cmp"

	_ "github.com/caddyserver/caddy/v2/modules/standard"

	"github.com/caddy-mcp/caddy-mcp-oauth/internal/testredis"
	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
	"github.com/caddy-mcp/caddy-mcp-oauth/storage/redis"
)

func TestMain(m *testing.M) { os.Exit(testredis.Main(m)) }

// site is a Caddyfile with some lines for the engine.
func site(engine string) string {
	return `{
	admin off
	persist_config off
	mcp_oauth {
		local {
			user alice {env.HASH}
		}
		encryption_key {env.KEY}
		` + strings.ReplaceAll(strings.TrimSpace(engine), "\n", "\n\t\t") + `
	}
}

http://127.0.0.1:1 {
	mcp_gateway /mcp localhost:3000 {
		allow any
	}
}
`
}

func adapt(t *testing.T, engine string) ([]byte, error) {
	t.Helper()
	out, warnings, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(site(engine)), map[string]any{"filename": "Caddyfile"})
	for _, w := range warnings {
		if err == nil {
			t.Errorf("warning: %s", w.Message)
		}
	}
	return out, err
}

// engineJSON is the part of the adapted configuration that is about the engine.
func engineJSON(t *testing.T, engine string) string {
	t.Helper()
	out, err := adapt(t, engine)
	if err != nil {
		t.Fatal(err)
	}
	var cfg struct {
		Apps struct {
			OAuth struct {
				Storage json.RawMessage `json:"storage"`
			} `json:"mcp_oauth"`
		} `json:"apps"`
	}
	if err := json.Unmarshal(out, &cfg); err != nil {
		t.Fatal(err)
	}
	return string(cfg.Apps.OAuth.Storage)
}

func TestCaddyfile(t *testing.T) {
	for name, tc := range map[string]struct{ engine, want string }{
		"nothing": {"storage redis", `{"engine":"redis"}`},
		"short":   {"storage redis redis.internal:6379", `{"address":["redis.internal:6379"],"engine":"redis"}`},
		"nodes":   {"storage redis a:1 b:2", `{"address":["a:1","b:2"],"engine":"redis"}`},
		"short with more": {
			"storage redis unix//run/redis.sock {\n\tdb 3\n\ttls\n}",
			`{"address":["unix//run/redis.sock"],"db":3,"engine":"redis","tls":{}}`,
		},
		"everything": {
			`
storage redis {
	address a:26379 b
	address {env.ADDRESS}
	username gateway
	password {file./run/secrets/redis}
	db 0
	tls {
		ca /etc/ca.pem /etc/other.pem
		server_name redis.internal
		client_certificate /etc/cert.pem /etc/key.pem
	}
	sentinel_master main
	sentinel_username sentinel
	sentinel_password {env.SENTINEL_PASSWORD}
	prefix prod
	wait 2 500ms
}`,
			`{"address":["a:26379","b","{env.ADDRESS}"],"engine":"redis","password":"{file./run/secrets/redis}","prefix":"prod",` +
				`"sentinel_master":"main","sentinel_password":"{env.SENTINEL_PASSWORD}","sentinel_username":"sentinel",` +
				`"tls":{"ca":["/etc/ca.pem","/etc/other.pem"],"server_name":"redis.internal","client_certificate":"/etc/cert.pem","client_key":"/etc/key.pem"},` +
				`"username":"gateway","wait":{"replicas":2,"timeout":500000000}}`,
		},
		"cluster": {"storage redis {\n\taddress config.internal\n\tcluster\n\twait 1\n}", `{"address":["config.internal"],"cluster":true,"engine":"redis","wait":{"replicas":1}}`},
	} {
		t.Run(name, func(t *testing.T) {
			var got, want any
			if err := json.Unmarshal([]byte(engineJSON(t, tc.engine)), &got); err != nil {
				t.Fatal(err)
			}
			if err := json.Unmarshal([]byte(tc.want), &want); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("JSON (-want +got):\n%s", diff)
			}
		})
	}
}

// Each mistake is reported with its line, all of them together, and none repeats a secret.
func TestCaddyfileMistakes(t *testing.T) {
	for name, tc := range map[string]struct {
		lines string
		want  []string
	}{
		"unknown":              {"passwd x", []string{`unknown subdirective "passwd"`, "known are address, cluster, db, password, prefix,", "Caddyfile:10"}},
		"two mistakes":         {"foo\nbar", []string{`"foo"`, "Caddyfile:10", `"bar"`, "Caddyfile:11"}},
		"unknown in tls":       {"tls {\ncert x\n}", []string{`tls: unknown subdirective "cert"`, "known are ca, client_certificate, server_name", "Caddyfile:11"}},
		"no value":             {"password", []string{"password: the value is missing"}},
		"an empty value":       {`password ""`, []string{"password: the value is missing"}},
		"twice":                {"password a\npassword b", []string{"password is given twice", "Caddyfile:11"}},
		"too much":             {"password s3cret s3cret", []string{"password: there is an argument too many"}},
		"a block":              {"password a {\nx\n}", []string{"password takes no block"}},
		"no number":            {"db one", []string{`db: "one" is not a number of at least 0`}},
		"less than none":       {"db -1", []string{`db: "-1" is not a number of at least 0`}},
		"cluster with a value": {"cluster yes", []string{"argument too many"}},
		"wait for nothing":     {"wait", []string{"wait <replicas> [<timeout>]"}},
		"wait for none":        {"wait 0", []string{`"0" is no number of replicas`}},
		"wait for ever":        {"wait 1 0s", []string{`"0s" is no duration`}},
		"half a certificate":   {"tls {\nclient_certificate a\n}", []string{"<certificate file> <key file>"}},
		"no address":           {"address", []string{"address: the value is missing"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := adapt(t, "storage redis {\n"+tc.lines+"\n}")
			if err == nil {
				t.Fatal("it adapts")
			}
			for _, part := range tc.want {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("the error does not say %s but\n%v", part, err)
				}
			}
			if strings.Contains(err.Error(), "s3cret") {
				t.Errorf("the error repeats a secret: %v", err)
			}
		})
	}
}

// provision provisions a module of its own.
func provision(t *testing.T, r *Redis) error {
	t.Helper()
	ctx, cancel := caddy.NewContext(caddy.Context{Context: context.Background()})
	t.Cleanup(cancel)
	return r.Provision(ctx)
}

func TestAddresses(t *testing.T) {
	t.Setenv("ADDRESS", "from.env:7000")
	for name, tc := range map[string]struct {
		r    Redis
		want []string
	}{
		"default":          {Redis{}, []string{"localhost:6379"}},
		"no port":          {Redis{Address: []string{"a"}}, []string{"a:6379"}},
		"sentinels":        {Redis{Address: []string{"a", "b:1"}, SentinelMaster: "m"}, []string{"a:26379", "b:1"}},
		"placeholder":      {Redis{Address: []string{"{env.ADDRESS}"}}, []string{"from.env:7000"}},
		"socket":           {Redis{Address: []string{"unix//run/redis.sock"}}, []string{"/run/redis.sock"}},
		"path":             {Redis{Address: []string{"/run/redis.sock"}}, []string{"/run/redis.sock"}},
		"IPv6":             {Redis{Address: []string{"[::1]:6379"}}, []string{"[::1]:6379"}},
		"IPv6, no port":    {Redis{Address: []string{"::1"}}, []string{"[::1]:6379"}},
		"IPv6 in braces":   {Redis{Address: []string{"[::1]"}}, []string{"[::1]:6379"}},
		"a cluster of one": {Redis{Address: []string{"a"}, Cluster: true}, []string{"a:6379"}},
	} {
		if err := provision(t, &tc.r); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if diff := cmp.Diff(tc.want, tc.r.options.Addresses); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestProvisionRefuses(t *testing.T) {
	dir := t.TempDir()
	notPEM := filepath.Join(dir, "not.pem")
	if err := os.WriteFile(notPEM, []byte("text"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		r    Redis
		want string
	}{
		// People paste what they know from other programs, with the password in it.
		"a URL":                     {Redis{Address: []string{"redis://user:s3cret@host:6379/0"}}, "options of their own"},
		"user and host":             {Redis{Address: []string{"user:s3cret@host"}}, "options of their own"},
		"no port":                   {Redis{Address: []string{"host:port-that-is-none"}}, "is no port"},
		"an empty port":             {Redis{Address: []string{"host:"}}, "is empty"},
		"no host":                   {Redis{Address: []string{":6379"}}, "is empty"},
		"too many colons":           {Redis{Address: []string{"a:b:c"}}, "host:port"},
		"twice":                     {Redis{Address: []string{"a", "a:6379"}}, "listed twice"},
		"a socket among others":     {Redis{Address: []string{"a", "/b"}}, "stands alone"},
		"no sentinels":              {Redis{SentinelMaster: "m"}, "addresses of the sentinels"},
		"an unset variable":         {Redis{Password: "{env.NOT_SET_AT_ALL}"}, "password: {env.NOT_SET_AT_ALL} is not set"},
		"a file that is not there":  {Redis{Password: "{file." + dir + "/none}"}, "not readable"},
		"no placeholder":            {Redis{Password: "{s3cret}"}, "does not exist"},
		"a user without a password": {Redis{Username: "gateway"}, "needs a password"},
		"a hostile prefix":          {Redis{Prefix: "a}b"}, "prefix"},
		"a database of a cluster":   {Redis{Address: []string{"a", "b"}, DB: 1}, "only database 0"},
		"sentinels of a cluster":    {Redis{Address: []string{"a"}, Cluster: true, SentinelMaster: "m"}, "either"},
		"a long wait":               {Redis{Wait: &Wait{Replicas: 1, Timeout: caddy.Duration(time.Minute)}}, "timeout"},
		"wait for less than none":   {Redis{Wait: &Wait{Replicas: -1}}, "replicas"},
		"no CA":                     {Redis{TLS: &TLS{CA: []string{dir + "/none.pem"}}}, "tls: ca"},
		"a CA that is none":         {Redis{TLS: &TLS{CA: []string{notPEM}}}, "no certificate"},
		"half a certificate":        {Redis{TLS: &TLS{ClientKey: notPEM}}, "both"},
		"a certificate that is not": {Redis{TLS: &TLS{ClientCertificate: notPEM, ClientKey: notPEM}}, "tls: client_certificate"},
	} {
		err := provision(t, &tc.r)
		if err == nil {
			t.Errorf("%s: it provisions", name)
			continue
		}
		if !strings.Contains(err.Error(), tc.want) || !strings.HasPrefix(err.Error(), "storage redis: ") {
			t.Errorf("%s: %v does not say %q", name, err, tc.want)
		}
		if strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: %v repeats a secret", name, err)
		}
	}
}

// The key is in logs and in the admin API's memory: it says where the state is, not how
// one gets in. Two configurations of the same state share one engine.
func TestPoolKey(t *testing.T) {
	t.Setenv("PASSWORD", "s3cret")
	base := Redis{Address: []string{"a", "b:1"}, Password: "{env.PASSWORD}", SentinelMaster: "m"}
	keyOf := func(change func(*Redis)) string {
		r := base
		change(&r)
		if err := provision(t, &r); err != nil {
			t.Fatal(err)
		}
		return r.PoolKey()
	}
	want := keyOf(func(*Redis) {})
	if strings.Contains(want, "s3cret") || !strings.HasPrefix(want, `"redis" `) {
		t.Errorf("key %s", want)
	}
	for name, change := range map[string]func(*Redis){
		"another password":     func(r *Redis) { r.Password = "other" },
		"another user":         func(r *Redis) { r.Username = "other" },
		"another order":        func(r *Redis) { r.Address = []string{"b:1", "a:26379"} },
		"wait":                 func(r *Redis) { r.Wait = &Wait{Replicas: 1} },
		"the prefix spelt out": func(r *Redis) { r.Prefix = redis.DefaultPrefix },
	} {
		if got := keyOf(change); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
	for name, change := range map[string]func(*Redis){
		"another server":   func(r *Redis) { r.Address = []string{"a", "b:2"} },
		"another database": func(r *Redis) { r.DB = 1 },
		"another prefix":   func(r *Redis) { r.Prefix = "other" },
		"another primary":  func(r *Redis) { r.SentinelMaster = "n" },
		// Glued together without care, these would be the same.
		"a comma":  func(r *Redis) { r.Address = []string{"a,b"}; r.Prefix = "x" },
		"no comma": func(r *Redis) { r.Address = []string{"a", "b"}; r.Prefix = "x" },
	} {
		if got := keyOf(change); got == want {
			t.Errorf("%s: the same key", name)
		}
	}
}

// caddy validate runs beside a server that serves, and anywhere: it connects to nobody.
func TestValidateConnectsToNobody(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	connected := make(chan struct{}, 1)
	go func() {
		if c, err := l.Accept(); err == nil {
			_ = c.Close()
			connected <- struct{}{}
		}
	}()
	t.Cleanup(func() { _ = l.Close() })
	if err := validate(t, "storage redis "+l.Addr().String()); err != nil {
		t.Error(err)
	}
	select {
	case <-connected:
		t.Error("it connected")
	case <-time.After(50 * time.Millisecond):
	}
}

func TestAnEncryptionKeyIsRequired(t *testing.T) {
	t.Setenv("HASH", hash)
	out, err := adapt(t, "storage redis")
	if err != nil {
		t.Fatal(err)
	}
	out = []byte(strings.Replace(string(out), `"encryption_key":["{env.KEY}"],`, "", 1))
	var cfg caddy.Config
	if err := json.Unmarshal(out, &cfg); err != nil {
		t.Fatal(err)
	}
	if err := caddy.Validate(&cfg); err == nil || !strings.Contains(err.Error(), "encryption_key") {
		t.Errorf("got %v", err)
	}
}

const hash = "$2a$10$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy"

func validate(t *testing.T, engine string) error {
	t.Helper()
	var cfg caddy.Config
	if err := json.Unmarshal(prepare(t, engine), &cfg); err != nil {
		t.Fatal(err)
	}
	return caddy.Validate(&cfg)
}

// prepare makes a configuration that is whole, with a data directory of its own.
func prepare(t *testing.T, engine string) []byte {
	t.Helper()
	t.Setenv("HASH", hash)
	t.Setenv("KEY", "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3I=")
	t.Setenv("XDG_DATA_HOME", t.TempDir())
	out, err := adapt(t, engine)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestOpen(t *testing.T) {
	server := testredis.Start(t)
	server.Do("CONFIG", "SET", "requirepass", "s3cret")
	t.Setenv("PASSWORD", "s3cret")
	r := &Redis{Address: []string{server.Addr()}, Password: "{env.PASSWORD}", Prefix: testredis.Prefix()}
	if err := provision(t, r); err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	store, err := r.Open(slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	if _, ok := store.(storage.Feed); !ok {
		t.Error("it is no Feed")
	}
	if !strings.Contains(log.String(), "persists nothing") || strings.Contains(log.String(), "s3cret") {
		t.Errorf("log: %s", log.String())
	}
	if r.KeyFile() != "" {
		t.Error("every gateway would make a key of its own")
	}

	// What GET /config/ shows.
	shown, err := json.Marshal(r)
	if err != nil || strings.Contains(string(shown), "s3cret") {
		t.Errorf("%s, %v", shown, err)
	}

	// The operator exchanges the password and reloads.
	server.Do("CONFIG", "SET", "requirepass", "other")
	server.Do("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
	next := &Redis{Address: r.Address, Password: "other", Prefix: r.Prefix}
	if err := provision(t, next); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Account(t.Context(), "x"); err == nil || err == storage.ErrNotFound { //nolint:errorlint // the bare value
		t.Errorf("with the old password: %v", err)
	}
	next.Refresh(store)
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if _, err = store.Account(t.Context(), "x"); err == storage.ErrNotFound || time.Now().After(deadline) { //nolint:errorlint // the bare value
			break
		}
	}
	if err != storage.ErrNotFound { //nolint:errorlint // the bare value
		t.Errorf("with the new password: %v", err)
	}
}

func TestOpenWithTLS(t *testing.T) {
	server := testredis.Start(t, testredis.TLS(t))
	r := &Redis{Address: []string{server.Addr()}, TLS: &TLS{CA: []string{server.CA()}, ServerName: "redis.test"}}
	if err := provision(t, r); err != nil {
		t.Fatal(err)
	}
	store, err := r.Open(slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Close(); err != nil {
		t.Error(err)
	}
}

// The whole way: a Caddyfile, a running Caddy, a reload, and the keys in the server.
func TestCaddyRunsWithIt(t *testing.T) {
	server := testredis.Start(t, testredis.AppendOnly("always"))
	config := prepare(t, "storage redis "+server.Addr())
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	_ = l.Close()
	config = []byte(strings.ReplaceAll(string(config), "127.0.0.1:1", addr))
	config = []byte(strings.ReplaceAll(string(config), `":1"`, `"`+addr+`"`))
	if err := caddy.Load(config, true); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = caddy.Stop() })
	if err := caddy.Load(append(config, '\n'), true); err != nil {
		t.Fatalf("reload: %v", err)
	}
	if got := server.Do("HGET", "{mcp_oauth}:meta", "format"); got != "1" {
		t.Errorf("format %v", got)
	}
}
