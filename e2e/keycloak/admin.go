package keycloak

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

const adminUser = "admin"

// adminTimeout is generous: a realm takes 2 s on two idle cores, and a minute on busy
// ones.
const adminTimeout = 4 * time.Minute

// admin speaks the admin REST API, behind the front, so that it is not counted.
type admin struct {
	base     string
	password string

	mu    sync.Mutex
	token string
	until time.Time
}

// do sends in as JSON to a path under /admin/realms, and reads the answer into out.
// Either may be nil. It returns the id of the new object, if anything was.
func (a *admin) do(ctx context.Context, method, path string, in, out any) (id string, err error) {
	ctx, cancel := context.WithTimeout(ctx, adminTimeout)
	defer cancel()
	token, err := a.login(ctx)
	if err != nil {
		return "", err
	}
	var body io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return "", err
		}
		body = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, a.base+"/admin/realms"+path, body)
	if err != nil {
		return "", err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	header, err := send(req, out)
	if err != nil {
		return "", err
	}
	loc := header.Get("Location")
	return loc[strings.LastIndexByte(loc, '/')+1:], nil
}

// login gets a token of the admin, which lives for a minute.
func (a *admin) login(ctx context.Context) (string, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if time.Now().Before(a.until) {
		return a.token, nil
	}
	form := url.Values{"grant_type": {"password"}, "client_id": {"admin-cli"}, "username": {adminUser}, "password": {a.password}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost,
		a.base+"/realms/master/protocol/openid-connect/token", strings.NewReader(form.Encode()))
	if err != nil {
		return "", err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	var ans Answer
	if _, err := send(req, &ans); err != nil {
		return "", err
	}
	a.token, a.until = ans.AccessToken, time.Now().Add(30*time.Second)
	return a.token, nil
}

// send sends req, wants a 2xx, and reads JSON into out if that is not nil.
func send(req *http.Request, out any) (http.Header, error) {
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(res.Body, 64<<20))
	if err != nil {
		return nil, err
	}
	if res.StatusCode/100 != 2 {
		return nil, fmt.Errorf("%s %s: %s: %s", req.Method, req.URL.Path, res.Status, body[:min(len(body), 500)])
	}
	if out != nil {
		if err := json.Unmarshal(body, out); err != nil {
			return nil, fmt.Errorf("%s %s: %w", req.Method, req.URL.Path, err)
		}
	}
	return res.Header, nil
}
