// SPDX-License-Identifier: Apache-2.0

// Package identity holds the one value that travels from an upstream through
// policy and storage to the backend: who signed in, as the upstream says it.
package identity

// Kinds of upstream. The kind decides which allow rules apply to an identity
// and how its subject is written.
const (
	KindGitHub = "github"
	KindOIDC   = "oidc"
	KindLocal  = "local"
)

// Identity is one person at one upstream, as known at the last check.
//
// Only Upstream, Kind and ID identify the person. Login, Name and Email are
// attributes that the upstream lets people change, and that others may take
// over later; nothing is ever keyed on them.
type Identity struct {
	// Upstream is the configured name of the upstream, "github" unless named.
	Upstream string `json:"upstream"`
	// Kind is one of the Kind constants.
	Kind string `json:"kind"`
	// ID is the upstream's stable identifier: GitHub's numeric user id in
	// decimal, an OIDC sub, the name of a local user.
	ID string `json:"id"`
	// Login is the name the user signs in with.
	Login string `json:"login,omitempty"`
	// Name is the display name.
	Name string `json:"name,omitempty"`
	// Email is the primary address. It counts only with EmailVerified.
	Email         string `json:"email,omitempty"`
	EmailVerified bool   `json:"email_verified,omitempty"`
	// Groups are the memberships loaded for the policy: "org" and "org/team"
	// at GitHub, group names elsewhere. Lower case at GitHub, where names are
	// case-insensitive.
	Groups []string `json:"groups,omitempty"`
}

// Subject is the stable identifier backends key on: "github:583231",
// "github:<name>:583231" for an upstream with a name of its own,
// "oidc:<name>:<sub>" and "local:<name>". It never contains a login that
// could be renamed and registered again by somebody else.
func (i Identity) Subject() string {
	if i.Kind == i.Upstream && i.Kind != KindOIDC {
		return i.Kind + ":" + i.ID
	}
	return i.Kind + ":" + i.Upstream + ":" + i.ID
}
