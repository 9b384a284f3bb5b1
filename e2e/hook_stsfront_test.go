package e2e

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/terradue/t2-cred/e2e/ledger"
	"github.com/terradue/t2-cred/helper/oidc/oidctest"
)

// stsFront stands before moto's STS and S3, over TLS, and does for the STS what
// moto does not: it checks the token with the issuer's keys. For the rest moto
// checks each signature and what the role may do.
type stsFront struct {
	*httptest.Server
	host, caFile string
	moto         *url.URL
	issuer       *oidctest.Issuer
	proxy        http.Handler

	mu      sync.Mutex
	assumed []url.Values // the forms, without the token
	refuse  bool
}

func newSTSFront(t *testing.T, issuer *oidctest.Issuer, moto string) *stsFront {
	t.Helper()
	target, err := url.Parse(moto)
	if err != nil {
		t.Fatal(err)
	}
	f := &stsFront{moto: target, issuer: issuer}
	f.proxy = &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			r.Out.Host = r.In.Host // it is signed
		},
		ModifyResponse: tellKeys,
	}
	f.Server = httptest.NewUnstartedServer(f)
	f.host, f.caFile = startTLS(t, f.Server)
	return f
}

func (f *stsFront) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodPost && r.URL.Path == "/" && r.Header.Get("Authorization") == "" {
		f.assume(w, r)
		return
	}
	f.proxy.ServeHTTP(w, r)
}

func (f *stsFront) assume(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	form, err2 := url.ParseQuery(string(body))
	claims, err3 := verifyToken(f.issuer.URL(), form.Get("WebIdentityToken"))
	form.Del("WebIdentityToken")
	f.assumed = append(f.assumed, form)
	fail := func(status int, code, message string) {
		w.WriteHeader(status)
		_, _ = fmt.Fprintf(w, `<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Sender</Type><Code>%s</Code><Message>%s</Message></Error></ErrorResponse>`, code, message)
	}
	switch {
	case errors.Join(err, err2, err3) != nil || claims["azp"] != oidctest.ClientID:
		fail(http.StatusBadRequest, "InvalidIdentityToken", "Couldn't retrieve verification key from your identity provider")
		return
	case f.refuse:
		fail(http.StatusForbidden, "AccessDenied", "Not authorized to perform sts:AssumeRoleWithWebIdentity")
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	// Moto would want this request signed too, which it must not be.
	if err := errors.Join(f.checks("inf"), func() error { f.proxy.ServeHTTP(w, r); return nil }(), f.checks("0")); err != nil {
		panic(http.ErrAbortHandler)
	}
}

// checks sets after how many requests moto begins to check them.
func (f *stsFront) checks(after string) error {
	resp, err := http.Post(f.moto.String()+"/moto-api/reset-auth", "text/plain", strings.NewReader(after))
	if err != nil {
		return err
	}
	return resp.Body.Close()
}

// take are the requests for keys since the last call.
func (f *stsFront) take() []url.Values {
	f.mu.Lock()
	defer f.mu.Unlock()
	taken := f.assumed
	f.assumed = nil
	return taken
}

func (f *stsFront) setRefuse(on bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.refuse = on
}

// tellKeys tells the ledger the keys that an STS gave: like access tokens they may
// be printed where they are asked for, and be nowhere else.
func tellKeys(resp *http.Response) error {
	if !strings.Contains(resp.Header.Get("Content-Type"), "xml") {
		return nil
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return err
	}
	_ = resp.Body.Close()
	resp.Body = io.NopCloser(bytes.NewReader(body))
	var answer struct {
		Secret  string `xml:"AssumeRoleWithWebIdentityResult>Credentials>SecretAccessKey"`
		Session string `xml:"AssumeRoleWithWebIdentityResult>Credentials>SessionToken"`
	}
	if xml.Unmarshal(body, &answer) == nil {
		shared.ledger.Add(ledger.Access, answer.Secret)
		shared.ledger.Add(ledger.Access, answer.Session)
	}
	return nil
}
