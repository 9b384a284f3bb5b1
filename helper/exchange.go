package helper

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/terradue/t2-cred/helper/hint"
	"github.com/terradue/t2-cred/helper/oidc"
	"github.com/terradue/t2-cred/helper/secret"
	"github.com/terradue/t2-cred/store"
)

const offlineAccess = "offline_access"

// An ExchangeRequest asks for an offline token of our own for the user whose
// access token is SubjectToken (RFC 8693).
type ExchangeRequest struct {
	Request
	SubjectToken       secret.Secret
	SubjectTokenType   string   // a token type URI; empty for an access token's
	SubjectIssuer      string   // Keycloak's alias of the identity provider that made the token
	RequestedTokenType string   // a token type URI, or empty
	Resource           []string // RFC 8693 §2.1 `resource`
	// AllowOnline keeps a refresh token that ends with the user's session, if
	// that is all the issuer gives.
	AllowOnline bool
}

// Exchange trades the subject token and stores what came. The store is proven
// writable, and the issuer's keys are at hand, before the token is sent. Errors:
// ErrSubjectToken, ErrNotGranted, ErrOtherUser, ErrProfile, and those of store and oidc; after
// any of them the store is as it was.
func (h *Helper) Exchange(ctx context.Context, r ExchangeRequest) (store.Record, error) {
	if err := checkSubjectToken(r, h.Now()); err != nil {
		return store.Record{}, err
	}
	issuer, client, err := h.ready(ctx, r.Request)
	if err != nil {
		return store.Record{}, err
	}
	if err := h.checkSubjectFits(r, issuer.Product()); err != nil {
		return store.Record{}, err
	}
	if err := h.refuseSecond(ctx, r.Request, issuer, sessionOf(r.Profile.Issuer, r.SubjectToken)); err != nil {
		return store.Record{}, err
	}
	rec, err := h.replace(ctx, r.Request, hint.Run("exchange", "--token-file", "FILE"), bringer(r), func(request Request, old store.Record) (store.Record, error) {
		r.Request = request
		return h.exchange(ctx, r, issuer, client, old)
	})
	if err != nil {
		return rec, err
	}
	return h.learn(ctx, r.Request, issuer, client, rec), nil
}

// learn asks whether the issuer calls the refresh token active, which is stored by now,
// and keeps the answer.
func (h *Helper) learn(ctx context.Context, r Request, issuer *oidc.Issuer, client oidc.Client, rec store.Record) store.Record {
	if client.Auth == "" {
		client.Auth = rec.ClientAuth // the one that was just accepted
	}
	if !h.introspects(ctx, issuer, client, rec.RefreshToken) {
		return rec
	}
	kept, err := h.Store.Update(ctx, r.key(), func(old store.Record) (store.Record, error) {
		if old.Grant == rec.Grant {
			old.Introspects = true
		}
		return old, nil
	})
	if err != nil {
		h.Log.Debug("the answer to the introspection is not kept", "error", err)
		return rec
	}
	return kept
}

// ready has all at hand before a token is spent or a user bothered: what the client
// proves itself by, a store that is proven writable, the issuer's documents.
func (h *Helper) ready(ctx context.Context, r Request) (*oidc.Issuer, oidc.Client, error) {
	client, err := h.client(ctx, r)
	if err != nil {
		return nil, oidc.Client{}, err
	}
	if err := h.Store.CheckWritable(ctx); err != nil {
		return nil, oidc.Client{}, err
	}
	issuer := h.Issuer(r.Profile)
	return issuer, client, issuer.Ready(ctx)
}

// exchange asks for a grant that takes the place of old.
func (h *Helper) exchange(ctx context.Context, r ExchangeRequest, issuer *oidc.Issuer, client oidc.Client, old store.Record) (store.Record, error) {
	trading, cancel := uninterrupted(ctx)
	defer cancel()
	answer, err := negotiate(trading, r, issuer, client)
	err = notJWT(r, issuer.Product(), err)
	subject := answerSubject(r, answer.RefreshToken)
	var rec store.Record
	if err == nil {
		rec, err = h.begin(trading, "exchange", r.Request, issuer, answer, subject, r.AllowOnline)
	}
	if err != nil {
		return store.Record{}, h.abandon(trading, r.Request, answer.RefreshToken, subject, err)
	}
	if r.SubjectIssuer == "" && rec.Subject != old.Subject { // else it is the other issuer's name for the user, or was said before
		h.warnOtherSubject(r.SubjectToken, rec.Subject)
	}
	return rec, nil
}

// begin makes a record of the answer that begins a grant. A subject that is known must
// be that of each token.
func (h *Helper) begin(ctx context.Context, op string, r Request, issuer *oidc.Issuer, answer oidc.Response, subject string, allowOnline bool) (store.Record, error) {
	for _, token := range []secret.Secret{answer.RefreshToken, answer.IDToken} {
		if err := sameSubject(token, subject); err != nil {
			return store.Record{}, err
		}
	}
	token, claims, err := h.accept(ctx, r, issuer, answer, expected{subject: subject, first: true})
	if err == nil {
		err = sameSubject(answer.RefreshToken, token.Subject)
	}
	if err != nil {
		return store.Record{}, err
	}
	rec := h.newRecord(r, issuer, answer, token, claims)
	missing := lacks(rec.Asked, rec.Scopes, answer, rec.Offline || allowOnline)
	return rec, h.checkScopes(op, r.Profile, missing, nil, "nothing was kept")
}

// foreign reports whether the user's token is another issuer's. Its names for users and
// clients may be anything.
func (r ExchangeRequest) foreign(peek oidc.Unverified) bool {
	return r.SubjectIssuer != "" || peek.Claims.Issuer != "" && peek.Claims.Issuer != r.Profile.Issuer
}

// warnOtherSubject says that the two clients know the user by different subjects. That
// is usual where subjects are pairwise, and a mistake of the issuer's elsewhere.
func (h *Helper) warnOtherSubject(brought secret.Secret, subject string) {
	if peek, ok := oidc.ParseUnverified(brought); ok && peek.Claims.Subject != "" && subject != "" && peek.Claims.Subject != subject {
		h.Warn(fmt.Sprintf("the user's token is of subject %s and the issuer's answer is of %s; they are the same user if subjects are pairwise there",
			oidc.Clean(peek.Claims.Subject), oidc.Clean(subject)))
	}
}

// introspects reports whether the issuer calls an unspent refresh token active. Where it
// does, its "inactive" means something after a refresh that got no answer.
func (h *Helper) introspects(ctx context.Context, issuer *oidc.Issuer, client oidc.Client, token secret.Secret) bool {
	ctx, cancel := context.WithTimeout(ctx, introspectTime)
	defer cancel()
	active, known, err := issuer.Introspect(ctx, client, token)
	h.Log.Debug("introspection of the new refresh token", "active", active, "known", known, "error", err)
	return err == nil && known && active
}

// introspectTime bounds a question whose answer can be done without.
const introspectTime = 5 * time.Second

// newRecord is a grant as it begins.
func (h *Helper) newRecord(r Request, issuer *oidc.Issuer, answer oidc.Response, token store.Token, claims oidc.Claims) store.Record {
	rec := store.Record{
		GrantInfo: store.GrantInfo{
			Grant: rand.Text(), Issuer: r.Profile.Issuer, ClientID: r.Profile.ClientID,
			Subject: token.Subject, Username: claims.Username, Scopes: token.Scopes, Asked: r.Profile.Scopes,
			ClientAuth: answer.ClientAuth, Verified: claims.JSON != nil, Created: h.Now(),
		},
		RefreshToken: answer.RefreshToken, Token: token,
	}
	rec.Offline, rec.RefreshExpiry = kind(answer, issuer.Product(), r.Profile.Scopes, r.Profile.Scopes)
	rec.Session = sessionOf(r.Profile.Issuer, answer.RefreshToken)
	return rec
}

// negotiate asks for an offline token, and asks again where the issuer's kind
// of exchange wants to be asked otherwise: Keycloak's standard exchange gives a
// refresh token only on request, and an offline one never.
func negotiate(ctx context.Context, r ExchangeRequest, issuer *oidc.Issuer, client oidc.Client) (oidc.Response, error) {
	ask := oidc.ExchangeRequest{
		SubjectToken: r.SubjectToken, Audience: r.Profile.Audience, Resource: r.Resource,
		Scopes: r.Profile.Scopes, RequestedTokenType: r.RequestedTokenType,
		SubjectTokenType: r.SubjectTokenType, SubjectIssuer: r.SubjectIssuer,
	}
	answer, err := issuer.Exchange(ctx, client, ask)
	if err == nil && answer.RefreshToken == "" && ask.RequestedTokenType == "" {
		ask.RequestedTokenType = oidc.TypeRefreshToken
		answer, err = issuer.Exchange(ctx, client, ask)
		var refused *oidc.Error
		if errors.As(err, &refused) && refused.Means() == oidc.MeansRefused && issuer.Product() != oidc.Keycloak {
			return oidc.Response{}, noRefreshToken(r, issuer.Product(), err)
		}
		err = onlyAccessToken(err)
	}
	if r.AllowOnline && refusesOffline(err) {
		ask.Scopes = slices.DeleteFunc(slices.Clone(ask.Scopes), func(s string) bool { return s == offlineAccess })
		ask.RequestedTokenType = oidc.TypeRefreshToken
		answer, err = issuer.Exchange(ctx, client, ask)
	}
	if err != nil {
		return answer, err
	}
	if answer.IssuedTokenType == oidc.TypeRefreshToken && answer.RefreshToken == "" {
		if answer, err = bareRefreshToken(ctx, issuer, client, answer); err != nil {
			return answer, err
		}
	}
	if answer.RefreshToken == "" {
		return oidc.Response{}, noRefreshToken(r, issuer.Product(), nil)
	}
	if offline, end := kind(answer, issuer.Product(), r.Profile.Scopes, r.Profile.Scopes); !offline && !r.AllowOnline {
		return answer, onlineOnly(r, end.Sub(answer.Received))
	}
	return answer, nil
}

// noRefreshToken is of an exchange that succeeds and gives nothing to keep. second is the
// refusal of the request that asked for a refresh token by its type. Keycloak's refusals
// say more than this, and stand for themselves.
func noRefreshToken(r ExchangeRequest, product oidc.Product, second error) error {
	asked := ""
	if second != nil {
		asked = fmt.Sprintf("; asked for a refresh token by its type, it answered %v", second)
	}
	remedy := hint.Do(hint.Words("log the user in, which needs no exchange: "), r.command("login"), hint.Words("; or "+oidc.AskAdmin+"this client must be allowed refresh tokens in exchanges"))
	if product == oidc.Keycloak {
		remedy = hint.Say(oidc.AskAdmin + "this client must be allowed refresh tokens in exchanges (standard exchange: \"Allow refresh token in Standard Token Exchange\"; for offline tokens the legacy exchange)")
	}
	return &hint.Error{
		Kind:   ErrNotGranted,
		Detail: "exchange: the issuer gave an access token but no refresh token, so nothing could be kept" + asked,
		Remedy: remedy,
	}
}

// onlyAccessToken says what the first answer was, if the second request, for a refresh
// token, was refused: the first alone says that the exchange as such works.
func onlyAccessToken(err error) error {
	var refused *oidc.Error
	if !errors.As(err, &refused) || refused.Temporary() {
		return err
	}
	return fmt.Errorf("the issuer gave an access token but no refresh token; asked for one, it said: %w", err)
}

// bareRefreshToken is for issuers that follow RFC 8693 §2.2.1 to the letter: the
// issued token travels in access_token whatever its type, so what was asked for
// as a refresh token is one, and the access token is got with it.
func bareRefreshToken(ctx context.Context, issuer *oidc.Issuer, client oidc.Client, issued oidc.Response) (oidc.Response, error) {
	answer, err := issuer.Refresh(ctx, client, issued.AccessToken)
	if answer.RefreshToken == "" {
		answer.RefreshToken = issued.AccessToken
	}
	return answer, err
}

// refusesOffline recognises the standard exchange's refusal of offline tokens.
func refusesOffline(err error) bool {
	var refused *oidc.Error
	return errors.As(err, &refused) && refused.Code == "invalid_request" &&
		strings.Contains(strings.ToLower(refused.Description), "scope offline_access not allowed")
}

// onlineOnly explains the silent trap: 200, and a refresh token that dies with
// the user's session.
func onlineOnly(r ExchangeRequest, life time.Duration) error {
	p := &hint.Error{
		Kind:   ErrNotGranted,
		Detail: "exchange: the issuer quietly gave an online refresh token, which ends with the user's session; nothing was kept",
		Remedy: r.keepOnline(r.command("exchange").With("--token-file", "FILE"),
			fmt.Sprintf("ask the issuer's admin to make %s a Default client scope of %s; or log the user in with scope %s before the exchange", offlineAccess, r.Profile.ClientID, offlineAccess)),
	}
	if life > 0 {
		p.Detail += fmt.Sprintf(" (it would have lived %s)", life)
	}
	return p
}
