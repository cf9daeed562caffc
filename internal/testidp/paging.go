// SPDX-License-Identifier: Apache-2.0

package testidp

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
)

// defaultPerPage is what GitHub gives to a request that does not say.
const defaultPerPage = 30

// writePage answers with one page of a list and links to the others. A page
// beyond the end is empty, not an error.
func (g *GitHub) writePage(c call, list []object) {
	q := c.r.URL.Query()
	perPage := defaultPerPage
	if n, err := strconv.Atoi(q.Get("per_page")); err == nil && n > 0 {
		perPage = n
	}
	perPage = min(perPage, g.cfg.PageSize)
	page := 1
	if n, err := strconv.Atoi(q.Get("page")); err == nil && n > 0 {
		page = n
	}
	last := max(1, (len(list)+perPage-1)/perPage)
	if link := links(c.r, page, last); link != "" {
		c.w.Header().Set("Link", link)
	}
	if page > last {
		writeJSON(c.w, http.StatusOK, []object{})
		return
	}
	from := (page - 1) * perPage
	writeJSON(c.w, http.StatusOK, list[from:min(len(list), from+perPage)])
}

// links is the Link header of page out of last, in GitHub's order. The request's
// other parameters stay.
func links(r *http.Request, page, last int) string {
	var all []string
	add := func(rel string, n int) {
		q := r.URL.Query()
		q.Set("page", strconv.Itoa(n))
		all = append(all, fmt.Sprintf("<%s%s?%s>; rel=%q", originOf(r), r.URL.Path, q.Encode(), rel))
	}
	if page > 1 {
		add("prev", min(page-1, last))
	}
	if page < last {
		add("next", page+1)
		add("last", last)
	}
	if page > 1 {
		add("first", 1)
	}
	return strings.Join(all, ", ")
}
