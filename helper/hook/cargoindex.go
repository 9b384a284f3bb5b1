package hook

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/terradue/t2-cred/helper"
	"github.com/terradue/t2-cred/helper/hint"
)

// cargo sends the token to more places than the index: to the hosts that the index's
// config.json names for downloads and for the API. A manifest can name any index, and
// on a shared host anybody may have one. So the token is given out only if all of those
// hosts are the profile's. --index names the indexes that a person trusts, whole.

// errCargoIndex is the error of an index at a host of the profile's that gets no token.
// cargo then asks its next provider, and shows no words of ours.
var errCargoIndex = errors.New("cargo's index")

// A cargoRequest is one request of cargo's, with what its configuration adds.
type cargoRequest struct {
	helper.Request          // for the index
	kind           string   // get, or what else is asked; empty for an unknown operation
	index          string   // as cargo names it
	trusted        []string // --index
	caFile         string   // --ca-file
}

// maxIndexConfig bounds config.json, which has about 100 bytes.
const maxIndexConfig = 64 << 10

// checkTrusted is nil if --index names the index, or nothing.
func (q cargoRequest) checkTrusted() error {
	if len(q.trusted) == 0 || slices.ContainsFunc(q.trusted, func(t string) bool { return sameIndex(t, q.index) }) {
		return nil
	}
	return q.refuse("it is not among those of --index")
}

// sameIndex compares whole URLs, for which a slash at the end makes no difference.
func sameIndex(a, b string) bool {
	normal := func(text string) string {
		u, err := url.Parse(strings.TrimPrefix(text, "sparse+"))
		if err != nil || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
			return ""
		}
		return u.Scheme + "://" + strings.ToLower(u.Hostname()) + ":" + portOf(u) + strings.TrimSuffix(u.EscapedPath(), "/")
	}
	return normal(a) != "" && normal(a) == normal(b)
}

func (q cargoRequest) refuse(why string) error {
	return &hint.Error{
		Kind: errCargoIndex, Detail: fmt.Sprintf("no token for the index %.200q: %s", q.index, why),
		Remedy: hint.Say(`if you trust it, add "--index", "URL" to its credential-provider, and the hosts of its config.json to the profile`),
	}
}

// checkHosts is nil if the index's config.json sends the token to hosts of the profile's
// alone. config.json of a git index is in the repository, so --index must name it.
func (q cargoRequest) checkHosts(ctx context.Context, c *Call, cred helper.Credential) error {
	if !strings.HasPrefix(q.index, "sparse+") {
		if len(q.trusted) > 0 {
			return nil
		}
		return q.refuse("the hosts of a git index can be seen only in its repository")
	}
	text, err := q.config(ctx, c, cred.Token)
	if err != nil {
		return err
	}
	members, err := readObject(text)
	var download, api string
	if err == nil {
		err = errors.Join(member(members, "dl", &download), member(members, "api", &api))
	}
	if err != nil || download == "" {
		return q.problem("it is not the config.json of an index")
	}
	for _, address := range []string{download, api} {
		if address == "" {
			continue // without an API
		}
		u, err := url.Parse(address)
		if err != nil {
			return q.refuse("its config.json names a place that is no URL")
		}
		r := helper.Request{URL: u, Beside: q.URL, Account: q.Account}
		r.Profile.Name = firstOf(cred.Profile, q.Profile.Name)
		if err := c.Serves(ctx, r); errors.Is(err, helper.ErrNotMine) {
			return q.refuse(fmt.Sprintf("its config.json sends the token to %.100q too, which is no host of the profile's", u.Host))
		} else if err != nil {
			return err
		}
	}
	return nil
}

// config fetches config.json, at first without the token. The index is a host of the
// profile's, and cargo would send the token there.
func (q cargoRequest) config(ctx context.Context, c *Call, token helper.Secret) ([]byte, error) {
	if q.URL.RawQuery != "" || q.URL.Fragment != "" {
		return nil, q.refuse("its URL has a query or a fragment")
	}
	client := &http.Client{Transport: c.Transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	if c.Transport == nil {
		var err error
		if client, err = newClient(firstOf(q.caFile, c.Getenv("T2_CRED_CA_FILE"), c.Getenv("CARGO_HTTP_CAINFO"))); err != nil {
			return nil, err
		}
	}
	for _, authorization := range []string{"", "Bearer " + token.Reveal()} {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(q.URL.String(), "/")+"/config.json", nil)
		if err != nil {
			return nil, q.problem("the request cannot be made")
		}
		req.Header.Set("User-Agent", "t2-cred/"+c.Version)
		if authorization != "" {
			req.Header.Set("Authorization", authorization)
		}
		status, text, err := fetch(client, req)
		var wrapped *url.Error
		switch {
		case errors.Is(err, context.Canceled):
			return nil, err
		case errors.As(err, &wrapped):
			return nil, q.problem(words(quiet(err).Error(), token))
		case err != nil:
			return nil, q.problem(words(err.Error(), token))
		case status == http.StatusOK:
			return text, nil
		case authorization != "" || status != http.StatusUnauthorized && status != http.StatusForbidden:
			return nil, q.problem(fmt.Sprintf("HTTP %d %s", status, http.StatusText(status)))
		}
	}
	return nil, q.problem("no answer")
}

// problem is a config.json that cannot be read, which cargo shows.
func (q cargoRequest) problem(said string) error {
	return &hint.Error{
		Kind: helper.ErrUnreachable, Detail: fmt.Sprintf("config.json of the index %.200q: %s", q.index, said),
		Remedy: hint.Say(`for a private CA add "--ca-file", "FILE" to credential-provider`),
	}
}

// fetch is the status and body of an answer.
func fetch(client *http.Client, req *http.Request) (status int, text []byte, err error) {
	resp, err := client.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	text, err = io.ReadAll(io.LimitReader(resp.Body, maxIndexConfig+1))
	if err == nil && len(text) > maxIndexConfig {
		err = errors.New("the answer is larger than 64 KiB")
	}
	return resp.StatusCode, text, err
}

// firstOf is the first text that is not empty.
func firstOf(texts ...string) string {
	for _, text := range texts {
		if text != "" {
			return text
		}
	}
	return ""
}
