package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/terradue/t2-cred/helper/oidc/oidctest"
)

// TestOddAnswers meets every odd answer that the test issuer knows, at a refresh where
// each refresh token serves once. What the answer brought is kept, whatever becomes of
// the access token: the next `get` works, and the old refresh token is not sent again.
// Where it brought none, the next `get` works if the grant was not spent.
func TestOddAnswers(t *testing.T) {
	outer := t
	faults := oidctest.Odd()
	if len(faults) < 250 {
		t.Errorf("the issuer knows %d odd answers", len(faults))
	}
	var results oddResults
	var all sync.WaitGroup
	work := make(chan oidctest.Fault)
	for range 6 {
		all.Go(func() {
			var h *oddHome
			for f := range work {
				t.Run(f.Name, func(t *testing.T) {
					if h == nil {
						h = newOddHome(outer)
					}
					how, words := h.meet(t, f)
					results.add(f, how, words)
					if words != "" {
						t.Errorf("%s: %s", how, words)
					}
					if how != oddKept {
						h.close() // its grant may be gone
						h = nil
					}
				})
			}
			if h != nil {
				h.close()
			}
		})
	}
	for n, f := range faults {
		if !testing.Short() || n%7 == 0 { // -short is said with -race
			work <- f
		}
	}
	close(work)
	all.Wait()
	t.Log(results.String())
}

// How an odd answer ends. The first four are right.
const (
	oddKept     = "kept"
	oddNone     = "brought none, was spent"
	oddUnspent  = "brought none, was not spent"
	oddAnother  = "another's, not adopted"
	oddLost     = "LOST"
	oddAgain    = "OLD TOKEN SENT AGAIN"
	oddRefused  = "REFUSED FOR A DETAIL"
	oddAdopted  = "ANOTHER'S ADOPTED"
	oddWorse    = "GRANT LIVES, GET FAILS"
	oddUnseemly = "WRONG END"
)

type oddResults struct {
	mu     sync.Mutex
	counts map[string]int
	bad    []string
}

func (r *oddResults) add(f oidctest.Fault, how, words string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.counts == nil {
		r.counts = map[string]int{}
	}
	r.counts[how]++
	if words != "" {
		r.bad = append(r.bad, how+": "+f.Name+": "+words)
	}
}

func (r *oddResults) String() string {
	var b strings.Builder
	for _, how := range slices.Sorted(maps.Keys(r.counts)) {
		fmt.Fprintf(&b, "%4d %s\n", r.counts[how], how)
	}
	slices.Sort(r.bad)
	return b.String() + strings.Join(r.bad, "\n")
}

// An oddHome is a home whose issuer rotates.
type oddHome struct {
	*home
	spent *oidctest.Spendings

	mu     sync.Mutex
	status int // of the last answer to a refresh
	body   []byte
}

// newOddHome makes a home that outlives the subtest that needs it first.
func newOddHome(t *testing.T) *oddHome {
	t.Helper()
	h := &oddHome{home: newHome(t)}
	h.issuer.Set(oidctest.Refresh(oidctest.Revoke))
	if code := h.run("exchange", "--token-file", h.userToken("alice")); code != exitOK {
		t.Fatalf("a good exchange ends with %d: %s", code, h.stderr.String())
	}
	h.spent, _ = h.issuer.Watch()
	return h
}

func (h *oddHome) close() { h.issuer.Close() }

// meet does one row.
func (h *oddHome) meet(t *testing.T, f oidctest.Fault) (how, words string) {
	h.t = t
	h.spent.Forget()
	h.status, h.body = 0, nil
	began := time.Now()
	remove := []func(){h.issuer.Inject(f, oidctest.First(1)), h.issuer.Inject(h.see(), oidctest.First(1))}
	code := h.run("get", "--fresh")
	first := h.stderr.String()
	for _, r := range remove {
		r()
	}
	spent := h.spent.All()
	if len(spent) == 0 {
		return oddUnseemly, fmt.Sprintf("exit %d, and nothing was sent: %s", code, first)
	}
	brought := spent[0].Given != "" && h.brought() == spent[0].Given
	next := h.run("get", "--fresh")
	story := fmt.Sprintf("status %d, exit %d, next get %d, %d sent in %s\n%s%s",
		h.status, code, next, len(h.spent.All()), time.Since(began).Round(time.Millisecond), first, h.stderr.String())
	switch another := namesAnother(f.Name); {
	case !slices.Contains([]int{exitOK, exitLogin, exitUnreachable, exitVerify, exitRefused}, code):
		return oddUnseemly, story
	case another == certain && code == exitOK:
		return oddAdopted, story
	case another == certain && h.sent(spent[0].Given):
		return oddAdopted, story
	case another != 0 && next != exitOK:
		return oddAnother, ""
	case brought && len(h.spent.Twice()) > 0:
		return oddAgain, story
	case brought && next != exitOK:
		return oddLost, story
	case brought && code == exitLogin:
		return oddUnseemly, story
	case brought && code != exitOK && isDetail(f.Name):
		return oddRefused, story
	case brought:
		return oddKept, ""
	case spent[0].Given == "" && next != exitOK:
		return oddWorse, story
	case spent[0].Given == "":
		return oddUnspent, ""
	}
	return oddNone, ""
}

// see is a fault that does no harm and keeps what the issuer answered.
func (h *oddHome) see() oidctest.Fault {
	return oidctest.Fault{
		Name: "see", Endpoint: oidctest.Token, Grant: "refresh_token",
		After: func(_ *oidctest.Call, a *oidctest.Answer) {
			h.mu.Lock()
			defer h.mu.Unlock()
			h.status, h.body = a.Status, bytes.Clone(a.Body)
		},
	}
}

// brought is the refresh token that the answer held: of the first JSON object of the
// body, whatever else is there.
func (h *oddHome) brought() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	body := bytes.TrimPrefix(h.body, []byte("\xef\xbb\xbf"))
	var object map[string]json.RawMessage
	var token string
	if json.NewDecoder(bytes.NewReader(body)).Decode(&object) != nil || json.Unmarshal(object["refresh_token"], &token) != nil {
		return ""
	}
	return token
}

// sent tells whether a refresh token was ever sent.
func (h *oddHome) sent(token string) bool {
	return token != "" && slices.ContainsFunc(h.spent.All(), func(s oidctest.Spending) bool { return s.Token == token })
}

// Whether an answer names another subject, and so is never adopted.
const (
	unsure  = 1 // a sub that is no text: it may be refused as another's
	certain = 2
)

func namesAnother(name string) int {
	switch {
	case name == "id-sub-other", name == "payload-changed":
		return certain
	case !strings.HasPrefix(name, "claim sub ") && !strings.HasPrefix(name, "ID token's sub "):
		return 0
	case strings.HasSuffix(name, " text"), strings.HasSuffix(name, " long"):
		return certain
	case strings.HasSuffix(name, " missing"), strings.HasSuffix(name, " null"):
		return 0
	}
	return unsure
}

// isDetail tells the oddities that say nothing against the access token: what serves
// display or bookkeeping, a fraction of a second, how a body is called.
func isDetail(name string) bool {
	words := strings.Fields(name)
	switch {
	case words[0] == "claim":
		return slices.Contains([]string{
			"jti", "sid", "acr", "name", "given_name", "family_name", "preferred_username", "email", "email_verified",
			"realm_access", "resource_access", "allowed-origins",
		}, words[1])
	case strings.HasPrefix(name, "ID token's "):
		return slices.Contains([]string{"auth_time", "preferred_username", "email"}, words[2])
	case words[0] == "field":
		return slices.Contains([]string{"refresh_expires_in", "session_state", "not-before-policy"}, words[1]) || name == "field expires_in fraction" || name == "field expires_in missing"
	case strings.HasPrefix(name, "further field "):
		return words[2] == "expires_at" || words[2] == "extra" || words[2] == "issued_token_type"
	case strings.HasPrefix(name, "status 200, "):
		return strings.Contains(name, `"application/json`) || strings.Contains(name, `"text/plain"`) || strings.Contains(name, `""`)
	}
	return slices.Contains([]string{"body after line feeds", "body before a line feed", "body in chunks", "exp-float"}, name)
}
