// SPDX-License-Identifier: Apache-2.0

package testsite

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"

	"golang.org/x/net/dns/dnsmessage"
)

// Names answers DNS questions: each name with the list for how often it was asked.
type Names struct {
	mu      sync.Mutex
	answers map[string][][]netip.Addr
	asked   map[string]int
}

// NamesOf answers with the addresses given, and with "no such name" for all others.
func NamesOf(answers map[string][][]netip.Addr) *Names {
	return &Names{answers: answers, asked: map[string]int{}}
}

// Loopback answers 127.0.0.1 for every name below .example.
func Loopback() *Names { return NamesOf(nil) }

// Resolver asks these names and nobody else.
func (n *Names) Resolver() *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		ours, theirs := net.Pipe()
		go n.serve(theirs)
		return ours, nil
	}}
}

// serve speaks DNS over a stream (RFC 1035 §4.2.2), which is what the resolver does
// on a connection that is no packet connection.
func (n *Names) serve(c net.Conn) {
	defer c.Close() //nolint:errcheck // a pipe
	for {
		var length [2]byte
		if _, err := io.ReadFull(c, length[:]); err != nil {
			return
		}
		msg := make([]byte, binary.BigEndian.Uint16(length[:]))
		if _, err := io.ReadFull(c, msg); err != nil {
			return
		}
		answer, err := n.answer(msg)
		if err != nil {
			return
		}
		if _, err := c.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(answer))), answer...)); err != nil {
			return
		}
	}
}

func (n *Names) answer(msg []byte) ([]byte, error) {
	var p dnsmessage.Parser
	header, err := p.Start(msg)
	if err != nil {
		return nil, err
	}
	q, err := p.Question()
	if err != nil {
		return nil, err
	}
	header.Response, header.Authoritative, header.RCode = true, true, dnsmessage.RCodeSuccess
	addrs, known := n.lookup(strings.TrimSuffix(q.Name.String(), "."), q.Type)
	if !known {
		header.RCode = dnsmessage.RCodeNameError
	}
	b := dnsmessage.NewBuilder(nil, header)
	if err := errors.Join(b.StartQuestions(), b.Question(q), b.StartAnswers()); err != nil {
		return nil, err
	}
	for _, a := range addrs {
		head := dnsmessage.ResourceHeader{Name: q.Name, Class: dnsmessage.ClassINET}
		if a.Is4() && q.Type == dnsmessage.TypeA {
			err = errors.Join(err, b.AResource(head, dnsmessage.AResource{A: a.As4()}))
		}
		if a.Is6() && q.Type == dnsmessage.TypeAAAA {
			err = errors.Join(err, b.AAAAResource(head, dnsmessage.AAAAResource{AAAA: a.As16()}))
		}
	}
	if err != nil {
		return nil, err
	}
	return b.Finish()
}

func (n *Names) lookup(name string, kind dnsmessage.Type) ([]netip.Addr, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.answers == nil {
		return []netip.Addr{netip.MustParseAddr("127.0.0.1")}, strings.HasSuffix(name, ".example")
	}
	list, ok := n.answers[name]
	if !ok {
		return nil, false
	}
	key := name + kind.String()
	i := min(n.asked[key], len(list)-1)
	n.asked[key]++
	return list[i], true
}
