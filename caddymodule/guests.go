// SPDX-License-Identifier: Apache-2.0

package caddymodule

import (
	"log/slog"

	"github.com/caddy-mcp/caddy-mcp-oauth/policy"
	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
	"github.com/caddy-mcp/caddy-mcp-oauth/upstream"
)

// Namespaces of the guest modules.
const (
	storageNamespace  = "mcp_oauth.storage"
	upstreamNamespace = "mcp_oauth.upstreams"
)

// StorageEngine is what a module of the namespace mcp_oauth.storage provides.
// Provision and Validate must not touch the state: `caddy validate` runs them
// beside a running server.
type StorageEngine interface {
	// PoolKey says which state this is. Configurations with the same key share
	// one open engine, across reloads too.
	PoolKey() string
	// Open opens the state. It is called from App.Start or by the first request.
	Open(logger *slog.Logger) (storage.Store, error)
	// KeyFile is where the encryption key is generated and kept if the operator
	// sets none. Empty means that the operator has to set one.
	KeyFile() string
}

// StateHolder is a StorageEngine with a key file that knows, without opening its
// store, whether anything was ever stored.
type StateHolder interface {
	HasState() bool
}

// StoreRefresher is a StorageEngine that reaches its store in a way that may change
// without another store being meant: with another password, for example.
type StoreRefresher interface {
	// Refresh has a store that a configuration with the same PoolKey opened be reached
	// as this configuration says.
	Refresh(store storage.Store)
}

// UpstreamProvider is what a module of the namespace mcp_oauth.upstreams
// provides.
// It may be an OfflineAsker as well.
type UpstreamProvider interface {
	// Ref names the upstream for the allow rules, before it is built.
	Ref() policy.Ref
	// Build makes the upstream, which looks up what needs says: the union of what
	// the allow rules of all resources ask for. It makes no network call.
	Build(needs policy.Needs, logger *slog.Logger) (upstream.Upstream, error)
}

// OfflineAsker is an UpstreamProvider whose users can be asked to agree that they are
// looked at again, or acted for, when they are not there.
type OfflineAsker interface {
	// AskOffline says whether that is needed. It counts for what is built afterwards.
	AskOffline(on bool)
}
