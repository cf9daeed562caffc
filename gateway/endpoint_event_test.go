// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"fmt"
	"strings"
	"testing"
)

// bindForTest marks what was found.
func bindForTest(uri string) (string, bool) {
	if strings.HasPrefix(uri, "no") {
		return "", false
	}
	return "<" + uri + ">", true
}

// through sends chunks through a scanner and returns what came out after each, and
// at the end.
func through(chunks ...string) (after []string) {
	e := &endpointEvent{bind: bindForTest}
	for _, c := range chunks {
		after = append(after, string(e.feed([]byte(c))))
	}
	return append(after, string(e.end()))
}

// What servers send first, in every line end, and what of it changes.
func TestEndpointEventIsRewritten(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ in, want string }{
		"TypeScript":                   {"event: endpoint\ndata: /messages?sessionId=1\n\n", "event: endpoint\ndata: </messages?sessionId=1>\n\n"},
		"Python":                       {"event: endpoint\r\ndata: /messages/?session_id=1\r\n\r\n", "event: endpoint\r\ndata: </messages/?session_id=1>\r\n\r\n"},
		"carriage returns":             {"event: endpoint\rdata: /m\r\r", "event: endpoint\rdata: </m>\r\r"},
		"mixed line ends":              {"event: endpoint\rdata: /m\n\r\n", "event: endpoint\rdata: </m>\n\r\n"},
		"no spaces":                    {"event:endpoint\ndata:/m\n\n", "event:endpoint\ndata:</m>\n\n"},
		"comments first":               {": hello\n\n:\n\nevent: endpoint\ndata: /m\n\n", ": hello\n\n:\n\nevent: endpoint\ndata: </m>\n\n"},
		"comment inside":               {"event: endpoint\n: hi\ndata: /m\n\n", "event: endpoint\n: hi\ndata: </m>\n\n"},
		"id and retry first":           {"id: 1\nretry: 5\nevent: endpoint\ndata: /m\n\n", "id: 1\nretry: 5\nevent: endpoint\ndata: </m>\n\n"},
		"id and retry after":           {"event: endpoint\nid: 1\ndata: /m\nretry: 5\n\n", "event: endpoint\nid: 1\ndata: </m>\nretry: 5\n\n"},
		"only the first":               {"event: endpoint\ndata: /a\n\nevent: endpoint\ndata: /b\n\n", "event: endpoint\ndata: </a>\n\nevent: endpoint\ndata: /b\n\n"},
		"messages after it":            {"event: endpoint\ndata: /a\n\nevent: message\ndata: {}\n\n", "event: endpoint\ndata: </a>\n\nevent: message\ndata: {}\n\n"},
		"unknown field before":         {"eventual: endpoint\nevent: endpoint\ndata: /m\n\n", "eventual: endpoint\nevent: endpoint\ndata: </m>\n\n"},
		"field that begins like data":  {"database: x\nevent: endpoint\ndata: /m\n\n", "database: x\nevent: endpoint\ndata: </m>\n\n"},
		"two spaces belong to the URI": {"event: endpoint\ndata:  /m\n\n", "event: endpoint\ndata: < /m>\n\n"},
		"absolute":                     {"event: endpoint\ndata: http://h:1/m?a=1&b\n\n", "event: endpoint\ndata: <http://h:1/m?a=1&b>\n\n"},
	} {
		if got := strings.Join(through(tt.in), ""); got != tt.want {
			t.Errorf("%s:\n got %q\nwant %q", name, got, tt.want)
		}
	}
}

// Streams of other kinds, and events that are not what they seem, pass byte for
// byte. A legacy session that begins like this is never bound, hence of no use.
func TestOtherStreamsPassUntouched(t *testing.T) {
	t.Parallel()
	for name, in := range map[string]string{
		"empty":                     "",
		"message first":             "event: message\ndata: {}\n\nevent: endpoint\ndata: /m\n\n",
		"data first":                "data: {}\n\nevent: endpoint\ndata: /m\n\n",
		"data before the name":      "data: /m\nevent: endpoint\n\n",
		"data without a colon":      "data\n\nevent: endpoint\ndata: /m\n\n",
		"event without a value":     "event\ndata: x\n\nevent: endpoint\ndata: /m\n\n",
		"name with a space behind":  "event: endpoint \ndata: /m\n\n",
		"name with two spaces":      "event:  endpoint\ndata: /m\n\n",
		"longer name":               "event: endpoints\ndata: /m\n\n",
		"shorter name":              "event: endpoin\ndata: /m\n\n",
		"upper case":                "event: ENDPOINT\ndata: /m\n\n",
		"two lines of data":         "event: endpoint\ndata: /m\ndata: /n\n\n",
		"a second, empty line":      "event: endpoint\ndata: /m\ndata\n\n",
		"another name wins":         "event: endpoint\nevent: message\ndata: /m\n\n",
		"no data":                   "event: endpoint\n\n",
		"not ours to bind":          "event: endpoint\ndata: no\n\n",
		"cut off in the name":       "event: endp",
		"cut off in the data":       "event: endpoint\ndata: /messages?ses",
		"cut off before the end":    "event: endpoint\ndata: /m\n",
		"byte order mark":           "\xef\xbb\xbfevent: endpoint\ndata: /m\n\n",
		"a huge event":              "event: endpoint\ndata: /" + strings.Repeat("x", maxEndpointEvent) + "\n\n",
		"a huge event of many":      "event: endpoint\n" + strings.Repeat(": x\n", maxEndpointEvent) + "data: /m\n\n",
		"binary":                    "\x00\xff\r\n\x00\n\n",
		"only comments, for hours":  strings.Repeat(": ping\r\n\r\n", 10_000),
		"resumption of a real one":  "id: s_1\nretry: 10\ndata: \n\nid: s_2\nevent: message\ndata: {}\n\n",
		"endpoint in a later block": "retry: 1\ndata:\n\nevent: endpoint\ndata: /m\n\n",
	} {
		if got := strings.Join(through(in), ""); got != in {
			t.Errorf("%s: changed\n got %.200q\nwant %.200q", name, got, in)
		}
		if got := strings.Join(through(strings.Split(in, "")...), ""); got != in {
			t.Errorf("%s, byte by byte: changed", name)
		}
	}
}

// Nothing is held back that a client could act on: only the beginning of a line
// that may still be the one, and the event itself until its blank line.
func TestEndpointEventHoldsBackNothingElse(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ chunks, after []string }{
		"comment at once":            {[]string{": pi", "ng\n", "\n"}, []string{": pi", "ng\n", "\n", ""}},
		"fields of another event":    {[]string{"id: 1\n", "ret", "ry: 1\n", "data: x\r\n", "\n"}, []string{"id: 1\n", "ret", "ry: 1\n", "data: x\r\n", "\n", ""}},
		"another name, at the point": {[]string{"eve", "nt: ", "m", "essage\n"}, []string{"", "", "event: m", "essage\n", ""}},
		"the event, with its end":    {[]string{"event: endpoint\n", "data: /m\n", "\n", "x"}, []string{"", "", "event: endpoint\ndata: </m>\n\n", "x", ""}},
		"CRLF does not wait for LF":  {[]string{"event: endpoint\r\ndata: /m\r\n\r", "\n", "x"}, []string{"event: endpoint\r\ndata: </m>\r\n\r", "\n", "x", ""}},
		"CR split from LF":           {[]string{"event: endpoint\r", "\ndata: /m\r", "\n\r\n"}, []string{"", "", "event: endpoint\r\ndata: </m>\r\n\r\n", ""}},
		"too much is let go":         {[]string{"event: endpoint\n" + strings.Repeat("a", maxEndpointEvent), "b"}, []string{"event: endpoint\n" + strings.Repeat("a", maxEndpointEvent), "b", ""}},
		"the end lets go":            {[]string{"event: endpoint\nda"}, []string{"", "event: endpoint\nda"}},
	} {
		if got := through(tt.chunks...); fmt.Sprintf("%q", got) != fmt.Sprintf("%q", tt.after) {
			t.Errorf("%s:\n got %q\nwant %q", name, got, tt.after)
		}
	}
}

// dispatched reads a stream as the HTML standard says: what a client is told, as
// name and data.
func dispatched(stream string) (events [][2]string) {
	stream = strings.ReplaceAll(strings.ReplaceAll(stream, "\r\n", "\n"), "\r", "\n")
	lines := strings.Split(stream, "\n")
	var name string
	var data []string
	for _, line := range lines[:len(lines)-1] {
		field, value, _ := strings.Cut(line, ":")
		value = strings.TrimPrefix(value, " ")
		switch {
		case line == "":
			if data != nil {
				events = append(events, [2]string{name, strings.Join(data, "\n")})
			}
			name, data = "", nil
		case field == "event":
			name = value
		case field == "data":
			data = append(data, value)
		}
	}
	return events
}

// However a stream is cut into writes, the same comes out; nothing but the first
// event's URI changes; and no client sees an endpoint event first that was not
// bound, unless it is of a shape that is left alone on purpose.
func FuzzEndpointEvent(f *testing.F) {
	f.Add([]byte("event: endpoint\r\ndata: /m?session_id=1\r\n\r\nevent: message\ndata: {}\n\n"), uint8(3))
	f.Add([]byte(": c\n\nid: 1\nevent:endpoint\rdata:/m\r\r"), uint8(1))
	f.Add([]byte("event: endpoint\nevent: x\ndata: /m\ndata\n\n"), uint8(7))
	f.Add([]byte("data: a\n\nevent: endpoint\ndata: no\n\n"), uint8(2))
	f.Fuzz(func(t *testing.T, stream []byte, size uint8) {
		whole := strings.Join(through(string(stream)), "")
		var parts []string
		for rest := stream; len(rest) > 0; {
			n := min(len(rest), int(size)%17+1)
			parts, rest = append(parts, string(rest[:n])), rest[n:]
		}
		if got := strings.Join(through(parts...), ""); got != whole {
			t.Fatalf("in parts %q, as a whole %q", got, whole)
		}
		if whole == string(stream) {
			return
		}
		before, after := dispatched(string(stream)), dispatched(whole)
		if len(before) != len(after) || len(before) == 0 || before[0][0] != "endpoint" || after[0][1] != "<"+before[0][1]+">" {
			t.Fatalf("events %q became %q", before, after)
		}
		if fmt.Sprint(before[1:]) != fmt.Sprint(after[1:]) {
			t.Fatalf("later events %q became %q", before[1:], after[1:])
		}
		if len(whole) != len(stream)+len("<>") {
			t.Fatalf("%q became %q: more than one mark", stream, whole)
		}
	})
}
