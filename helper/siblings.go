package helper

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/terradue/t2-cred/helper/oidc"
	"github.com/terradue/t2-cred/store"
)

// Siblings tell which accounts lose their grant when that of another is revoked. Making
// them is linear in the number of accounts, and so is asking for each account once.
type Siblings struct {
	sessions, users map[string][]store.Note
	// Together says that the issuer ends all offline grants of one user and client.
	Together bool
}

// siblingsTime bounds a question whose answer can be done without.
const siblingsTime = 5 * time.Second

// Siblings looks at all accounts, except those that are erased anyway. The
// issuer's discovery document is needed; without it only login sessions are known.
func (h *Helper) Siblings(ctx context.Context, p Profile, all []store.Note, erased func(store.Key) bool) Siblings {
	s := Siblings{sessions: map[string][]store.Note{}, users: map[string][]store.Note{}}
	ctx, cancel := context.WithTimeout(ctx, siblingsTime)
	defer cancel()
	if meta, err := h.Issuer(p).Metadata(ctx); err == nil {
		s.Together = meta.EndsTogether()
	}
	for _, n := range all {
		if erased(n.Key) {
			continue
		}
		if n.Session != "" {
			s.sessions[n.Session] = append(s.sessions[n.Session], n)
		}
		if user := userOf(n); user != "" {
			s.users[user] = append(s.users[user], n)
		}
	}
	return s
}

// Of gives the siblings of an account. group is the same for accounts that share them.
func (s Siblings) Of(n store.Note) (others []store.Note, group string) {
	if user := userOf(n); s.Together && user != "" && len(s.users[user]) > 0 {
		return s.users[user], user
	}
	if n.Session != "" {
		return s.sessions[n.Session], n.Session
	}
	return nil, ""
}

// userOf names the user and the client of a grant; empty when the user is not known.
func userOf(n store.Note) string {
	if n.Subject == "" {
		return ""
	}
	return n.Issuer + "\n" + n.ClientID + "\n" + n.Subject
}

// warnEnded names the accounts whose grants a new one has ended, where the issuer keeps
// one refresh token for each user and client.
func (h *Helper) warnEnded(ctx context.Context, r Request, issuer *oidc.Issuer, now store.Record) {
	meta, err := issuer.Metadata(ctx)
	if err != nil || !meta.KeepsOne() {
		return
	}
	notes, err := h.Store.Notes(ctx)
	if err != nil {
		h.Log.Debug("the accounts that may have ended are not known", "error", err)
		return
	}
	var ended []string
	for _, n := range notes {
		if n.Key != r.key() && n.RevokedBy == "" && userOf(n) != "" && userOf(n) == userOf(store.Note{GrantInfo: now.GrantInfo}) {
			ended = append(ended, oidc.Clean(n.Key.Profile+"/"+n.Key.Account))
		}
	}
	if len(ended) > 0 {
		h.Warn(fmt.Sprintf("this ended the grant of %s: %s keeps one refresh token for each user and client; use one account for them", strings.Join(ended, ", "), meta.Product))
	}
}

// endsAlone reports whether revoking a grant of that subject is known to end no grant of
// another account that is stored here.
func (h *Helper) endsAlone(ctx context.Context, r Request, issuer *oidc.Issuer, subject string) bool {
	meta, err := issuer.Metadata(ctx)
	if err != nil || !meta.EndsAlone() || subject == "" {
		return false
	}
	notes, err := h.Store.Notes(ctx)
	if err != nil {
		return false
	}
	for _, n := range notes {
		if n.Issuer == r.Profile.Issuer && n.ClientID == r.Profile.ClientID && (n.Subject == subject || n.Subject == "") {
			return false
		}
	}
	return true
}
