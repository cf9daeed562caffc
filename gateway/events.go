// SPDX-License-Identifier: Apache-2.0

package gateway

// Event is something that operators count and alert on. There is a log line for
// each that says more; the set is closed, so that it can be a metric's label.
type Event string

// The events. Those of the second group mean that somebody used what was not, or
// no longer, theirs to use.
const (
	EventClientRegistered Event = "client_registered"
	EventSignedIn         Event = "signed_in"
	EventNotAllowed       Event = "not_allowed"
	EventGrantIssued      Event = "grant_issued"
	EventRefreshed        Event = "refreshed"
	EventRefreshRepeated  Event = "refresh_repeated"
	EventRevoked          Event = "revoked"
	EventStoreFailed      Event = "store_failed"
	// A provider gave no answer about an account that proves anything, and a request
	// was refused because that has been so for too long.
	EventUpstreamUnavailable Event = "upstream_unavailable"
	EventUpstreamOutage      Event = "upstream_outage"
	// A provider took back what somebody's access rested on: grants were revoked.
	EventUpstreamDenied Event = "upstream_denied"

	EventCodeReplayed      Event = "code_replayed"
	EventRefreshReused     Event = "refresh_reused"
	EventAssertionReplayed Event = "assertion_replayed"
)

// Events lists them all, so that a metric can begin at zero.
func Events() []Event {
	return []Event{
		EventClientRegistered, EventSignedIn, EventNotAllowed, EventGrantIssued, EventRefreshed, EventRefreshRepeated,
		EventRevoked, EventStoreFailed, EventUpstreamUnavailable, EventUpstreamOutage, EventUpstreamDenied,
		EventCodeReplayed, EventRefreshReused, EventAssertionReplayed,
	}
}

// count tells whoever counts.
func (st *State) count(e Event) {
	if st.counter != nil {
		st.counter(e)
	}
}
