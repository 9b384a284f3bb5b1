package helper

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/terradue/t2-cred/helper/hint"
	"github.com/terradue/t2-cred/helper/oidc"
	"github.com/terradue/t2-cred/store"
)

// ErrInDoubt is of a grant on a shared store whose refresh token another machine may have
// sent. That machine may bring the answer.
var ErrInDoubt = errors.New("another machine may have sent the refresh token")

// doubtEnds is after how long nobody waits any more for the machine that may have the
// answer.
const doubtEnds = 10 * time.Minute

// askShared looks into a refresh token that may have been sent under a claim which ran
// out. It is sent again only if the issuer calls it active.
func (f *refresher) askShared(ctx context.Context) (store.Record, error) {
	rec, d := f.found.Record, f.found.Doubt
	f.spent = doubtWords(f.found)
	var active, known bool
	var err error
	if d.Ask {
		active, known, err = f.issuer.Introspect(ctx, f.client, rec.RefreshToken)
	}
	f.h.Log.Debug("a refresh token that may have been sent", "node", d.Node, "active", active, "known", known, "error", err)
	switch {
	case err == nil && known && active:
		f.spent = ""
		return rec, nil
	case err == nil && known && rec.Introspects && d.Lost:
		words := "the refresh token is spent: " + f.spent
		rec.RevokedBy, rec.RevokedAt = words, f.h.Now()
		return rec, f.h.revoked(f.request, "refresh: "+words, nil)
	case err == nil && known && rec.Introspects:
		return store.Record{}, f.inDoubt(true, "the issuer calls the refresh token spent")
	case !d.Ask:
		return store.Record{}, f.inDoubt(false, "the issuer is not asked, because takeover is never")
	case err != nil:
		return store.Record{}, f.inDoubt(false, "the issuer does not tell whether it is spent: "+err.Error())
	}
	return store.Record{}, f.inDoubt(false, "the issuer does not tell whether it is spent")
}

// inDoubt is the error of a doubt that stays. At first the machine is waited for. Later a
// person has to decide. spent says that the issuer calls the refresh token spent.
func (f *refresher) inDoubt(spent bool, why string) error {
	d, r := f.found.Doubt, f.request
	detail := fmt.Sprintf("machine %s may have sent the refresh token on %s, and its answer is not stored; %s",
		oidc.Clean(d.Node), d.Since.UTC().Format("2006-01-02 15:04Z"), why)
	if d.Age <= doubtEnds {
		return &hint.Error{Kind: ErrInDoubt, Detail: detail, Remedy: hint.Do(
			hint.Words(fmt.Sprintf("run it on machine %s, which may have the answer: ", oidc.Clean(d.Node))), r.command("get"))}
	}
	remedy := f.h.beginAgain(r)
	if !spent { // a spent token that is sent again may end the grant on the machine that has the answer
		remedy = append(remedy, hint.Words("; or, if the token was not sent, clear the doubt: "), r.command("store", "release"))
	}
	return &hint.Error{Kind: ErrLoginRequired, Detail: detail, Remedy: remedy}
}
