package helper

import (
	"context"
	"fmt"
	"slices"

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
	// Browser is called with the address to open and the redirect URI that must be
	// registered with the client.
	Browser func(address, redirectURI string)
	// Ports to listen on for the browser's answer, the first that is free; none
	// for any (RFC 8252 §7.3).
	Ports []int
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
		return store.Record{}, err
	}
	rec, err := h.loggedIn(ctx, r, issuer, answer)
	finish(err)
	return rec, err
}

// ask has the user decide. finish tells the browser how it ended.
func (r LoginRequest) ask(ctx context.Context, issuer *oidc.Issuer, client oidc.Client) (answer oidc.Response, finish func(error), err error) {
	if r.Device != nil {
		device, err := issuer.StartDevice(ctx, client, r.Profile.Scopes)
		if err != nil {
			return oidc.Response{}, nil, err
		}
		done := r.Device(device)
		answer, err = issuer.Await(ctx, client, device)
		done()
		return answer, func(error) {}, err
	}
	back, err := listen(ctx, r.Ports)
	if err != nil {
		return oidc.Response{}, nil, err
	}
	authorization, err := issuer.Authorize(ctx, client, back.uri, r.Profile.Scopes)
	if err != nil {
		back.finish(err)
		return oidc.Response{}, nil, err
	}
	r.Browser(authorization.URL, back.uri)
	query, err := back.wait(ctx)
	if err == nil {
		answer, err = issuer.Redeem(ctx, client, authorization, query)
	}
	if err != nil {
		back.finish(err)
		return oidc.Response{}, nil, err
	}
	return answer, back.finish, nil
}

func (h *Helper) loggedIn(ctx context.Context, r LoginRequest, issuer *oidc.Issuer, answer oidc.Response) (store.Record, error) {
	if answer.RefreshToken == "" {
		return store.Record{}, &hint.Error{
			Kind: ErrNotGranted, Detail: "login: the issuer gave an access token but no refresh token, so nothing could be kept",
			Remedy: hint.Say(fmt.Sprintf("the profile's scopes must have %s, and this client must be allowed it", offlineAccess)),
		}
	}
	if offline, _ := kind(answer); !offline && !r.AllowOnline {
		p := &hint.Error{
			Kind: ErrNotGranted, Detail: "login: the issuer gave an online refresh token, which ends with the user's session; nothing was kept",
			Remedy: hint.Say(fmt.Sprintf("ask the issuer's admin for %s: as a scope of client %s, and as a role of the user; or keep the online token: --allow-online", offlineAccess, r.Profile.ClientID)),
		}
		if !slices.Contains(r.Profile.Scopes, offlineAccess) {
			p.Remedy = hint.Say(fmt.Sprintf("add %s to the profile's scopes; or keep the online token: --allow-online", offlineAccess))
		}
		return store.Record{}, p
	}
	saving, cancel := uninterrupted(ctx)
	defer cancel()
	token, claims, err := h.accept(saving, r.Request, issuer, answer, "")
	if err != nil {
		return store.Record{}, err
	}
	if err := sameSubject(answer.RefreshToken, token.Subject); err != nil {
		return store.Record{}, err
	}
	return h.replace(saving, r.Request, func() (store.Record, error) {
		return h.newRecord(r.Request, answer, token, claims), nil
	})
}
