package oidc

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"path/filepath"
	"strings"
	"time"

	"github.com/terradue/t2-cred/helper/hint"
	"github.com/terradue/t2-cred/helper/safefile"
)

const (
	// freshFor is how long a cached document is used without asking: the issuer's
	// Cache-Control is not followed, because Keycloak marks its discovery
	// document no-store and its keys no-cache, and a refresh is to be one round
	// trip. A key that we have not seen is asked for at once all the same, and so
	// are the endpoints when one of them is gone.
	freshFor = 24 * time.Hour
	// staleFor is how long a cached document serves when the issuer cannot be asked.
	staleFor = 30 * 24 * time.Hour
)

// Kinds of documents. Of each there is one file an issuer.
const (
	discoveryKind = "discovery"
	keysKind      = "jwks"
	authKind      = "client_auth"
	assertionKind = "client_assertion"
)

// asking says when the network is asked for a document.
type asking int

const (
	whenStale asking = iota // when no fresh copy is cached
	anew                    // in any case
	never                   // not at all
)

// errNoJSON is of a page in the place of a document.
var errNoJSON = errors.New("did not answer with JSON (a proxy or a login page in between?)")

var errNotCached = errors.New("no fresh copy is cached")

// A document is a public JSON document of the issuer, as cached on disk.
type document struct {
	URL          string
	ETag         string
	LastModified string
	Checked      time.Time
	Body         json.RawMessage
}

// fetch gives read the document of a kind at url. That is kept, the one from disk, while it
// is fresh. Else it is the issuer's, by a conditional request when an older copy is at hand.
// The last body that read was given is the document. What it refuses is not cached. asked
// tells whether the issuer has just confirmed it.
func (i *Issuer) fetch(ctx context.Context, kind, url string, kept document, how asking, read func([]byte) error) (asked bool, err error) {
	ok := kept.URL == url && read(kept.Body) == nil
	age := i.opt.Now().Sub(kept.Checked)
	ok = ok && age >= -leeway // a time to come is no proof of anything
	if ok && how != anew && age < freshFor {
		return false, nil
	}
	if how == never {
		return false, errNotCached
	}
	if !ok || how == anew {
		kept = document{URL: url} // the issuer must not confirm a copy that is in doubt (304)
	}
	doc, err := i.download(ctx, kind, kept, ok && how == whenStale)
	if err != nil {
		var refused *Error
		gone := errors.As(err, &refused) && !refused.Temporary()
		if ok && how == whenStale && !gone && age < staleFor {
			i.opt.Log.Debug("using a cached document", "url", url, "age", age.Round(time.Second), "error", err.Error())
			return false, nil
		}
		return false, err
	}
	if err := read(doc.Body); err != nil {
		return false, err
	}
	i.writeCache(kind, doc)
	return true, nil
}

// download asks the issuer, twice more when it is overloaded and once is not set: a GET
// spends nothing.
func (i *Issuer) download(ctx context.Context, op string, kept document, once bool) (document, error) {
	client, err := i.client()
	if err != nil {
		return document{}, err
	}
	var doc document
	try := func() error {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, kept.URL, nil)
		if err != nil {
			return &ConfigError{Detail: Clean(err.Error())}
		}
		req.Header.Set("Accept", accepts(op))
		if kept.Body != nil && kept.ETag != "" {
			req.Header.Set("If-None-Match", kept.ETag)
		}
		if kept.Body != nil && kept.LastModified != "" {
			req.Header.Set("If-Modified-Since", kept.LastModified)
		}
		resp, err := client.Do(req)
		if err != nil {
			return unreachable(op, transportError(err))
		}
		defer resp.Body.Close()
		doc, err = i.readDocument(op, resp, kept)
		return err
	}
	if once {
		return doc, try()
	}
	err = i.retry(ctx, try)
	return doc, err
}

// accepts are the media types of a kind of document (RFC 7517 §8.5.2 for keys). A server may
// refuse a request that does not name the one that it has.
func accepts(kind string) string {
	if kind == keysKind {
		return "application/jwk-set+json, application/json"
	}
	return "application/json"
}

func (i *Issuer) readDocument(op string, resp *http.Response, kept document) (document, error) {
	switch {
	case resp.StatusCode == http.StatusNotModified && kept.Body != nil:
		kept.Checked = i.opt.Now()
		return kept, nil
	case resp.StatusCode >= 300 && resp.StatusCode < 400:
		return document{}, &ConfigError{
			Detail: fmt.Sprintf("%s: %s answers with a redirect to %s, which is not followed", op, kept.URL, Clean(resp.Header.Get("Location"))),
			Remedy: hint.Say("use the address it redirects to, if you trust it, as the profile's issuer"),
		}
	}
	body, err := io.ReadAll(resp.Body)
	body = plainText(body)
	switch {
	case resp.StatusCode != http.StatusOK:
		said, _ := readMembers(body) // a body that is no JSON leaves the status to speak
		code, words := said.refusal()
		if code != "" {
			words = strings.TrimSuffix(code+": "+words, ": ") // it is no OAuth error: nothing is decided by it
		}
		return document{}, i.failed(op, resp, "", words, nil)
	case err != nil:
		return document{}, unreachable(op, transportError(err))
	}
	body = bytes.TrimPrefix(body, []byte("\ufeff")) // of a file that Windows wrote
	if !json.Valid(body) {
		return document{}, unreachable(op, fmt.Errorf("%s %w", kept.URL, errNoJSON))
	}
	return document{
		URL: kept.URL, ETag: resp.Header.Get("ETag"), LastModified: resp.Header.Get("Last-Modified"),
		Checked: i.opt.Now(), Body: body,
	}, nil
}

// cacheFile is where the issuer's document of a kind lies, wherever it came from.
func (i *Issuer) cacheFile(kind string) string {
	sum := sha256.Sum256([]byte(i.id))
	return filepath.Join(i.opt.CacheDir, hex.EncodeToString(sum[:12])+"-"+kind+".json")
}

// dropCachedMetadata has the next run ask for the discovery document: after an endpoint
// has failed, it may be at another address.
func (i *Issuer) dropCachedMetadata() { i.dropCache(discoveryKind) }

func (i *Issuer) dropCache(kind string) {
	if i.opt.CacheDir == "" {
		return
	}
	if err := safefile.Remove(i.cacheFile(kind), false); err != nil {
		i.opt.Log.Debug("not removed from the cache", "error", err.Error())
	}
}

// readCache reads the copy on disk. Whatever is wrong with it, there is none: above all
// one that another user may have written.
func (i *Issuer) readCache(kind string) (doc document, ok bool) {
	if i.opt.CacheDir == "" {
		return document{}, false
	}
	b, err := safefile.Read(i.cacheFile(kind), safefile.Want{Max: 2 * maxBody, NoLink: true, Trust: safefile.Ours})
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			i.opt.Log.Debug("the cache is not used", "error", err.Error())
		}
		return document{}, false
	}
	if json.Unmarshal(b, &doc) != nil || len(doc.Body) == 0 {
		return document{}, false
	}
	return doc, true
}

// writeCache keeps a copy. Failing to keep it costs time, not truth.
func (i *Issuer) writeCache(kind string, doc document) {
	if i.opt.CacheDir == "" {
		return
	}
	b, err := json.Marshal(doc)
	if err == nil {
		err = safefile.MakeDir(i.opt.CacheDir)
	}
	if err == nil {
		err = safefile.Replace(i.cacheFile(kind), b, safefile.Write{})
	}
	if err != nil {
		i.opt.Log.Debug("not cached", "error", err.Error())
	}
}
