// SPDX-License-Identifier: Apache-2.0

package chromium

import (
	"context"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// View is how a page is looked at.
type View struct {
	// Width and Height are in CSS pixels. A page zoomed to 200 % in a window 1280
	// pixels wide has a Width of 640 and a Scale of 2.
	Width, Height int
	// Scale is device pixels per CSS pixel; zero means 1.
	Scale float64
	// Dark prefers the dark colour scheme.
	Dark bool
}

// Look sets the view for this page and those that follow in it.
func (p *Page) Look(v View) {
	p.t.Helper()
	scheme := "light"
	if v.Dark {
		scheme = "dark"
	}
	scale := v.Scale
	if scale == 0 {
		scale = 1
	}
	p.do("set view", chromedp.Steps(
		chromedp.EmulateViewport(int64(v.Width), int64(v.Height), chromedp.EmulateScale(scale)),
		chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
			_, err := cdp.Call(ctx, t, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
				Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
			})
			return err
		})))
}

// Screenshot is the whole page as PNG, also what would have to be scrolled to.
func (p *Page) Screenshot() []byte {
	p.t.Helper()
	return get(p, "take screenshot", chromedp.FullScreenshot(100))
}
