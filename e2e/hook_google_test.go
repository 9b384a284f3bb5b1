package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
)

// fakeGoogleSTS gives its own token for one of the issuer's, and remembers whose.
type fakeGoogleSTS struct {
	issuer string
	mu     sync.Mutex
	log    []string
}

func (f *fakeGoogleSTS) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	claims, err := verifyToken(f.issuer, r.PostFormValue("subject_token"))
	w.Header().Set("Content-Type", "application/json")
	if err != nil || r.PostFormValue("grant_type") != "urn:ietf:params:oauth:grant-type:token-exchange" {
		f.log = append(f.log, "refused")
		w.WriteHeader(http.StatusBadRequest)
		_ = json.NewEncoder(w).Encode(map[string]string{"error": "invalid_grant"})
		return
	}
	f.log = append(f.log, fmt.Sprintf("%s %s as %s", r.URL.Path, claims["preferred_username"], r.PostFormValue("subject_token_type")))
	_ = json.NewEncoder(w).Encode(map[string]any{
		"access_token": "the-sts-token", "issued_token_type": "urn:ietf:params:oauth:token-type:access_token", "token_type": "Bearer", "expires_in": 3600,
	})
}

func (f *fakeGoogleSTS) take() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	log := strings.Join(f.log, ", ")
	f.log = nil
	return log
}

const googleScript = `import os
import google.auth
from google.auth.transport.requests import Request
credentials, _ = google.auth.load_credentials_from_file(os.environ["GOOGLE_APPLICATION_CREDENTIALS"])
credentials = credentials.with_scopes(["https://www.googleapis.com/auth/cloud-platform"])
credentials.refresh(Request())
print("token:", credentials.token)
`

// TestHookGoogle: google-auth gets an STS's token for ours.
func TestHookGoogle(t *testing.T) {
	python := needTool(t, "google", "google/bin/python3")
	s := newToolStage(t, http.NotFoundHandler())
	sts := &fakeGoogleSTS{issuer: s.issuer.URL()}
	s.server.Config.Handler = sts
	s.version(python, "-c", "import google.auth; print('google-auth', google.auth.__version__)")
	config := s.doc("google", "sts.googleapis.com")[0]
	use := func(config string) {
		s.Set("GOOGLE_APPLICATION_CREDENTIALS="+s.write("google.json", config), "GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES=1", "REQUESTS_CA_BUNDLE="+s.server.caFile)
	}
	const jwt, idToken = "urn:ietf:params:oauth:token-type:jwt", "urn:ietf:params:oauth:token-type:id_token"
	for _, kind := range []string{jwt, idToken} {
		use(strings.Replace(config, jwt, kind, 1))
		s.wantTool(".", []string{"token: the-sts-token"}, python, "-c", googleScript)
		if got, want := sts.take(), "/v1/token alice as "+kind; got != want {
			t.Errorf("the STS had %q, not %q", got, want)
		}
	}
	if n := s.issuer.Refreshes(); n != 0 {
		t.Errorf("%d refreshes though the cached token was good", n)
	}

	// What would be on standard error does not break the answer.
	use(strings.Replace(config, "--profile gep", "--profile gep --min-valid 24h --verbose", 1))
	s.wantTool(".", []string{"token: the-sts-token"}, python, "-c", googleScript)
	sts.take()

	// An STS of nobody's, no words of its own for a type, and nothing stored.
	use(strings.Replace(config, "--url https://"+s.server.host, "--url https://sts.example.org", 1))
	s.wantToolFails(".", []string{"code: 403", "no profile is for that host"}, python, "-c", googleScript)
	use(strings.Replace(config, jwt, "urn:ietf:params:oauth:token-type:saml2", 1))
	s.wantToolFails(".", []string{"code: 400", "there is no token of the type"}, python, "-c", googleScript)
	s.Want(0, "erase")
	use(config)
	s.wantToolFails(".", []string{"code: 401", "nothing is stored for gep/default", "t2-cred exchange"}, python, "-c", googleScript)
	if got := sts.take(); got != "" {
		t.Errorf("the STS had %q", got)
	}
}
