package helper

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/terradue/t2-cred/helper/hint"
	"github.com/terradue/t2-cred/helper/oidc"
	"github.com/terradue/t2-cred/store"
)

// A LoginRequest asks for an offline token of our own by a login of the user to
// our client itself: the way that needs no exchange.
type LoginRequest struct {
	Request
	// AllowOnline keeps a refresh token that ends with the user's session, if that
	// is all the issuer gives.
	AllowOnline bool
	// Device is called with what to show the user (RFC 8628), and what it returns when
	// the wait for the user is over. Nil for a login in a browser on this machine.
	Device func(*oidc.Device) (done func())
	// Browser is called with the address to open, which is of this machine and good for
	// one use, and the redirect URI that must be registered with the client.
	Browser func(address, redirectURI string)
	// Ports to listen on for the browser's answer, the first that is free; none
	// for any (RFC 8252 §7.3).
	Ports []int
	// Users are further users of this machine whose browser may take part: the one who
	// called sudo.
	Users []int
}

// Login logs the user in and stores what came. The store is proven writable
// before the user is bothered. Errors: as Exchange's, and oidc.ErrNoSuchFlow;
// after any of them the store is as it was.
func (h *Helper) Login(ctx context.Context, r LoginRequest) (store.Record, error) {
	issuer, client, err := h.ready(ctx, r.Request)
	if err != nil {
		return store.Record{}, err
	}
	answer, finish, err := r.ask(ctx, issuer, client)
	if err != nil {
		return store.Record{}, h.abandon(ctx, r.Request, answer.RefreshToken, "", r.otherWay(ctx, issuer, err))
	}
	rec, err := h.loggedIn(ctx, r, issuer, answer)
	finish(err)
	if err != nil {
		return rec, err
	}
	return h.learn(ctx, r.Request, issuer, client, rec), nil
}

// otherWay adds to the error of a way to log in that the issuer does not offer which way
// it does offer.
func (r LoginRequest) otherWay(ctx context.Context, issuer *oidc.Issuer, err error) error {
	if !errors.Is(err, oidc.ErrNoSuchFlow) {
		return err
	}
	meta, unknown := issuer.Metadata(ctx)
	if unknown != nil {
		return err
	}
	remedy := hint.Do(hint.Words("the issuer offers no login; exchange a user's token: "), r.command("exchange", "--token-file", "FILE"))
	switch {
	case r.Device != nil && meta.AuthorizationEndpoint != "":
		remedy = hint.Do(r.command("login", "--browser"))
	case r.Device == nil && meta.DeviceEndpoint != "":
		remedy = hint.Do(r.command("login", "--device"))
	}
	return &hint.Error{Kind: oidc.ErrNoSuchFlow, Detail: err.Error(), Remedy: remedy}
}

// ask has the user decide. finish tells the browser how it ended.
func (r LoginRequest) ask(ctx context.Context, issuer *oidc.Issuer, client oidc.Client) (answer oidc.Response, finish func(error), err error) {
	if r.Device != nil {
		device, err := issuer.StartDevice(ctx, client, r.Profile.Scopes)
		if err != nil {
			return oidc.Response{}, nil, err
		}
		if err := showable(device); err != nil {
			return oidc.Response{}, nil, err
		}
		done := r.Device(device)
		answer, err = issuer.Await(ctx, client, device)
		done()
		return answer, func(error) {}, err
	}
	again, byCode := r.command("login", "--device"), true
	if meta, unknown := issuer.Metadata(ctx); unknown == nil && meta.DeviceEndpoint == "" {
		again, byCode = r.command("login", "--browser"), false
	}
	back, err := listen(ctx, r.Ports, again, byCode)
	if err != nil {
		return oidc.Response{}, nil, err
	}
	authorization, err := issuer.Authorize(ctx, client, back.uri, r.Profile.Scopes)
	if err != nil {
		back.finish(err)
		return oidc.Response{}, nil, err
	}
	back.users = r.Users
	back.begin(authorization)
	r.Browser(back.start, back.uri)
	query, err := back.wait(ctx)
	if err == nil {
		answer, err = issuer.Redeem(ctx, client, authorization, query)
	}
	if err != nil {
		back.finish(err)
		return answer, nil, err // it may have a refresh token
	}
	return answer, back.finish, nil
}

// showable makes the addresses that a person is to open fit for a terminal: the
// characters that RFC 3986 §2 does not have are percent-encoded. A host is different
// with other characters, and looks like what it is not: it has to be ASCII already
// (RFC 5890 has a form of it that is).
func showable(d *oidc.Device) error {
	for _, address := range []*string{&d.VerificationURI, &d.Complete} {
		u, err := url.Parse(*address)
		if err != nil {
			return &oidc.VerifyError{What: "login", Why: "the verification address: " + oidc.Clean(err.Error()), Identity: true}
		}
		if strings.ContainsFunc(u.Host, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
			return &oidc.VerifyError{What: "login", Why: "the verification address has a host name that is not ASCII: " + oidc.Clean(u.Host), Identity: true}
		}
		var b strings.Builder
		for _, c := range []byte(*address) {
			if c <= ' ' || c >= 0x7f {
				fmt.Fprintf(&b, "%%%02X", c)
			} else {
				b.WriteByte(c)
			}
		}
		*address = b.String()
	}
	return nil
}

func (h *Helper) loggedIn(ctx context.Context, r LoginRequest, issuer *oidc.Issuer, answer oidc.Response) (store.Record, error) {
	if answer.RefreshToken == "" {
		return store.Record{}, &hint.Error{
			Kind: ErrNotGranted, Detail: "login: the issuer gave an access token but no refresh token, so nothing could be kept",
			Remedy: hint.Say(fmt.Sprintf("the profile's scopes must have %s, and this client must be allowed it; some issuers want a parameter instead, in the profile: authorize_params = { access_type = \"offline\" }", offlineAccess)),
		}
	}
	if offline, _ := kind(answer, issuer.Product(), r.Profile.Scopes, r.Profile.Scopes); !offline && !r.AllowOnline {
		p := &hint.Error{
			Kind: ErrNotGranted, Detail: "login: the issuer gave an online refresh token, which ends with the user's session; nothing was kept",
			Remedy: r.keepOnline(r.command("login"), fmt.Sprintf("ask the issuer's admin for %s: as a scope of client %s, and as a role of the user", offlineAccess, r.Profile.ClientID)),
		}
		return store.Record{}, h.abandon(ctx, r.Request, answer.RefreshToken, "", p)
	}
	saving, cancel := uninterrupted(ctx)
	defer cancel()
	rec, err := h.begin(saving, "login", r.Request, issuer, answer, "", r.AllowOnline)
	if err != nil {
		return store.Record{}, h.abandon(saving, r.Request, answer.RefreshToken, rec.Subject, err)
	}
	taken := false
	kept, err := h.replace(saving, r.Request, hint.Run("login"), newcomer{}, func(Request, store.Record) (store.Record, error) {
		taken = true
		return rec, nil
	})
	if err != nil && !taken { // replace sees to what it was given
		err = h.abandon(saving, r.Request, answer.RefreshToken, rec.Subject, err)
	}
	if err == nil {
		h.warnEnded(saving, r.Request, issuer, kept)
	}
	return kept, err
}
