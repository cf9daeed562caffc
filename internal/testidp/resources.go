// SPDX-License-Identifier: Apache-2.0

package testidp

import (
	"net/http"
	"strconv"
)

func (g *GitHub) serveUser(c call) {
	writeJSON(c.w, http.StatusOK, userObject(c.user))
}

// userObject has the fields that sign-in code is known to look at, and a few
// that tempt it: the public e-mail is not necessarily verified.
func userObject(u User) object {
	o := object{
		"login": u.Login, "id": u.ID, "node_id": "U_" + strconv.FormatInt(u.ID, 36),
		"avatar_url": "https://avatars.githubusercontent.com/u/" + strconv.FormatInt(u.ID, 10) + "?v=4",
		"html_url":   "https://github.com/" + u.Login,
		"type":       "User", "user_view_type": "private", "site_admin": false,
		"name": nil, "company": nil, "email": nil, "two_factor_authentication": true,
	}
	if u.Name != "" {
		o["name"] = u.Name
	}
	return o
}

func (g *GitHub) serveEmails(c call) {
	list := make([]object, 0, len(c.user.Emails))
	for _, e := range c.user.Emails {
		o := object{"email": e.Address, "primary": e.Primary, "verified": e.Verified, "visibility": nil}
		if e.Primary {
			o["visibility"] = "private"
		}
		list = append(list, o)
	}
	g.writePage(c, list)
}
