package helper

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/terradue/t2-cred/helper/hint"
	"github.com/terradue/t2-cred/helper/oidc"
	"github.com/terradue/t2-cred/helper/secret"
	"github.com/terradue/t2-cred/store"
)

// A newcomer is whom a new grant is for, as far as it is known before it is asked for.
type newcomer struct {
	subject, username string
	// elsewhere is of a subject that another client was told. It may be another one for the
	// same user (OpenID Connect Core section 8.1).
	elsewhere bool
}

// bringer reads whom a user's token is for. What another issuer calls the user says
// nothing here.
func bringer(r ExchangeRequest) newcomer {
	peek, ok := oidc.ParseUnverified(r.SubjectToken)
	if !ok || r.foreign(peek) {
		return newcomer{}
	}
	return newcomer{peek.Claims.Subject, peek.Claims.Username, !peek.GivenTo(r.Profile.ClientID)}
}

// isAnother reports whether a stored grant is known to be of another user. Subjects of two
// clients do not tell, and there the user names count. Where one of them is unknown, the
// answer's subject decides.
func (n newcomer) isAnother(old store.Record) bool {
	if old.Grant == "" || n.subject == "" || old.Subject == "" || n.subject == old.Subject {
		return false
	}
	return !n.elsewhere || n.username != "" && old.Username != "" && n.username != old.Username
}

// replace makes a new record the account's, under its lock. Another user's grant is
// replaced only when the request or a person says so: it is asked before anything is
// sent where the new user is known by then. again is the command that is under way.
func (h *Helper) replace(ctx context.Context, r Request, again hint.Command, who newcomer, obtain func(r Request, old store.Record) (store.Record, error)) (store.Record, error) {
	if old, err := h.Store.Load(ctx, r.key()); err == nil && who.isAnother(old) {
		if err := r.mayReplace(again, old, who); err != nil {
			return store.Record{}, err
		}
		r.Replace = true // the person has been asked
	}
	wait, cancel := lockTime(ctx, 0)
	defer cancel()
	var replaced, obtained store.Record
	rec, err := h.Store.Obtain(wait, r.key(), func(old store.Record) (store.Record, error) {
		replaced = old
		if who.isAnother(old) {
			if err := r.mayReplace(again, old, who); err != nil {
				return store.Record{}, err
			}
		}
		rec, err := obtain(r, old)
		if err != nil {
			return store.Record{}, err
		}
		obtained = rec
		if now := (newcomer{subject: rec.Subject}); now.isAnother(old) {
			if err := r.mayReplace(again, old, newcomer{subject: rec.Subject, username: rec.Username}); err != nil {
				return store.Record{}, err
			}
		}
		return rec, nil
	})
	if err == nil {
		h.warnReplaced(replaced, rec)
		return rec, nil
	}
	if obtained.Grant != "" {
		err = h.abandon(ctx, r, obtained.RefreshToken, obtained.Subject, err)
	}
	return store.Record{}, err
}

// mayReplace is the error of a grant that must not be replaced.
func (r Request) mayReplace(again hint.Command, old store.Record, now newcomer) error {
	name := func(username, subject string) string {
		if username == "" {
			return oidc.Clean(subject)
		}
		return oidc.Clean(username)
	}
	was, is := name(old.Username, old.Subject), name(now.username, now.subject)
	if was == is { // the name was given to somebody else
		was, is = was+" "+oidc.Clean(old.Subject), is+" "+oidc.Clean(now.subject)
	}
	if r.Replace || r.MayReplace != nil && r.MayReplace(was, is) {
		return nil
	}
	return &hint.Error{
		Kind: ErrOtherUser, Detail: fmt.Sprintf("account %s/%s has the grant of another user, %s; the new one is of %s, and nothing was replaced", r.Profile.Name, r.Account, was, is),
		Remedy: hint.Do(hint.Words("choose another account: "), again.For(r.Profile.Name, "NAME"), hint.Words("; or replace the grant: "), again.For(r.Profile.Name, r.Account).With("--replace")),
	}
}

func (h *Helper) warnReplaced(old, now store.Record) {
	if old.Grant != "" && old.Subject != now.Subject {
		h.Warn(fmt.Sprintf("this account held the credential of another user (%s), which was replaced and not revoked; one account for each user: --account", oidc.Clean(old.Username+" "+old.Subject)))
	}
}

// refuseSecond refuses a second exchange of one login where the issuer mixes up the two
// grants: there the first refresh or revocation of one ends the other. A new exchange
// for the same account is none, as it replaces the first.
func (h *Helper) refuseSecond(ctx context.Context, r Request, issuer *oidc.Issuer, session string) error {
	if session == "" {
		return nil
	}
	meta, err := issuer.Metadata(ctx)
	if err != nil || !meta.EndsTogether() {
		return nil //nolint:nilerr // the exchange says what is wrong
	}
	notes, err := h.Store.Notes(ctx)
	if err != nil {
		return err
	}
	for _, n := range notes {
		if n.Session != session || n.ClientID != r.Profile.ClientID || n.Key == r.key() {
			continue
		}
		first := n.Key.Profile + "/" + n.Key.Account
		if r.Replace {
			h.Warn(first + " has a grant of the same login, which ends when this one is refreshed or revoked")
			return nil
		}
		return &hint.Error{
			Kind:   ErrNotGranted,
			Detail: fmt.Sprintf("exchange: %s already has a grant of this login, and this Keycloak (before 26.1) ends one when the other is refreshed or revoked; the user's token was not sent", oidc.Clean(first)),
			Remedy: hint.Do(hint.Words("share that account: "), hint.Run("get").For(n.Key.Profile, n.Key.Account), hint.Words("; or exchange all the same: "), r.command("exchange").With("--token-file", "FILE", "--replace")),
		}
	}
	return nil
}

// sessionOf is a hash of a login session, as a record has it; empty when the token
// names none.
func sessionOf(issuer string, token secret.Secret) string {
	peek, ok := oidc.ParseUnverified(token)
	if !ok || peek.Claims.SessionID == "" {
		return ""
	}
	sum := sha256.Sum256([]byte(issuer + "\n" + peek.Claims.SessionID))
	return hex.EncodeToString(sum[:8])
}

// abandonTime bounds the revocation of a grant that is not kept.
const abandonTime = 10 * time.Second

// abandon sees to a grant that the issuer has given and that is not kept. It is revoked
// where that is known to end nothing else; otherwise the error names it as alive.
func (h *Helper) abandon(ctx context.Context, r Request, token secret.Secret, subject string, why error) error {
	if token == "" && oidc.OutcomeOf(why) == oidc.NoAnswer && errors.Is(why, oidc.ErrUnreachable) {
		return fmt.Errorf("%w (the issuer may have made a grant, which then lives on there until it ends or an admin ends it)", why)
	}
	if token == "" {
		return why
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), abandonTime)
	defer cancel()
	issuer := h.Issuer(r.Profile)
	peek, ok := oidc.ParseUnverified(token)
	if ok && subject == "" {
		subject = peek.Claims.Subject
	}
	// An online token is of the user's own session, which is not ours to end.
	if offline := ok && peek.Claims.Type == "Offline"; offline && subject == peek.Claims.Subject && h.endsAlone(ctx, r, issuer, subject) {
		client, err := h.client(ctx, r)
		var known bool
		if err == nil {
			known, err = issuer.Revoke(ctx, client, token)
		}
		if err == nil && known {
			return fmt.Errorf("%w (the grant that the issuer gave was revoked)", why)
		}
		h.Log.Debug("revocation of what is not kept", "known", known, "error", err)
	}
	return fmt.Errorf("%w (the grant that the issuer gave is not kept and lives on there until it ends or an admin ends it)", why)
}
