// SPDX-License-Identifier: Apache-2.0

package options_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/google/go-cmp/cmp"

	"github.com/caddy-mcp/caddy-mcp-oauth/caddymodule/internal/options"
)

// engine is a module with an option of each kind.
type engine struct {
	Path     string
	Password string
	Size     int
	Nodes    []string
	Rules    []string
	Tags     []string
	Fast     bool
	Inner    string
}

func (e *engine) set() options.Set {
	return options.Set{
		"path":     options.Single(&e.Path),
		"password": options.Single(&e.Password),
		"size":     options.Number(&e.Size, 1),
		"nodes":    options.List(&e.Nodes),
		"rules":    options.Distinct(&e.Rules, checkRule),
		"tags":     options.Distinct(&e.Tags, nil),
		"fast": func(*caddyfile.Dispenser) error {
			e.Fast = true
			return nil
		},
		"inner": func(d *caddyfile.Dispenser) error {
			return options.Read(d, "inner", options.Set{"text": options.Single(&e.Inner)})
		},
		"joined": func(d *caddyfile.Dispenser) error {
			return errors.Join(errors.New("one"), d.Err("two"), errors.Join(errors.New("three")))
		},
	}
}

func checkRule(s string) error {
	if strings.HasPrefix(s, "bad") {
		return fmt.Errorf("rules: %q is bad", s)
	}
	return nil
}

// read reads the lines of a block: the first one is line 2 of the file.
func read(t *testing.T, lines string) (engine, error) {
	t.Helper()
	d := caddyfile.NewTestDispenser("engine {\n" + lines + "\n}\n")
	d.Next()
	var e engine
	err := options.Read(d, "engine", e.set())
	if err == nil && d.Next() {
		t.Errorf("%q is left over", d.Val())
	}
	return e, err
}

func TestRead(t *testing.T) {
	// It is set, and nobody looks: what is adapted here may be run elsewhere.
	t.Setenv("OPTIONS_TEST", "resolved")
	for name, tc := range map[string]struct {
		lines string
		want  engine
	}{
		"nothing": {"", engine{}},
		"everything": {
			"path /a\npassword \"two words\"\nsize 7\nnodes a b\nnodes a\nrules c d\nrules e\ntags bad\nfast\ninner {\ntext x\n}",
			engine{
				Path: "/a", Password: "two words", Size: 7, Nodes: []string{"a", "b", "a"}, Rules: []string{"c", "d", "e"},
				Tags: []string{"bad"}, Fast: true, Inner: "x",
			},
		},
		"placeholders stay": {
			"path {env.OPTIONS_TEST}\npassword {file./run/secret}\nnodes {env.OPTIONS_TEST} {env.NOT_SET}",
			engine{Path: "{env.OPTIONS_TEST}", Password: "{file./run/secret}", Nodes: []string{"{env.OPTIONS_TEST}", "{env.NOT_SET}"}},
		},
		"a brace in quotes is a value": {"password \"{\"\nnodes \"}\"", engine{Password: "{", Nodes: []string{"}"}}},
		"a name in quotes":             {"\"path\" x", engine{Path: "x"}},
		"a value that looks like one":  {"path password", engine{Path: "password"}},
		"a block with nothing in it":   {"path x {\n}", engine{Path: "x"}},
		"a broken line":                {"nodes a \\\nb", engine{Nodes: []string{"a", "b"}}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := read(t, tc.lines)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("read (-want +got):\n%s", diff)
			}
		})
	}
}

const known = "fast, inner, joined, nodes, password, path, rules, size, tags"

// The messages are what an operator sees of this package, so they stand here whole.
func TestReadSaysWhatIsWrong(t *testing.T) {
	for name, tc := range map[string]struct{ lines, want string }{
		"unknown":              {"pasword x", `engine: unknown subdirective "pasword"; known are ` + known + ", at Testfile:2"},
		"of another case":      {"Path x", `engine: unknown subdirective "Path"; known are ` + known + ", at Testfile:2"},
		"empty":                {`"" x`, `engine: unknown subdirective ""; known are ` + known + ", at Testfile:2"},
		"no value":             {"password", "password: the value is missing, at Testfile:2"},
		"an empty value":       {`password ""`, "password: the value is missing, at Testfile:2"},
		"no number":            {"size", "size: the value is missing, at Testfile:2"},
		"an empty number":      {`size ""`, "size: the value is missing, at Testfile:2"},
		"no list":              {"nodes", "nodes: the value is missing, at Testfile:2"},
		"an empty element":     {`nodes a ""`, "nodes: the value is missing, at Testfile:2"},
		"an empty rule":        {`rules a ""`, "rules: the value is missing, at Testfile:2"},
		"twice":                {"password a\npassword b", "password is given twice, at Testfile:3"},
		"twice the same":       {"path a\npath a", "path is given twice, at Testfile:3"},
		"twice without":        {"path a\npath", "path is given twice, at Testfile:3"},
		"two numbers":          {"size 1\nsize 1", "size is given twice, at Testfile:3"},
		"words":                {"size many", `size: "many" is not a number of at least 1, at Testfile:2`},
		"too few":              {"size 0", `size: "0" is not a number of at least 1, at Testfile:2`},
		"less than none":       {"size -3", `size: "-3" is not a number of at least 1, at Testfile:2`},
		"half":                 {"size 1.5", `size: "1.5" is not a number of at least 1, at Testfile:2`},
		"beyond all":           {"size 99999999999999999999", `size: "99999999999999999999" is not a number of at least 1, at Testfile:2`},
		"a secret without":     {"password correct horse", "password: there is an argument too many; a value with spaces needs quotes, at Testfile:2"},
		"a flag with a value":  {"fast yes", "fast: there is an argument too many; a value with spaces needs quotes, at Testfile:2"},
		"two sizes":            {"size 1 2", "size: there is an argument too many; a value with spaces needs quotes, at Testfile:2"},
		"a block":              {"path x {\ny\n}", "path takes no block, at Testfile:3"},
		"a block for a flag":   {"fast {\npath x\n}", "fast takes no block, at Testfile:3"},
		"a block for a list":   {"nodes a {\nb\n}", "nodes takes no block, at Testfile:3"},
		"listed twice":         {"rules a\nrules b a", `rules: "a" is listed twice, at Testfile:3`},
		"listed twice at once": {"rules a b a", `rules: "a" is listed twice, at Testfile:2`},
		"tagged twice":         {"tags a a", `tags: "a" is listed twice, at Testfile:2`},
		"bad and worse":        {"rules bad worse bad", "rules: \"bad\" is bad, at Testfile:2\nrules: \"bad\" is listed twice, at Testfile:2\nrules: \"bad\" is bad, at Testfile:2"},
		"only what is new":     {"rules bad\nrules b", "rules: \"bad\" is bad, at Testfile:2"},
		"inside":               {"inner {\ntext\nother x\n}", "text: the value is missing, at Testfile:3\ninner: unknown subdirective \"other\"; known are text, at Testfile:4"},
		"behind an inner one":  {"inner x {\ntext y\n}", "inner: there is an argument too many; a value with spaces needs quotes, at Testfile:2"},
		"each of the joined":   {"joined", "one, at Testfile:2\ntwo, at Testfile:2\nthree, at Testfile:2"},
		"all of them":          {"path\nsize x\nnodes a\nfoo\ninner {\ntext\n}\nfast z", "path: the value is missing, at Testfile:2\nsize: \"x\" is not a number of at least 1, at Testfile:3\nengine: unknown subdirective \"foo\"; known are " + known + ", at Testfile:5\ntext: the value is missing, at Testfile:7\nfast: there is an argument too many; a value with spaces needs quotes, at Testfile:9"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := read(t, tc.lines)
			if err == nil {
				t.Fatal("there is no error")
			}
			if diff := cmp.Diff(tc.want, err.Error()); diff != "" {
				t.Errorf("error (-want +got):\n%s", diff)
			}
		})
	}
}

// A mistake does not hide what follows from being read.
func TestReadGoesOn(t *testing.T) {
	got, err := read(t, "path\nunknown {\npassword no\n}\nsize 3\nfast")
	if err == nil {
		t.Error("there is no error")
	}
	if diff := cmp.Diff(engine{Size: 3, Fast: true}, got); diff != "" {
		t.Errorf("read (-want +got):\n%s", diff)
	}
}

// However a line with a secret is wrong, the secret is not in the error.
func TestReadRepeatsNoSecret(t *testing.T) {
	for _, lines := range []string{
		"password s3cret s3cret", "password a s3cret", "password s3cret\npassword s3cret", "password s3cret {\n}\nfoo",
		"password s3cret {\ns3cret\n}", "password \"\" s3cret", "password s3cret\nsize x", "fast s3cret", "size 1 s3cret",
		"path user:s3cret@host s3cret", "nodes s3cret \"\"", "inner s3cret {\n}",
	} {
		_, err := read(t, lines)
		if err == nil {
			t.Errorf("%q: there is no error", lines)
			continue
		}
		if strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%q: %v", lines, err)
		}
	}
}

// An option in an imported file is reported where it stands.
func TestReadNamesTheFileOfAnImport(t *testing.T) {
	tokens, err := caddyfile.Tokenize([]byte("path"), "secrets.conf")
	if err != nil {
		t.Fatal(err)
	}
	tokens[0].Line = 9
	var e engine
	if err := options.ReadOne(tokens, "engine", e.set()); err == nil || err.Error() != "path: the value is missing, at secrets.conf:9" {
		t.Errorf("error %v", err)
	}
}

// ReadOne takes what the dispenser of another directive handed out.
func TestReadOneOfAForeignBlock(t *testing.T) {
	d := caddyfile.NewTestDispenser("proxy {\n\tlb_policy first\n\tpassword {env.X}\n\theader_up {\n\t\tpassword none\n\t}\n}")
	d.Next()
	var e engine
	var foreign []string
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		segment := d.NextSegment()
		if name := segment.Directive(); e.set()[name] == nil {
			foreign = append(foreign, name)
			continue
		}
		if err := options.ReadOne(segment, "proxy", e.set()); err != nil {
			t.Error(err)
		}
	}
	if e.Password != "{env.X}" {
		t.Errorf("password %q", e.Password)
	}
	if diff := cmp.Diff([]string{"lb_policy", "header_up"}, foreign); diff != "" {
		t.Errorf("left to others (-want +got):\n%s", diff)
	}
}
