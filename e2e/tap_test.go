package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/terradue/t2-cred/e2e/keycloak"
)

// A tap sees what the token endpoint of a realm answered, also when whoever had
// asked is gone by then.
type tap struct {
	mu       sync.Mutex
	inFlight int
	seen     []traded
}

// traded is one request to the token endpoint and its answer.
type traded struct {
	keycloak.Answer
	Form     url.Values
	Answered time.Time // when the last byte was handed to the client
}

// watch puts a tap between the realm and its clients. before, if not nil, is
// called for each request to the token endpoint and holds it as long as it likes;
// one for which it returns false never reaches the server.
func watch(realm *keycloak.Realm, before func(r *http.Request, form url.Values) bool) *tap {
	p := &tap{}
	realm.Intercept(func(server http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if !strings.HasSuffix(r.URL.Path, "/protocol/openid-connect/token") {
				server.ServeHTTP(w, r)
				return
			}
			p.serve(server, w, r, before)
		})
	})
	return p
}

func (p *tap) serve(server http.Handler, w http.ResponseWriter, r *http.Request, before func(*http.Request, url.Values) bool) {
	p.count(1)
	defer p.count(-1)
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // its sender died in the middle
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	form, _ := url.ParseQuery(string(body))
	if before != nil && !before(r, form) {
		return
	}
	// The proxy would give the request up with its sender.
	answer := httptest.NewRecorder()
	server.ServeHTTP(answer, r.WithContext(context.WithoutCancel(r.Context())))
	saw := traded{Form: form}
	_ = json.Unmarshal(answer.Body.Bytes(), &saw.Answer)
	saw.Status = answer.Code

	maps.Copy(w.Header(), answer.Header())
	w.WriteHeader(answer.Code)
	_, _ = w.Write(answer.Body.Bytes())
	if f, ok := w.(http.Flusher); ok {
		f.Flush()
	}
	saw.Answered = time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.seen = append(p.seen, saw)
}

func (p *tap) count(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.inFlight += n
}

// all is what was seen, when nothing is under way any more.
func (p *tap) all(t *testing.T) []traded {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(2 * time.Millisecond) {
		p.mu.Lock()
		seen, busy := slices.Clone(p.seen), p.inFlight > 0
		p.mu.Unlock()
		if !busy {
			return seen
		}
		if time.Now().After(deadline) {
			t.Fatal("a request to the token endpoint is still under way after 20 s")
		}
	}
}

// granted are the answers that gave a refresh token; the last one's is the one
// that is good.
func (p *tap) granted(t *testing.T) []traded {
	t.Helper()
	return slices.DeleteFunc(p.all(t), func(s traded) bool { return s.RefreshToken == "" || s.Form.Get("client_id") == keycloak.PortalID })
}
