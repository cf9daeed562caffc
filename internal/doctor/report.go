// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"time"
)

// Status is the outcome of a check.
type Status string

const (
	// Pass is as it should be.
	Pass Status = "pass"
	// Warn works, for most clients or most of the time.
	Warn Status = "warn"
	// Fail breaks a client, or a rule that every client may rely on.
	Fail Status = "fail"
	// Skip could not be judged, because of something that failed before.
	Skip Status = "skip"
)

// Check is one property of the server.
type Check struct {
	// ID is stable, "prm-resource".
	ID     string `json:"id"`
	Status Status `json:"status"`
	// Summary is what was found, in one sentence.
	Summary string `json:"summary"`
	// Affects are the identifiers of the client families this matters to. Empty
	// with Fail: a rule is broken that all of them are known to live without.
	Affects []string `json:"affects,omitempty"`
	// Evidence is what was sent and answered, made printable.
	Evidence []string `json:"evidence,omitempty"`
	// Mend is what to do.
	Mend string `json:"mend,omitempty"`
}

// Verdict is what becomes of one client family.
type Verdict struct {
	ID    string `json:"id"`
	Name  string `json:"name"`
	Works bool   `json:"works"`
	// Blockers are what its discovery ends at, in the order of its steps; one of
	// them suffices. Notes are what it finds a way around.
	Blockers []Blocker `json:"blockers,omitempty"`
	Notes    []Blocker `json:"notes,omitempty"`
}

// Blocker names a check and says what it means to the client.
type Blocker struct {
	Check string `json:"check"`
	Why   string `json:"why"`
}

// Report is the result of an examination.
type Report struct {
	URL     string    `json:"url"`
	Time    time.Time `json:"time"`
	Failed  bool      `json:"failed"`
	Checks  []Check   `json:"checks"`
	Clients []Verdict `json:"clients"`
}

// Options are all optional.
type Options struct {
	// Client sends the requests; only its Transport is used. Default: NewHTTPClient.
	Client *http.Client
	// Register also registers two throw-away clients.
	Register bool
	// Timeout of each request, 10 s by default.
	Timeout time.Duration
	// Now is the clock that the server's is compared with.
	Now func() time.Time
	// Lookup resolves a host name. Default: the system's resolver.
	Lookup func(ctx context.Context, host string) ([]netip.Addr, error)
}

// Run examines the MCP server at an address. The error wraps [ErrURL] if the
// address cannot be examined, or is ctx's; a server that does not answer is a
// report.
func Run(ctx context.Context, address string, opts Options) (*Report, error) {
	target, err := ParseTarget(address)
	if err != nil {
		return nil, err
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	if opts.Lookup == nil {
		opts.Lookup = func(ctx context.Context, host string) ([]netip.Addr, error) {
			return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
		}
	}
	p := &prober{
		fetcher: newFetcher(opts.Client, opts.Timeout), lookup: opts.Lookup, now: opts.Now,
		o: &observation{target: target},
	}
	o := p.observe(ctx, opts.Register)
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return newReport(o), nil
}

// newReport judges an observation. A check that ends some client's discovery has
// failed, however it looks by itself; only that hosted clients cannot reach a
// private address remains a warning.
func newReport(o *observation) *Report {
	r := &Report{URL: o.target.URL, Time: o.now.UTC(), Checks: checkAll(o), Clients: walkAll(o)}
	for i := range r.Checks {
		c := &r.Checks[i]
		for _, v := range r.Clients {
			if why := reason(v.Blockers, c.ID); why != "" {
				c.broken(v, why)
			} else if why := reason(v.Notes, c.ID); why == "" || c.Status == Pass || c.Status == Skip {
				continue
			}
			if !slices.Contains(c.Affects, v.ID) {
				c.Affects = append(c.Affects, v.ID)
			}
		}
		r.Failed = r.Failed || c.Status == Fail
	}
	for i := range r.Clients {
		r.Clients[i].Works = len(r.Clients[i].Blockers) == 0
	}
	return r
}

// reason is what a list says of a check, "" if nothing.
func reason(list []Blocker, check string) string {
	for _, b := range list {
		if b.Check == check {
			return b.Why
		}
	}
	return ""
}

// broken makes it a failed check because of a client. What was right in itself,
// and yet is not for everybody, then says for whom.
func (c *Check) broken(v Verdict, why string) {
	if c.Status == Pass || c.Status == Skip {
		c.Summary += ", which not every client accepts"
		c.Evidence = append(c.Evidence, v.Name+": "+why)
		if c.Mend == "" {
			c.Mend = "Give people a URL of which everything else here is right as well, or mend what the client stumbles over."
		}
	}
	if c.ID != checkAddress { // a server at home is no mistake
		c.Status = Fail
	}
}
