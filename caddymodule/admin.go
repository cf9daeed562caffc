// SPDX-License-Identifier: Apache-2.0

package caddymodule

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/caddyserver/caddy/v2"
)

func init() { caddy.RegisterModule(adminAPI{}) }

// backupPath is where the admin API serves a backup.
const backupPath = "/mcp_oauth/backup"

// adminAPI adds to Caddy's admin endpoint what the commands need of a running
// server.
type adminAPI struct{}

// CaddyModule returns the Caddy module information.
func (adminAPI) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "admin.api.mcp_oauth", New: func() caddy.Module { return new(adminAPI) }}
}

// Routes implements caddy.AdminRouter.
func (adminAPI) Routes() []caddy.AdminRoute {
	return []caddy.AdminRoute{{Pattern: backupPath, Handler: caddy.AdminHandlerFunc(serveBackup)}}
}

// serveBackup streams an archive of the state. The answer is complete only if its
// last line is there: whoever saves it verifies it.
func serveBackup(w http.ResponseWriter, r *http.Request) error {
	if r.Method != http.MethodGet {
		w.Header().Set("Allow", http.MethodGet)
		return caddy.APIError{HTTPStatus: http.StatusMethodNotAllowed, Err: errors.New("use GET")}
	}
	shared, err := soleState()
	if err != nil {
		return caddy.APIError{HTTPStatus: http.StatusConflict, Err: err}
	}
	w.Header().Set("Content-Type", "application/x-ndjson")
	w.Header().Set("Cache-Control", "no-store")
	if _, err := shared.state.Backup(r.Context(), w); err != nil {
		// Headers are out by now. Cutting the connection is the one way left to
		// say that this is no backup.
		caddy.Log().Named("admin.api.mcp_oauth").Error("backup failed: " + err.Error())
		panic(http.ErrAbortHandler)
	}
	return nil
}

// soleState is the one state in use. During a reload to another store there are
// two, and which one is meant cannot be known.
func soleState() (*sharedState, error) {
	var found []*sharedState
	statePool.Range(func(_, v any) bool {
		if s, ok := v.(*sharedState); ok && s != nil {
			found = append(found, s)
		}
		return true
	})
	if len(found) != 1 {
		return nil, fmt.Errorf("%d stores of mcp_oauth are open; a backup needs exactly one", len(found))
	}
	return found[0], nil
}

var _ caddy.AdminRouter = adminAPI{}
