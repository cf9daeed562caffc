// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"bytes"
)

// maxEndpointEvent bounds what is held back of a stream. A real endpoint event is
// below 200 bytes.
const maxEndpointEvent = 4 << 10

// endpointEvent finds the event `endpoint` with which a stream of the legacy
// HTTP+SSE transport begins, and replaces the URI in it. It holds back the event's
// own lines, from the field `event: endpoint` to the blank line, which is when a
// client acts on it; every other byte passes at once and as it is.
//
// The first event decides. If that is another one, or data come before the name,
// or the event is larger than maxEndpointEvent, the stream is none of ours and
// passes untouched. The zero value with bind set is ready.
type endpointEvent struct {
	// bind returns the URI to hand out for the one the backend named, or false to
	// leave it alone.
	bind func(uri string) (string, bool)

	done bool
	// held are bytes not passed on yet: the beginning of a line that may become
	// `event: endpoint`, or all since that line.
	held []byte
	// inEvent says that the line `event: endpoint` was seen, lineLen is the length
	// of the line since.
	inEvent bool
	lineLen int
	// name is the beginning of a line that passes, as far as it tells the field.
	name    []byte
	passing bool
	// afterCR says that a line feed now belongs to the line end before it.
	afterCR bool
}

// The two spellings of the field; the space is optional.
var endpointFields = [][]byte{[]byte("event: endpoint"), []byte("event:endpoint")}

// feed takes the next bytes of the stream and returns those to pass on now. The
// result may be p itself.
func (e *endpointEvent) feed(p []byte) []byte {
	if e.done {
		return p
	}
	out := make([]byte, 0, len(p)+len(e.held))
	for i, c := range p {
		out = e.step(out, c)
		if e.done {
			return append(out, p[i+1:]...)
		}
	}
	return out
}

// end returns what is still held back when the stream ends.
func (e *endpointEvent) end() []byte {
	held := e.held
	e.done, e.held = true, nil
	return held
}

func (e *endpointEvent) step(out []byte, c byte) []byte {
	lineFeed := c == '\n' && e.afterCR
	e.afterCR = c == '\r'
	switch {
	case lineFeed && e.inEvent:
		e.held = append(e.held, c)
		return out
	case lineFeed:
		return append(out, c)
	case e.inEvent:
		return e.stepEvent(out, c)
	case e.passing:
		return e.stepPassing(out, c)
	}
	return e.stepLine(out, c)
}

// stepLine is at the beginning of a line, which may become `event: endpoint`.
func (e *endpointEvent) stepLine(out []byte, c byte) []byte {
	if endOfLine(c) {
		for _, field := range endpointFields {
			if bytes.Equal(e.held, field) {
				e.held, e.inEvent, e.lineLen = append(e.held, c), true, 0
				return out
			}
		}
	} else {
		longer := append(e.held, c)
		for _, field := range endpointFields {
			if bytes.HasPrefix(field, longer) {
				e.held = longer
				return out
			}
		}
	}
	line := e.held
	e.held, e.passing, e.name = nil, true, e.name[:0]
	for _, b := range line {
		out = e.stepPassing(out, b)
	}
	return e.stepPassing(out, c)
}

// stepPassing is inside a line that passes. A field `event` or `data` makes this
// the first event of the stream, and it is another one.
func (e *endpointEvent) stepPassing(out []byte, c byte) []byte {
	end := endOfLine(c)
	if len(e.name) < len("event:") && !bytes.HasSuffix(e.name, []byte(":")) {
		if end || c == ':' {
			e.done = string(e.name) == "event" || string(e.name) == "data"
		}
		e.name = append(e.name, c)
	}
	if end {
		e.passing, e.name = false, e.name[:0]
	}
	return append(out, c)
}

// stepEvent is inside the endpoint event, until the blank line that ends it.
func (e *endpointEvent) stepEvent(out []byte, c byte) []byte {
	e.held = append(e.held, c)
	switch {
	case !endOfLine(c):
		e.lineLen++
	case e.lineLen > 0:
		e.lineLen = 0
	default:
		out, e.done = append(out, e.rewritten()...), true
		e.held = nil
		return out
	}
	if len(e.held) > maxEndpointEvent {
		return append(out, e.end()...)
	}
	return out
}

func endOfLine(c byte) bool { return c == '\n' || c == '\r' }

// rewritten is the held event with its URI replaced: the value of its one data
// line. An event that is not of this shape stays as it is.
func (e *endpointEvent) rewritten() []byte {
	var from, to, count int
	for at := 0; at < len(e.held); {
		length := bytes.IndexAny(e.held[at:], "\r\n")
		line := e.held[at : at+length]
		if value, ok := bytes.CutPrefix(line, []byte("data:")); ok {
			value = bytes.TrimPrefix(value, []byte(" "))
			from, to = at+length-len(value), at+length
			count++
		}
		if bytes.Equal(line, []byte("data")) || isField(line, "event") && at > 0 {
			count += 2 // a second line of data, or another name
		}
		at += length + 1
	}
	if count != 1 {
		return e.held
	}
	uri, ok := e.bind(string(e.held[from:to]))
	if !ok {
		return e.held
	}
	return append(append(append([]byte(nil), e.held[:from]...), uri...), e.held[to:]...)
}

func isField(line []byte, name string) bool {
	got, _, _ := bytes.Cut(line, []byte(":"))
	return string(got) == name
}
