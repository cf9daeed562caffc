// SPDX-License-Identifier: Apache-2.0

package chromium

import (
	"slices"
	"strings"
	"sync"

	"github.com/chromedp/cdproto/audits"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
)

// watch records what happens in a page while the test looks elsewhere.
type watch struct {
	mu         sync.Mutex
	visited    []string
	complaints []string
	tolerated  []string
	// changed is closed and replaced when visited grows.
	changed chan struct{}
}

func newWatch() *watch { return &watch{changed: make(chan struct{})} }

// event is called by chromedp, one event after the other, and must not wait.
func (w *watch) event(ev any) {
	switch e := ev.(type) {
	case *network.EventRequestWillBeSent:
		// One for every hop of a redirect, also to a scheme the browser does not load.
		if e.Type == network.ResourceTypeDocument {
			w.visit(e.Request.URL)
		}
	case *page.EventFrameNavigated:
		if e.Frame.ParentID == "" {
			w.visit(e.Frame.URL + e.Frame.URLFragment)
		}
	case *log.EventEntryAdded:
		if e.Entry.Level == log.EntryLevelError {
			w.complain(e.Entry.Text + " " + e.Entry.URL)
		}
	case *runtime.EventExceptionThrown:
		w.complain(e.ExceptionDetails.Text)
	case *runtime.EventConsoleAPICalled:
		if e.Type == runtime.ConsoleAPICalledTypeError {
			w.complain("console.error called by the page")
		}
	case *audits.EventIssueAdded:
		if d := e.Issue.Details.ContentSecurityPolicyIssueDetails; d != nil {
			w.complain("violates CSP " + d.ViolatedDirective + " " + d.BlockedURL)
		}
	}
}

func (w *watch) visit(url string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.visited = append(w.visited, url)
	close(w.changed)
	w.changed = make(chan struct{})
}

func (w *watch) complain(text string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.complaints = append(w.complaints, strings.TrimSpace(text))
}

func (w *watch) tolerate(part string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.tolerated = append(w.tolerated, part)
}

// intolerable are the complaints nobody announced.
func (w *watch) intolerable() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(w.complaints), func(text string) bool {
		return slices.ContainsFunc(w.tolerated, func(part string) bool { return strings.Contains(text, part) })
	})
}

// find returns the last address with that prefix after the first skip ones, and
// otherwise what to wait for before asking again.
func (w *watch) find(prefix string, skip int) (url string, changed <-chan struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, v := range slices.Backward(w.visited[min(skip, len(w.visited)):]) {
		if strings.HasPrefix(v, prefix) {
			return v, nil
		}
	}
	return "", w.changed
}

func (w *watch) count() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.visited)
}

func (w *watch) all() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.visited)
}
