// SPDX-License-Identifier: Apache-2.0

package compat

import (
	"bytes"
	"embed"
	"encoding/json"
	"fmt"
	"io/fs"
	"strings"
)

//go:embed clients/*.json
var files embed.FS

// Client is one MCP client. In every URL and parameter, a name in braces stands
// for what the client found out: see Expand.
type Client struct {
	// Name is what people call it.
	Name string `json:"name"`
	// Known is how it is known: "source", "wire", "captured", "documented" or
	// "reported", from the strongest to the weakest.
	Known string `json:"known"`
	// Evidence are the sources: threads, pages, files.
	Evidence []string `json:"evidence"`
	// Ran is what was done with the program itself, or empty.
	Ran string `json:"ran,omitempty"`
	// Note is for people who read the file.
	Note string `json:"note,omitempty"`

	// First is the request it begins with, before it has a token. Without one it
	// goes straight to the metadata.
	First *Request `json:"first,omitempty"`
	// Discovery are its requests for metadata, in its order.
	Discovery []Request `json:"discovery"`
	// Registration is the body it registers with (RFC 7591), and
	// RegistrationHeader what it sends along.
	Registration       json.RawMessage   `json:"registration"`
	RegistrationHeader map[string]string `json:"registration_header,omitempty"`
	// Connections are the ways it is used, at least one.
	Connections []Connection `json:"connections"`
	// Authorize, Token and Refresh are parameters besides those that OAuth
	// prescribes. TokenHeader goes with the latter two.
	Authorize   map[string]string `json:"authorize"`
	Token       map[string]string `json:"token"`
	Refresh     map[string]string `json:"refresh"`
	TokenHeader map[string]string `json:"token_header,omitempty"`
	// Authenticates is how it proves who it is at the token endpoint: "none",
	// "basic", "post", or "empty" for a secret of no characters.
	Authenticates string `json:"authenticates"`
	// Call is its first request with the token.
	Call Request `json:"call"`

	// Insists are the names of the Rules it applies.
	Insists []string `json:"insists"`
	// Habits are the names of what else it is known to do.
	Habits []string `json:"habits,omitempty"`
	// Fails is the rule that this client is known to fail on, if it does not work.
	Fails *Failure `json:"fails,omitempty"`
	// Document is its client ID metadata document, if it has one. Replays use the
	// registration, to which it falls back.
	Document *Document `json:"cimd,omitempty"`
}

// Request is one request and the status the client can go on with. Zero is any but
// 401 and those of a broken server: the client only looks whether something is
// there.
type Request struct {
	Method string            `json:"method"`
	URL    string            `json:"url"`
	Header map[string]string `json:"header,omitempty"`
	Body   string            `json:"body,omitempty"`
	Want   int               `json:"want"`
}

// Connection is one way a client is used.
type Connection struct {
	Name string `json:"name"`
	// URL is what the person enters. Its path is where the server is.
	URL string `json:"url"`
	// Redirect is where the client wants its code, which need not be what it
	// registered to the letter.
	Redirect string `json:"redirect"`
	// Authorize overrides parameters of the client, there and wherever else it
	// sends them.
	Authorize map[string]string `json:"authorize,omitempty"`
}

// Failure is a rule a client is known to fail on.
type Failure struct {
	Rule string `json:"rule"`
	Why  string `json:"why"`
}

// Document is a client ID metadata document: its URL, and the redirect URIs it
// lists.
type Document struct {
	URL       string   `json:"url"`
	Redirects []string `json:"redirect_uris"`
	Method    string   `json:"token_endpoint_auth_method"`
	// Note says what is odd about it.
	Note string `json:"note,omitempty"`
}

// Load reads all clients, in the order of their file names.
func Load() ([]*Client, error) {
	names, err := fs.Glob(files, "clients/*.json")
	if err != nil {
		return nil, err
	}
	var all []*Client
	for _, name := range names {
		text, err := files.ReadFile(name)
		if err != nil {
			return nil, err
		}
		c := &Client{}
		d := json.NewDecoder(bytes.NewReader(text))
		d.DisallowUnknownFields()
		if err := d.Decode(c); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		all = append(all, c)
	}
	return all, nil
}

// AuthMethod is the token_endpoint_auth_method it registers with. RFC 7591 §2:
// without one it is client_secret_basic.
func (c *Client) AuthMethod() string {
	var reg struct {
		Method string `json:"token_endpoint_auth_method"`
	}
	if json.Unmarshal(c.Registration, &reg) != nil || reg.Method == "" {
		return "client_secret_basic"
	}
	return reg.Method
}

// Expand replaces the names in braces: {url} is the server's URL as entered,
// {resource} the identifier its metadata gives, {resource_url} the same after URL
// parsing, which gives a bare origin a slash; {challenge} the metadata URL of the
// 401, {prm} and {root_prm} those of RFC 9728, {as} that of RFC 8414; {scope} the
// scopes of the 401, or else of the resource metadata, {prm_scope} and {as_scope}
// those of one document, {offline} " offline_access" where it is offered.
func Expand(s string, values map[string]string) string {
	for name, value := range values {
		s = strings.ReplaceAll(s, "{"+name+"}", value)
	}
	return s
}
