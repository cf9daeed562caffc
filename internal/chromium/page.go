// SPDX-License-Identifier: Apache-2.0

package chromium

import (
	"context"
	"testing"
	"time"

	"github.com/chromedp/cdproto/audits"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/chromedp"
)

// Page is one tab. Its methods fail the test on any error and are for one
// goroutine. Elements are named by CSS selectors.
type Page struct {
	t     testing.TB
	ctx   context.Context //nolint:containedctx // chromedp keeps the tab in it
	watch *watch
	// acted is how many addresses the tab had been at when it was last told to go
	// somewhere. See WaitURL.
	acted int
}

// Page opens a tab with cookies of its own, as if it were another person's browser.
// It is closed at the end of the test, which then fails on any complaint that
// Tolerate did not name.
func (b *Browser) Page(t testing.TB) *Page {
	t.Helper()
	return openTab(t, b.ctx, chromedp.WithNewBrowserContext())
}

// Tab opens another tab of the same person: it has the cookies of p.
func (p *Page) Tab(t testing.TB) *Page {
	t.Helper()
	return openTab(t, p.ctx)
}

func openTab(t testing.TB, parent context.Context, options ...chromedp.ContextOption) *Page {
	t.Helper()
	ctx, closeTab := chromedp.NewContext(parent, options...)
	p := &Page{t: t, ctx: ctx, watch: newWatch()}
	t.Cleanup(func() {
		closeTab()
		for _, text := range p.watch.intolerable() {
			t.Errorf("chromium: page complains: %s", text)
		}
	})
	if err := chromedp.Listen(ctx, p.watch.event); err != nil {
		t.Fatalf("chromium: new tab: %v", err)
	}
	p.do("report CSP violations", chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, audits.Enable, cdp.Empty{})
		return err
	}))
	return p
}

// Open goes to an address and waits until it is loaded.
func (p *Page) Open(url string) {
	p.t.Helper()
	p.act("open "+url, chromedp.Navigate(url))
}

// Fill replaces the content of an input by typing.
func (p *Page) Fill(selector, text string) {
	p.t.Helper()
	p.do("fill "+selector, chromedp.Steps(
		chromedp.Clear(chromedp.CSS(selector)), chromedp.SendKeys(chromedp.CSS(selector), text)))
}

// Click clicks on an element that is visible. It does not wait for what follows:
// use WaitURL or WaitFor.
func (p *Page) Click(selector string) {
	p.t.Helper()
	p.act("click "+selector, chromedp.Click(chromedp.CSS(selector), chromedp.NodeVisible))
}

// Back presses the back button and waits until the page before is loaded again.
func (p *Page) Back() {
	p.t.Helper()
	p.act("go back", chromedp.NavigateBack())
}

// Press sends keys to the focused element. For Tab and Enter see chromedp's kb.
func (p *Page) Press(keys string) {
	p.t.Helper()
	p.act("press a key", chromedp.KeyEvent(keys))
}

// WaitFor waits until an element is visible.
func (p *Page) WaitFor(selector string) {
	p.t.Helper()
	p.do("wait for "+selector, chromedp.WaitVisible(chromedp.CSS(selector)))
}

// WaitURL waits until the page has gone to an address with that prefix since the
// last Open, Click or Press, and returns it whole. It sees every hop of a redirect,
// and also addresses that no browser loads, as those of private-use schemes.
func (p *Page) WaitURL(prefix string) string {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	for {
		url, changed := p.watch.find(prefix, p.acted)
		if url != "" {
			return url
		}
		select {
		case <-changed:
		case <-ctx.Done():
			p.t.Fatalf("chromium: never went to %s…, was at %q, complaints %q", prefix, p.watch.all(), p.watch.intolerable())
		}
	}
}

// URL is the address of the page shown now.
func (p *Page) URL() string {
	p.t.Helper()
	return get(p, "read address", chromedp.Location())
}

// Text is the visible text of an element.
func (p *Page) Text(selector string) string {
	p.t.Helper()
	return get(p, "read "+selector, chromedp.Text(chromedp.CSS(selector)))
}

// Tolerate announces complaints that contain part, so that the test does not fail
// on them: a server that answers 401 on purpose makes the browser complain.
func (p *Page) Tolerate(part string) { p.watch.tolerate(part) }

// Complaints are the console errors and CSP violations so far that were not
// announced.
func (p *Page) Complaints() []string {
	p.t.Helper()
	// Answers and events arrive in order: after this one, what came before is in.
	Eval[int](p, "0")
	return p.watch.intolerable()
}

// Eval evaluates JavaScript in the page and awaits a promise. It works where the
// page's CSP forbids scripts.
func Eval[T any](p *Page, script string) T {
	p.t.Helper()
	return get(p, "evaluate script", chromedp.Evaluate[T](script, chromedp.EvalAwaitPromise))
}

// act is do for a step that may lead to another address.
func (p *Page) act(what string, step chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	p.acted = p.watch.count()
	p.do(what, step)
}

func (p *Page) do(what string, step chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	get(p, what, step)
}

func get[T any](p *Page, what string, a chromedp.Action[T]) T {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	start := time.Now()
	v, err := chromedp.Run(ctx, a)
	if err != nil {
		p.t.Fatalf("chromium: %s: %v (after %v, complaints %q)",
			what, err, time.Since(start).Round(time.Millisecond), p.watch.intolerable())
	}
	return v
}
