// SPDX-License-Identifier: Apache-2.0

package postgres_test

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/crypto/bcrypt"

	_ "github.com/caddyserver/caddy/v2/modules/standard"

	"github.com/caddy-mcp/caddy-mcp-oauth/caddymodule"
	"github.com/caddy-mcp/caddy-mcp-oauth/caddymodule/postgres"
	"github.com/caddy-mcp/caddy-mcp-oauth/internal/testpostgres"
)

// Caddy's configuration is one per process: nothing in this package runs in
// parallel.

const encryptionKey = "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3I="

// siteAddress and adminAddress are free when the tests start.
var siteAddress, adminAddress = freeAddress(), freeAddress()

func freeAddress() string {
	l, err := net.Listen("tcp", "localhost:0")
	if err != nil {
		panic(err)
	}
	defer l.Close()
	return fmt.Sprint("localhost:", l.Addr().(*net.TCPAddr).Port)
}

// userHash is of a password nobody signs in with.
var userHash = sync.OnceValue(func() string {
	hash, err := bcrypt.GenerateFromPassword([]byte("password"), bcrypt.DefaultCost)
	if err != nil {
		panic(err)
	}
	return string(hash)
})

// site is a configuration around a storage option.
func site(storage string) string {
	return `{
	admin ` + adminAddress + `
	auto_https off
	mcp_oauth {
		local {
			user alice ` + userHash() + `
		}
		` + storage + `
		encryption_key ` + encryptionKey + `
	}
}

http://` + siteAddress + ` {
	mcp_gateway /mcp localhost:1 {
		allow any
	}
}
`
}

func adapt(t *testing.T, storage string) ([]byte, error) {
	t.Helper()
	out, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(site(storage)), map[string]any{"filename": "Caddyfile"})
	return out, err
}

// adapted is what the storage option becomes.
func adapted(t *testing.T, storage string) map[string]any {
	t.Helper()
	out, err := adapt(t, storage)
	if err != nil {
		t.Fatalf("adapt: %v", err)
	}
	var config struct {
		Apps map[string]struct{ Storage map[string]any }
	}
	if err := json.Unmarshal(out, &config); err != nil {
		t.Fatal(err)
	}
	return config.Apps["mcp_oauth"].Storage
}

func TestCaddyfile(t *testing.T) {
	for _, tc := range []struct {
		name, storage string
		want          map[string]any
	}{
		{
			"short", "storage postgres {env.DATABASE_URL}",
			map[string]any{"engine": "postgres", "dsn": "{env.DATABASE_URL}"},
		},
		{
			"everything", "storage postgres {\n dsn \"host=db dbname=auth user=gateway\"\n password {file./run/secrets/db}\n schema other\n max_connections 5\n}",
			map[string]any{
				"engine": "postgres", "dsn": "host=db dbname=auth user=gateway", "password": "{file./run/secrets/db}",
				"schema": "other", "max_connections": 5.0,
			},
		},
		{
			"both", "storage postgres postgres://gateway@db/auth {\n password {env.DB_PASSWORD}\n}",
			map[string]any{"engine": "postgres", "dsn": "postgres://gateway@db/auth", "password": "{env.DB_PASSWORD}"},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, adapted(t, tc.storage)); diff != "" {
				t.Errorf("adapted (-want +got):\n%s", diff)
			}
		})
	}
}

func TestCaddyfileMistakes(t *testing.T) {
	for _, tc := range []struct {
		name, storage string
		want          []string
	}{
		{"nothing", "storage postgres", []string{"connection string is missing", "{env.DATABASE_URL}"}},
		{"an empty block", "storage postgres {\n}", []string{"connection string is missing"}},
		{"no quotes", "storage postgres host=db password=s3cret", []string{"quotes"}},
		{"no quotes in the block", "storage postgres {\n dsn host=db password=s3cret\n}", []string{"dsn: there is an argument too many", "quotes"}},
		{"unknown", "storage postgres x {\n dns y\n}", []string{`unknown subdirective "dns"`, "dsn, max_connections, password, schema"}},
		{"twice", "storage postgres x {\n dsn y\n}", []string{"dsn is given twice"}},
		{"no value", "storage postgres x {\n password\n}", []string{"password: the value is missing"}},
		{"no number", "storage postgres x {\n max_connections many\n}", []string{"max_connections", "many"}},
		{"too small a number", "storage postgres x {\n max_connections 0\n}", []string{"at least 1"}},
		{"a number twice", "storage postgres x {\n max_connections 2\n max_connections 3\n}", []string{"given twice"}},
		{"several", "storage postgres x {\n schema\n password a s3cret\n nonsense\n}", []string{"schema: the value", "password: there is an argument too many", "nonsense"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := adapt(t, tc.storage)
			if err == nil {
				t.Fatal("no error")
			}
			for _, want := range append(tc.want, "Caddyfile:") {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error does not say %q: %v", want, err)
				}
			}
			if strings.Contains(err.Error(), "s3cret") {
				t.Errorf("the secret is in the error: %v", err)
			}
		})
	}
}

// provision provisions a module that was not loaded by Caddy.
func provision(t *testing.T, p *postgres.Postgres) error {
	t.Helper()
	ctx, cancel := caddy.NewContext(caddy.Context{Context: t.Context()})
	t.Cleanup(cancel)
	return p.Provision(ctx)
}

func TestProvision(t *testing.T) {
	t.Setenv("TEST_DB_URL", "postgres://gateway:s3cret@db.example.com/auth")
	t.Setenv("TEST_DB_PASSWORD", "s3cret")
	for _, tc := range []struct {
		name      string
		p         postgres.Postgres
		key, want string // PoolKey, or a part of the error
	}{
		{"a variable", postgres.Postgres{DSN: "{env.TEST_DB_URL}"}, "postgres:db.example.com:5432/auth/mcp_oauth", ""},
		{
			"another role of the same database",
			postgres.Postgres{DSN: "postgres://other@db.example.com/auth", Password: "{env.TEST_DB_PASSWORD}"},
			"postgres:db.example.com:5432/auth/mcp_oauth", "",
		},
		{"another schema", postgres.Postgres{DSN: "{env.TEST_DB_URL}", Schema: "other"}, "postgres:db.example.com:5432/auth/other", ""},
		{"nothing", postgres.Postgres{}, "", "dsn is missing"},
		{"an unset variable", postgres.Postgres{DSN: "{env.TEST_NO_SUCH}"}, "", "{env.TEST_NO_SUCH} is not set"},
		{"an unset password", postgres.Postgres{DSN: "{env.TEST_DB_URL}", Password: "{env.TEST_NO_SUCH}"}, "", "password: {env.TEST_NO_SUCH}"},
		{"no such placeholder", postgres.Postgres{DSN: "{s3cret}"}, "", "placeholder that does not exist"},
		{"no connection string", postgres.Postgres{DSN: "s3cret"}, "", "cannot be read"},
		{"a bad port", postgres.Postgres{DSN: "postgres://gateway:s3cret@db:port/x"}, "", "cannot be read"},
		{"a schema of PostgreSQL's", postgres.Postgres{DSN: "{env.TEST_DB_URL}", Schema: "pg_catalog"}, "", "pg_"},
		{"connections", postgres.Postgres{DSN: "{env.TEST_DB_URL}", MaxConnections: -1}, "", "max_connections"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			err := provision(t, &tc.p)
			switch {
			case tc.want == "" && err != nil:
				t.Fatal(err)
			case tc.want == "":
				if key := tc.p.PoolKey(); key != tc.key {
					t.Errorf("pool key %q, want %q", key, tc.key)
				}
			case err == nil || !strings.Contains(err.Error(), tc.want):
				t.Errorf("error %v, want %q", err, tc.want)
			case strings.Contains(err.Error(), "s3cret"):
				t.Errorf("the secret is in the error: %v", err)
			}
			shown, marshalErr := json.Marshal(&tc.p)
			if marshalErr != nil || tc.p.DSN[:min(1, len(tc.p.DSN))] == "{" && tc.p.DSN != "{s3cret}" && strings.Contains(string(shown), "s3cret") {
				t.Errorf("the configuration shows the secret: %s", shown)
			}
		})
	}
}

// A password in the configuration is told, because everybody who may read the
// configuration reads it.
func TestLiteralPasswordsAreWarnedOf(t *testing.T) {
	for storage, want := range map[string]string{
		"storage postgres postgres://gateway:s3cret@db/auth":                             `"option":"dsn"`,
		`storage postgres "host=db password=s3cret"`:                                     `"option":"dsn"`,
		"storage postgres postgres://gateway@db/auth {\n password s3cret\n}":             `"option":"password"`,
		"storage postgres postgres://gateway@db/auth":                                    "",
		"storage postgres postgres://gateway@db/auth {\n password {env.TEST_DB_PASS}\n}": "",
	} {
		t.Setenv("TEST_DB_PASS", "s3cret")
		log := filepath.Join(t.TempDir(), "log")
		out, err := adapt(t, storage)
		if err != nil {
			t.Fatal(err)
		}
		if err := caddy.Validate(configOf(t, out, log)); err != nil {
			t.Fatalf("%s: %v", storage, err)
		}
		text, err := os.ReadFile(log)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(text), "s3cret") {
			t.Errorf("%s: the log shows it: %s", storage, text)
		}
		if got := strings.Contains(string(text), "where the admin API shows it"); got != (want != "") || !strings.Contains(string(text), want) {
			t.Errorf("%s: warned %v, want %q: %s", storage, got, want, text)
		}
	}
}

// configOf adds a log file, without the encryption key's own warning.
func configOf(t *testing.T, adapted []byte, log string) *caddy.Config {
	t.Helper()
	t.Setenv("TEST_ENCRYPTION_KEY", encryptionKey)
	raw := strings.ReplaceAll(string(adapted), encryptionKey, "{env.TEST_ENCRYPTION_KEY}")
	var config caddy.Config
	if err := json.Unmarshal([]byte(raw), &config); err != nil {
		t.Fatal(err)
	}
	config.Logging = &caddy.Logging{Logs: map[string]*caddy.CustomLog{"default": {BaseLog: caddy.BaseLog{
		WriterRaw: json.RawMessage(`{"output":"file","filename":"` + log + `"}`), EncoderRaw: json.RawMessage(`{"format":"json"}`),
	}}}}
	return &config
}

// Several machines need one key, so none is made up.
func TestEncryptionKeyIsMandatory(t *testing.T) {
	out, err := adapt(t, "storage postgres postgres://gateway@db/auth")
	if err != nil {
		t.Fatal(err)
	}
	var config caddy.Config
	if err := json.Unmarshal([]byte(strings.Replace(string(out), `["`+encryptionKey+`"]`, "[]", 1)), &config); err != nil {
		t.Fatal(err)
	}
	if err := caddy.Validate(&config); err == nil || !strings.Contains(err.Error(), "encryption_key is required") {
		t.Errorf("error %v", err)
	}
}

// run starts Caddy and stops it with the test.
func run(t *testing.T, storage string) error {
	t.Helper()
	dir := t.TempDir()
	t.Setenv("XDG_DATA_HOME", dir)
	out, err := adapt(t, storage)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := json.Marshal(configOf(t, out, filepath.Join(dir, "log")))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = caddy.Stop() })
	return caddy.Load(raw, true)
}

func get(t *testing.T, url string) (int, string) {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

func TestCaddyWithPostgres(t *testing.T) {
	server := testpostgres.Shared(t)
	t.Setenv("TEST_DB_URL", server.DSNOf("postgres", "s3cret"))
	schema := testpostgres.NewSchema()
	option := "storage postgres {env.TEST_DB_URL} {\n schema " + schema + "\n max_connections 3\n}"
	if err := run(t, option); err != nil {
		t.Fatal(err)
	}
	const registration = `{"redirect_uris":["http://127.0.0.1/callback"],"token_endpoint_auth_method":"none"}`
	register := func() {
		t.Helper()
		resp, err := http.Post("http://"+siteAddress+"/register", "application/json", strings.NewReader(registration))
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusCreated {
			body, _ := io.ReadAll(resp.Body)
			t.Fatalf("registration: %d %s", resp.StatusCode, body)
		}
	}
	register()
	if status, body := get(t, "http://"+adminAddress+"/config/"); status != http.StatusOK || strings.Contains(body, "s3cret") || !strings.Contains(body, "TEST_DB_URL") {
		t.Errorf("GET /config/: %d %s", status, body)
	}
	// A reload keeps the store; a wrong new database leaves the old one serving.
	if err := run(t, option); err != nil {
		t.Fatal(err)
	}
	register()
	err := run(t, "storage postgres postgres://gateway:s3cret@127.0.0.1:1/auth")
	if err == nil || !strings.Contains(err.Error(), "cannot connect to 127.0.0.1:1") || strings.Contains(err.Error(), "s3cret") {
		t.Errorf("error %v, want why there is no connection, without the password", err)
	}
	register()
}

// The password is a file that a secrets manager replaces.
func TestPasswordFileChanges(t *testing.T) {
	server := testpostgres.Start(t)
	file := filepath.Join(t.TempDir(), "password")
	write := func(password string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(password+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	sql := func(sql string) { execSQL(t, server.DSN(), sql) }
	write("first")
	sql("CREATE ROLE " + testpostgres.PasswordRole + " LOGIN SUPERUSER PASSWORD 'first'")
	p := postgres.Postgres{DSN: server.DSNOf(testpostgres.PasswordRole, ""), Password: "{file." + file + "}"}
	if err := provision(t, &p); err != nil {
		t.Fatal(err)
	}
	open := func() error {
		st, err := p.Open(slog.New(slog.DiscardHandler))
		if err != nil {
			return err
		}
		return st.Close()
	}
	if err := open(); err != nil {
		t.Fatal(err)
	}
	sql("ALTER ROLE " + testpostgres.PasswordRole + " PASSWORD 'second'")
	if err := open(); err == nil {
		t.Fatal("the old password was accepted")
	}
	write("second")
	if err := open(); err != nil {
		t.Fatal(err)
	}
	// It is being replaced right now.
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if err := open(); err != nil {
		t.Fatal(err)
	}
}

var _ caddymodule.StorageEngine = (*postgres.Postgres)(nil)
