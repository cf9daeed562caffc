// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"net"
	"sync"
	"testing"
)

// link is the network between one gateway and the store: a TCP forwarder that a
// test cuts, and heals again.
type link struct {
	listener net.Listener
	dial     func(context.Context) (net.Conn, error)
	// there and back hold up what goes to the store, and what it answers.
	there, back gate

	mu       sync.Mutex
	refusing bool
	pairs    map[*pair]bool
	running  sync.WaitGroup
}

// pair is one connection through a link: the gateway's end and the store's.
type pair struct {
	near, far net.Conn
	once      sync.Once
	ended     chan struct{}
}

// openLink forwards what arrives at the listener, until the test ends.
func openLink(t *testing.T, listener net.Listener, dial func(context.Context) (net.Conn, error)) *link {
	t.Helper()
	l := &link{listener: listener, dial: dial, pairs: map[*pair]bool{}}
	l.running.Go(l.accept)
	t.Cleanup(func() {
		_ = listener.Close() // ends accept
		l.refuse()
		l.running.Wait()
	})
	return l
}

func (l *link) addr() string { return l.listener.Addr().String() }

// refuse resets every connection, and every new one at once.
func (l *link) refuse() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.refusing = true
	for p := range l.pairs {
		p.end(true)
	}
}

// silence loses everything without a word. Connections stay, and new ones are made:
// as with a network that drops packets nobody is told.
func (l *link) silence() { l.there.shut(); l.back.shut() }

// silenceAnswers loses only what the store says: it does what it is asked for.
func (l *link) silenceAnswers() { l.back.shut() }

// heal ends every cut. What was held up arrives now, as TCP repeats what was lost.
func (l *link) heal() {
	l.mu.Lock()
	l.refusing = false
	l.mu.Unlock()
	l.there.open()
	l.back.open()
}

func (l *link) accept() {
	for {
		near, err := l.listener.Accept()
		if err != nil {
			return // closed
		}
		l.running.Go(func() { l.carry(near) })
	}
}

func (l *link) carry(near net.Conn) {
	p := &pair{near: near, ended: make(chan struct{})}
	if !l.add(p) {
		return
	}
	defer l.remove(p)
	// Before the store hears of it: a SYN is lost like anything else.
	if !l.there.pass(p.ended) {
		return
	}
	far, err := l.dial(context.Background())
	if err != nil {
		p.end(true)
		return
	}
	if !l.join(p, far) {
		return
	}
	var both sync.WaitGroup
	both.Go(func() { p.copy(far, near, &l.there) })
	both.Go(func() { p.copy(near, far, &l.back) })
	both.Wait()
}

func (l *link) add(p *pair) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.refusing {
		p.end(true)
		return false
	}
	l.pairs[p] = true
	return true
}

// join gives a pair its far end; false if it was cut meanwhile.
func (l *link) join(p *pair, far net.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	p.far = far
	select {
	case <-p.ended:
		_ = far.Close()
		return false
	default:
		return true
	}
}

func (l *link) remove(p *pair) {
	l.mu.Lock()
	defer l.mu.Unlock()
	p.end(false)
	delete(l.pairs, p)
}

// copy carries one direction to its end, which is the end of both: neither store
// speaks on where the other side is done.
func (p *pair) copy(to, from net.Conn, g *gate) {
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		if !g.pass(p.ended) {
			return
		}
		if n > 0 {
			if _, werr := to.Write(buf[:n]); werr != nil {
				err = werr
			}
		}
		if err != nil {
			p.end(false)
			return
		}
	}
}

// end closes both ends, with a reset if it is an abrupt one.
func (p *pair) end(abrupt bool) {
	p.once.Do(func() { close(p.ended) })
	for _, c := range []net.Conn{p.near, p.far} {
		if c == nil {
			continue
		}
		if tcp, ok := c.(*net.TCPConn); ok && abrupt {
			_ = tcp.SetLinger(0)
		}
		_ = c.Close()
	}
}

// gate lets through, or holds up. The zero value is open.
type gate struct {
	mu     sync.Mutex
	opened chan struct{} // nil while open
}

func (g *gate) shut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.opened == nil {
		g.opened = make(chan struct{})
	}
}

func (g *gate) open() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.opened != nil {
		close(g.opened)
		g.opened = nil
	}
}

// pass waits until the gate is open; false if the connection ended before.
func (g *gate) pass(ended <-chan struct{}) bool {
	g.mu.Lock()
	opened := g.opened
	g.mu.Unlock()
	if opened == nil {
		return true
	}
	select {
	case <-opened:
		return true
	case <-ended:
		return false
	}
}
