// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
)

// document is a metadata document, or the lack of it.
type document struct {
	*Exchange
	members map[string]json.RawMessage
	// unusable is why it cannot be read, "" if it can.
	unusable string
	// rejected are members that validating clients refuse the whole document for:
	// null, or of the wrong type. empty are those that should be left out.
	rejected, empty []string
}

// memberTypes are the types of the members that clients validate (RFC 9728 §2,
// RFC 8414 §2): string, url, strings or bool.
var memberTypes = map[string]string{
	"resource": "url", "authorization_servers": "strings", "bearer_methods_supported": "strings",
	"resource_name": "string", "resource_documentation": "string", "resource_policy_uri": "url", "resource_tos_uri": "url",
	"resource_signing_alg_values_supported": "strings", "dpop_bound_access_tokens_required": "bool",

	"issuer": "string", "authorization_endpoint": "url", "token_endpoint": "url", "registration_endpoint": "url",
	"revocation_endpoint": "url", "introspection_endpoint": "string", "scopes_supported": "strings",
	"response_types_supported": "strings", "response_modes_supported": "strings", "grant_types_supported": "strings",
	"token_endpoint_auth_methods_supported": "strings", "token_endpoint_auth_signing_alg_values_supported": "strings",
	"code_challenge_methods_supported": "strings", "service_documentation": "url",
	"client_id_metadata_document_supported": "bool",
}

// newDocument reads an answer. It never fails: what is wrong is in the result.
func newDocument(e *Exchange) *document {
	d := &document{Exchange: e}
	switch {
	case e.Err != nil:
		d.unusable = "no answer"
	case e.Status != http.StatusOK:
		d.unusable = fmt.Sprintf("status %d", e.Status)
	case e.html():
		d.unusable = "a web page instead of JSON"
	case e.Truncated:
		d.unusable = "longer than " + fmt.Sprint(maxBody) + " bytes, or broken off"
	default:
		d.decode(e.Body)
	}
	return d
}

func (d *document) decode(body []byte) {
	if err := json.Unmarshal(body, &d.members); err != nil || d.members == nil {
		d.unusable = "not a JSON object"
		return
	}
	for _, name := range slices.Sorted(maps.Keys(d.members)) {
		raw := bytes.TrimSpace(d.members[name])
		if !fits(raw, memberTypes[name]) {
			d.rejected = append(d.rejected, printable(name))
		}
		switch string(raw) {
		case "[]", `""`, "{}", "null":
			d.empty = append(d.empty, printable(name))
		}
	}
}

// fits reports whether a value has the type that clients validate; unknown
// members may be anything.
func fits(raw []byte, kind string) bool {
	switch kind {
	case "string", "url":
		var s *string
		return json.Unmarshal(raw, &s) == nil && s != nil && (kind == "string" || absolute(*s))
	case "strings":
		var list []*string
		return json.Unmarshal(raw, &list) == nil && list != nil && !slices.Contains(list, nil)
	case "bool":
		var b *bool
		return json.Unmarshal(raw, &b) == nil && b != nil
	}
	return true
}

// absolute reports whether s is a URL with a scheme.
func absolute(s string) bool {
	scheme, rest, ok := strings.Cut(s, ":")
	return ok && scheme != "" && rest != "" && !strings.ContainsAny(scheme, "/?# ")
}

// readable reports whether it is a JSON object at all.
func (d *document) readable() bool { return d != nil && d.unusable == "" }

func (d *document) has(name string) bool { return d.readable() && d.members[name] != nil }

func (d *document) str(name string) string {
	var s string
	if !d.readable() || json.Unmarshal(d.members[name], &s) != nil {
		return ""
	}
	return s
}

func (d *document) list(name string) []string {
	var list []string
	if !d.readable() || json.Unmarshal(d.members[name], &list) != nil {
		return nil
	}
	return list
}

func (d *document) flag(name string) bool {
	var b bool
	return d.readable() && json.Unmarshal(d.members[name], &b) == nil && b
}

// corsFrom reports whether a page of the origin may read the answer.
func (e *Exchange) corsFrom(origin string) bool {
	if e == nil || e.Err != nil {
		return false
	}
	allow := e.Header.Get("Access-Control-Allow-Origin")
	return allow == "*" || allow == origin
}
