package keycloak

import (
	"net/http"
	"net/url"
)

// Event is a line of the realm's own record of what happened.
type Event struct {
	Type     string            `json:"type"` // REFRESH_TOKEN, TOKEN_EXCHANGE, REVOKE_GRANT, …_ERROR
	ClientID string            `json:"clientId"`
	UserID   string            `json:"userId"`
	Error    string            `json:"error"`
	Details  map[string]string `json:"details"`
}

// Events are the realm's events of these types, newest first.
func (r *Realm) Events(types ...string) []Event {
	r.t.Helper()
	q := url.Values{"type": types, "max": {"100000"}}
	var events []Event
	r.must(r.do(http.MethodGet, "/events?"+q.Encode(), nil, &events))
	return events
}

// RefreshCount tells how many refreshes have succeeded in this realm, by the
// server's own record.
func (r *Realm) RefreshCount() int { r.t.Helper(); return len(r.Events("REFRESH_TOKEN")) }

// RefreshErrors tells how many refreshes were refused in this realm.
func (r *Realm) RefreshErrors() int { r.t.Helper(); return len(r.Events("REFRESH_TOKEN_ERROR")) }
