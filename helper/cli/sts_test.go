package cli

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// A fakeSTS gives keys for the access tokens that the script's issuer made, and
// for no others.
type fakeSTS struct {
	*httptest.Server
	world *world

	mu      sync.Mutex
	refuse  []string // status, code and message of what is answered instead
	asked   []url.Values
	secrets []string
}

func (s *fakeSTS) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := r.ParseForm(); err != nil || r.Method != http.MethodPost || r.URL.RawQuery != "" {
		http.Error(w, "not a POST of a form", http.StatusBadRequest)
		return
	}
	s.asked = append(s.asked, r.PostForm)
	refuse := s.refuse
	if refuse == nil && !slices.Contains(s.world.issuer.Secrets(), r.PostForm.Get("WebIdentityToken")) {
		refuse = []string{"400", "InvalidIdentityToken", "the issuer did not make it"}
	}
	w.Header().Set("Content-Type", "text/xml")
	if refuse != nil {
		status, _ := strconv.Atoi(refuse[0])
		w.Header().Set("Location", s.URL+"/elsewhere")
		w.WriteHeader(status)
		fmt.Fprintf(w, `<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Code>%s</Code><Message>%s</Message></Error></ErrorResponse>`, refuse[1], refuse[2])
		return
	}
	seconds, _ := strconv.Atoi(r.PostForm.Get("DurationSeconds"))
	n := len(s.asked)
	secret, session := fmt.Sprintf("the-secret-key-number-%d", n), fmt.Sprintf("the-session-token-number-%d", n)
	s.secrets = append(s.secrets, secret, session)
	ends := s.world.issuer.Clock.Now().Add(time.Duration(seconds) * time.Second).UTC().Format(time.RFC3339)
	fmt.Fprintf(w, `<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleWithWebIdentityResult><Credentials>`+
		`<AccessKeyId>AKID%d</AccessKeyId><SecretAccessKey>%s</SecretAccessKey><SessionToken>%s</SessionToken><Expiration>%s</Expiration>`+
		`</Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>`, n, secret, session, ends)
}

// cmdSTS starts an STS, whose address is $STS and host $STS_HOST, or tells it
// something: sts, sts refuse STATUS CODE MESSAGE, sts grant, sts stop, sts count N,
// sts asked NAME=VALUE…, sts claims NAME=VALUE….
func cmdSTS(ts *testscript.TestScript, _ bool, args []string) {
	w := here(ts)
	if len(args) == 0 {
		s := &fakeSTS{world: w}
		s.Server = httptest.NewServer(s)
		w.sts = s
		ts.Setenv("STS", s.URL)
		ts.Setenv("STS_HOST", strings.TrimPrefix(s.URL, "http://"))
		ts.Defer(func() {
			s.Close()
			if leaks := searchForSecrets(w.dir, s.secrets); len(leaks) > 0 {
				ts.Fatalf("keys are where they must not be: %q", leaks)
			}
		})
		return
	}
	s := w.sts
	s.mu.Lock()
	defer s.mu.Unlock()
	switch args[0] {
	case "refuse":
		s.refuse = args[1:]
	case "grant":
		s.refuse = nil
	case "stop":
		go s.Close()
	case "count":
		if got := strconv.Itoa(len(s.asked)); got != args[1] {
			ts.Fatalf("the STS was asked %s times, not %s", got, args[1])
		}
	case "claims": // of the token that it was asked with last
		for _, problem := range wrongClaims(s.asked[len(s.asked)-1].Get("WebIdentityToken"), args[1:]) {
			ts.Fatalf("the STS's token: %s", problem)
		}
	case "asked":
		last := s.asked[len(s.asked)-1]
		for _, want := range args[1:] {
			name, value, _ := strings.Cut(want, "=")
			if last.Get(name) != value {
				ts.Fatalf("the STS was asked with %s=%q, not %q", name, last.Get(name), value)
			}
		}
	default:
		ts.Fatalf("an STS cannot %q", args[0])
	}
}
