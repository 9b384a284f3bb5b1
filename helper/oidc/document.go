package oidc

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"time"
)

const (
	// freshFor is how long a kept document is used without asking: the issuer's
	// Cache-Control is not followed, because Keycloak marks its discovery
	// document no-store and its keys no-cache, and a refresh is to be one round
	// trip. A key that we have not seen is asked for at once all the same, and so
	// are the endpoints when one of them is gone.
	freshFor = 24 * time.Hour
	// staleFor is how long a kept document serves when the issuer cannot be asked.
	staleFor = 30 * 24 * time.Hour
)

// recallKey marks a context in which the network is not asked.
type recallKey struct{}

var errNotKept = errors.New("no fresh copy is kept")

// A document is a public JSON document of the issuer, as kept on disk.
type document struct {
	URL          string
	ETag         string
	LastModified string
	Checked      time.Time
	Body         json.RawMessage
}

// fetch returns the document at url: from disk while it is fresh, else from the
// issuer (a conditional request when an older copy is at hand). With renew the
// issuer is asked in any case. check decides whether a body may be kept. asked
// tells whether the issuer has just confirmed it.
func (i *Issuer) fetch(ctx context.Context, op, url string, renew bool, check func([]byte) error) (body []byte, asked bool, err error) {
	kept, ok := i.readKept(url)
	if ok && check(kept.Body) != nil {
		ok = false
	}
	age := i.opt.Now().Sub(kept.Checked)
	if ok && !renew && age >= 0 && age < freshFor {
		return kept.Body, false, nil
	}
	if ctx.Value(recallKey{}) != nil {
		return nil, false, errNotKept
	}
	if !ok {
		kept = document{URL: url}
	}
	doc, err := i.download(ctx, op, kept)
	if err != nil {
		var refused *Error
		gone := errors.As(err, &refused) && !refused.Temporary()
		if ok && !renew && !gone && age < staleFor {
			i.opt.Log.Debug("using a kept document", "url", url, "age", age.Round(time.Second), "error", err.Error())
			return kept.Body, false, nil
		}
		return nil, false, err
	}
	if err := check(doc.Body); err != nil {
		return nil, false, err
	}
	i.writeKept(doc)
	return doc.Body, true, nil
}

// download asks the issuer, twice more when it is overloaded: nothing is spent
// by a GET.
func (i *Issuer) download(ctx context.Context, op string, kept document) (document, error) {
	client, err := i.client()
	if err != nil {
		return document{}, err
	}
	var doc document
	err = i.retry(ctx, func() error {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, kept.URL, nil)
		if err != nil {
			return &ConfigError{Detail: Clean(err.Error())}
		}
		req.Header.Set("Accept", "application/json")
		if kept.Body != nil && kept.ETag != "" {
			req.Header.Set("If-None-Match", kept.ETag)
		}
		if kept.Body != nil && kept.LastModified != "" {
			req.Header.Set("If-Modified-Since", kept.LastModified)
		}
		resp, err := client.Do(req)
		if err != nil {
			return unreachable(op, err)
		}
		defer resp.Body.Close()
		doc, err = i.readDocument(op, resp, kept)
		return err
	})
	return doc, err
}

func (i *Issuer) readDocument(op string, resp *http.Response, kept document) (document, error) {
	switch {
	case resp.StatusCode == http.StatusNotModified && kept.Body != nil:
		kept.Checked = i.opt.Now()
		return kept, nil
	case resp.StatusCode >= 300 && resp.StatusCode < 400:
		return document{}, &ConfigError{
			Detail: fmt.Sprintf("%s: %s answers with a redirect to %s, which is not followed", op, kept.URL, Clean(resp.Header.Get("Location"))),
			Remedy: "use the address it redirects to, if you trust it, as the profile's issuer",
		}
	case resp.StatusCode != http.StatusOK:
		return document{}, &Error{Op: op, Status: resp.StatusCode, RetryAfter: retryAfter(resp.Header, i.opt.Now())}
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return document{}, unreachable(op, err)
	}
	if !json.Valid(body) {
		return document{}, unreachable(op, fmt.Errorf("%s did not answer with JSON (a proxy or a login page in between?)", kept.URL))
	}
	return document{
		URL: kept.URL, ETag: resp.Header.Get("ETag"), LastModified: resp.Header.Get("Last-Modified"),
		Checked: i.opt.Now(), Body: body,
	}, nil
}

func (i *Issuer) keptFile(url string) string {
	sum := sha256.Sum256([]byte(url))
	return filepath.Join(i.opt.CacheDir, hex.EncodeToString(sum[:12])+".json")
}

// dropCachedMetadata drops the kept discovery document: after a token endpoint has failed,
// the next run asks where it is.
func (i *Issuer) dropCachedMetadata() {
	if i.opt.CacheDir == "" {
		return
	}
	if places, err := wellKnown(i.id); err == nil {
		for _, place := range places {
			_ = os.Remove(i.keptFile(place)) // not there: nothing to drop
		}
	}
}

// readKept reads the copy on disk; whatever is wrong with it, there is none.
func (i *Issuer) readKept(url string) (doc document, ok bool) {
	if i.opt.CacheDir == "" {
		return document{}, false
	}
	b, err := os.ReadFile(i.keptFile(url))
	if err != nil || len(b) > 2*maxBody {
		return document{}, false
	}
	if json.Unmarshal(b, &doc) != nil || doc.URL != url || len(doc.Body) == 0 {
		return document{}, false
	}
	return doc, true
}

// writeKept keeps a copy, by rename so that a reader sees a whole one. It is a
// cache: failing to keep it costs time, not truth.
func (i *Issuer) writeKept(doc document) {
	if i.opt.CacheDir == "" {
		return
	}
	b, err := json.Marshal(doc)
	if err != nil {
		return
	}
	if err := os.MkdirAll(i.opt.CacheDir, 0o700); err != nil {
		i.opt.Log.Debug("not kept", "error", err.Error())
		return
	}
	f, err := os.CreateTemp(i.opt.CacheDir, ".new-*")
	if err != nil {
		i.opt.Log.Debug("not kept", "error", err.Error())
		return
	}
	_, err = f.Write(b)
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), i.keptFile(doc.URL))
	}
	if err != nil {
		_ = os.Remove(f.Name())
		i.opt.Log.Debug("not kept", "error", err.Error())
	}
}
