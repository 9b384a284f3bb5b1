package cli

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/terradue/t2-cred/helper/oidc/oidctest"
)

// grantedHome is a home with a grant of alice at an issuer that rotates, and a watch on
// what is spent there.
func grantedHome(t *testing.T, opts ...oidctest.Option) (*home, *oidctest.Spendings) {
	t.Helper()
	h := newHome(t)
	h.issuer.Set(append(opts, oidctest.Refresh(oidctest.Revoke))...)
	if code := h.run("exchange", "--token-file", h.userToken("alice")); code != exitOK {
		t.Fatalf("a good exchange ends with %d: %s", code, h.stderr.String())
	}
	spent, _ := h.issuer.Watch()
	return h, spent
}

// hmac makes the issuer sign access tokens as a client's setting of HS512 does.
func hmac() oidctest.Fault {
	return oidctest.Mutate("access_token", "HS512", "the client's algorithm is HS512 for a minute", func(d *oidctest.Draft) { d.Header["alg"] = "HS512" })
}

// TestRefresh_saysThatTheGrantIsKept: an access token is refused, and the message says
// that the refresh token beside it is stored. The next `get` works.
func TestRefresh_saysThatTheGrantIsKept(t *testing.T) {
	faults := []oidctest.Fault{hmac(), oidctest.FaultNamed("iss-other"), oidctest.FaultNamed("exp-missing"), oidctest.FaultNamed("exp-string")}
	for _, f := range oidctest.Odd() {
		if slices.Contains([]string{"field access_token missing", "field access_token empty", "claim iss text", "claim aud number"}, f.Name) {
			faults = append(faults, f)
		}
	}
	if len(faults) != 8 {
		t.Fatalf("%d faults", len(faults))
	}
	for _, f := range faults {
		t.Run(f.Name, func(t *testing.T) {
			h, spent := grantedHome(t)
			remove := h.issuer.Inject(f)
			code := h.run("get", "--fresh")
			if said := h.stderr.String(); code != exitVerify || !strings.Contains(said, "(the grant is kept: its refresh token is stored)") {
				t.Errorf("ends with %d: %s", code, said)
			}
			remove()
			if code := h.run("get", "--fresh"); code != exitOK || len(spent.Twice()) > 0 {
				t.Errorf("then: %d, %d tokens were sent twice: %s", code, len(spent.Twice()), h.stderr.String())
			}
			h.check()
		})
	}
}

// TestRefresh_saysWhatMayBeSpent: whatever cuts off the answer, the message says that
// the token may have been spent. The refusal that follows is explained by it.
func TestRefresh_saysWhatMayBeSpent(t *testing.T) {
	for _, name := range []string{"cut-after", "reset-after", "status-500-after", "hang-after"} {
		for _, introspects := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, introspects %t", name, introspects), func(t *testing.T) {
				how := oidctest.Introspects(oidctest.Introspection26)
				if !introspects {
					how = oidctest.Introspects(oidctest.IntrospectionRefused)
				}
				h, spent := grantedHome(t, how)
				f := oidctest.FaultNamed(name)
				h.shorten(f)
				remove := h.issuer.Inject(f, oidctest.OnGrant("refresh_token"))
				code := h.run("get", "--fresh")
				said := h.stderr.String()
				if code != exitUnreachable || !strings.Contains(said, "the refresh token may have been spent: ") || strings.Contains(said, "othing stored") {
					t.Errorf("ends with %d: %s", code, said)
				}
				remove()
				h.shorten(oidctest.Fault{})
				h.advance(time.Minute)
				code = h.run("get", "--fresh")
				said = h.stderr.String()
				if code != exitLogin || !strings.Contains(said, "got no answer, and the issuer may have replaced the token") || strings.Contains(said, "theft") {
					t.Errorf("then: %d: %s", code, said)
				}
				if want := map[bool]int{true: 1, false: 2}[introspects]; len(spent.All()) != want {
					t.Errorf("%d refresh tokens were sent, want %d", len(spent.All()), want)
				}
			})
		}
	}
}

// TestRefresh_overloadEndsNothing: invalid_grant from a server that is overloaded, and a
// refusal without an OAuth error code, do not mark the grant as ended.
func TestRefresh_overloadEndsNothing(t *testing.T) {
	for _, f := range []oidctest.Fault{
		oidctest.Refuse(503, "invalid_grant", "Session not active"), oidctest.Refuse(429, "invalid_grant", "Session not active"),
		oidctest.FaultNamed("status-404"), oidctest.FaultNamed("status-403"), oidctest.FaultNamed("status-503"),
	} {
		h, _ := grantedHome(t)
		remove := h.issuer.Inject(f, oidctest.OnGrant("refresh_token"))
		if code := h.run("get", "--fresh"); code != exitUnreachable {
			t.Errorf("%s: %d: %s", f.About, code, h.stderr.String())
		}
		remove()
		if code := h.run("get"); code != exitOK {
			t.Errorf("%s, then: %d: %s", f.About, code, h.stderr.String())
		}
	}
}

// TestRefresh_wordsWithASecretAreNotStored: the issuer repeats the refresh token in its
// refusal, in a form that is taken out, and nothing of its words is kept.
func TestRefresh_wordsWithASecretAreNotStored(t *testing.T) {
	h, spent := grantedHome(t)
	h.issuer.Inject(oidctest.Fault{
		Name: "echo", Endpoint: oidctest.Token, Grant: "refresh_token", About: "repeats the refresh token",
		Before: func(c *oidctest.Call) *oidctest.Answer {
			a := oidctest.Answer{Status: 400, Body: fmt.Appendf(nil, `{"error":"invalid_grant","error_description":"Stale-words %s"}`, strings.ToUpper(c.Form.Get("refresh_token")))}
			return &a
		},
	})
	if code := h.run("get", "--fresh"); code != exitLogin {
		t.Fatalf("ends with %d: %s", code, h.stderr.String())
	}
	if code := h.run("status", "--json"); code != exitOK || !strings.Contains(h.stdout.String(), `"refused": "HTTP 400, in words that repeated a secret"`) {
		t.Errorf("status: %s", h.stdout.String())
	}
	for _, text := range append(h.files("XDG_STATE_HOME"), h.said.String()) {
		for _, s := range spent.All() {
			if strings.Contains(strings.ToLower(text), strings.ToLower(s.Token[len(s.Token)-24:])) {
				t.Errorf("a part of the refresh token is in %.200q", text)
			}
		}
	}
	for _, text := range h.files("XDG_STATE_HOME") {
		if strings.Contains(text, "Stale-words") {
			t.Errorf("the words are stored: %s", text)
		}
	}
}

// files are the contents of all files below a directory.
func (h *home) files(name string) (all []string) {
	h.t.Helper()
	err := filepath.WalkDir(h.env[name], func(path string, e os.DirEntry, err error) error {
		if err == nil && e.Type().IsRegular() {
			var b []byte
			b, err = os.ReadFile(path)
			all = append(all, string(b))
		}
		return err
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return all
}

// TestTime_ofTheFuture: a token that was got while the clock was a day ahead is not
// served when it is right again, and its refresh counts as none.
func TestTime_ofTheFuture(t *testing.T) {
	for _, life := range []time.Duration{5 * time.Minute, 48 * time.Hour} {
		h := newHome(t)
		h.issuer.Set(oidctest.AccessTokens(oidctest.Opaque), oidctest.Lifespan(life))
		h.issuer.Inject(oidctest.Fault{ // with an ID token the clock would be seen to be wrong
			Name: "no ID token", Endpoint: oidctest.Token, About: "no ID token", Edit: func(_ *oidctest.Call, object map[string]any) { delete(object, "id_token") },
		})
		if code := h.run("exchange", "--token-file", h.userToken("alice")); code != exitOK {
			t.Fatal(h.stderr.String())
		}
		h.ahead = 24 * time.Hour
		code := h.run("get", "--fresh")
		token := h.stdout.String()
		h.ahead = 0
		before := h.issuer.Count("refresh_token")
		if again := h.run("get"); code != exitOK || again != exitOK || h.issuer.Count("refresh_token") != before+1 || h.stdout.String() == token {
			t.Errorf("with the clock ahead %d, then %d, %d refreshes: %s", code, again, h.issuer.Count("refresh_token")-before, h.stderr.String())
		}
	}
}

// TestTime_aMarkOfTheFuture: a grant was marked as ended while the clock was a week
// ahead. get --fresh asks about it.
func TestTime_aMarkOfTheFuture(t *testing.T) {
	h, _ := grantedHome(t)
	h.issuer.Disable("alice")
	h.ahead = 7 * 24 * time.Hour
	if code := h.run("get", "--fresh"); code != exitLogin {
		t.Fatalf("%d: %s", code, h.stderr.String())
	}
	h.ahead = 0
	h.issuer.Enable("alice")
	if code := h.run("get", "--fresh"); code != exitOK {
		t.Errorf("%d: %s", code, h.stderr.String())
	}
}

// TestTime_theEarlierEnd: expires_in of an hour does not prolong an exp that is over.
func TestTime_theEarlierEnd(t *testing.T) {
	h, _ := grantedHome(t)
	remove := h.issuer.Inject(oidctest.Fault{
		Name: "exp just over", Endpoint: oidctest.Token, Grant: "refresh_token", About: "exp 30 s ago beside expires_in 3600",
		Edit: func(_ *oidctest.Call, object map[string]any) { object["expires_in"] = 3600 },
	})
	removeExp := h.issuer.Inject(oidctest.Mutate("access_token", "exp", "30 s ago", func(d *oidctest.Draft) {
		d.Claims["exp"] = time.Now().Add(-30 * time.Second).Unix()
	}))
	if code := h.run("get", "--fresh"); code != exitVerify || !strings.Contains(h.stderr.String(), "expired") {
		t.Errorf("%d: %s", code, h.stderr.String())
	}
	remove()
	removeExp()
	before := h.issuer.Count("refresh_token")
	if code := h.run("get"); code != exitOK || h.issuer.Count("refresh_token") != before+1 {
		t.Errorf("then %d, %d refreshes: %s", code, h.issuer.Count("refresh_token")-before, h.stderr.String())
	}
}

// TestWait_aValidTokenComesAtOnce: 429 with Retry-After is not waited for while there is
// a token that is valid, though not for as long as was asked.
func TestWait_aValidTokenComesAtOnce(t *testing.T) {
	h, _ := grantedHome(t)
	h.advance(4*time.Minute + 50*time.Second)
	h.issuer.Inject(oidctest.Fault{
		Name: "slow down", Endpoint: oidctest.Token, About: "429, Retry-After 10",
		Before: func(*oidctest.Call) *oidctest.Answer {
			return &oidctest.Answer{Status: 429, Header: map[string][]string{"Retry-After": {"10"}}}
		},
	})
	began := time.Now()
	if code := h.run("get", "--min-valid", "60s"); code != exitOK || time.Since(began) > 5*time.Second || !strings.Contains(h.stderr.String(), "this one is valid for") {
		t.Errorf("%d after %s: %s", code, time.Since(began), h.stderr.String())
	}
}

// TestClientAuth_isInTheRecord: without the cache of what was learnt, a refresh does not
// ask anew how the issuer takes the client's secret.
func TestClientAuth_isInTheRecord(t *testing.T) {
	h := newHome(t)
	h.issuer.Set(oidctest.Refresh(oidctest.Revoke), oidctest.RequireAuth("client_secret_post"))
	if code := h.run("exchange", "--token-file", h.userToken("alice")); code != exitOK {
		t.Fatal(h.stderr.String())
	}
	for range 2 {
		h.forgetDocuments()
		before := h.issuer.Count("refresh_token")
		if code := h.run("get", "--fresh"); code != exitOK || h.issuer.Count("refresh_token") != before+1 {
			t.Errorf("%d, sent %d times: %s", code, h.issuer.Count("refresh_token")-before, h.stderr.String())
		}
	}
}

// TestRefresh_theLargestToken: the largest refresh token that is taken from an answer has
// room in a record. One that is larger is none.
func TestRefresh_theLargestToken(t *testing.T) {
	for size, taken := range map[int]bool{64 << 10: true, 64<<10 + 1: false} {
		h, _ := grantedHome(t)
		large := strings.Repeat("Rt4-", size/4) + strings.Repeat("x", size%4)
		h.issuer.Inject(oidctest.Fault{
			Name: "large", Endpoint: oidctest.Token, Grant: "refresh_token", About: "a large refresh token",
			Edit: func(_ *oidctest.Call, object map[string]any) { object["refresh_token"] = large },
		}, oidctest.First(1))
		code := h.run("get", "--fresh")
		if taken != (code == exitOK) || strings.Contains(h.stderr.String(), "could not be stored") {
			t.Errorf("%d bytes: exit %d: %s", size, code, h.stderr.String())
		}
		if left, _ := filepath.Glob(filepath.Join(h.env["XDG_DATA_HOME"], "t2-cred", "*", "copies", "*")); taken && len(left) > 0 {
			t.Errorf("%d bytes: copies are left: %q", size, left)
		}
		for _, kind := range []string{"STATE", "DATA", "CACHE"} {
			for _, text := range h.files("XDG_" + kind + "_HOME") {
				if strings.Contains(text, large[:64]) {
					t.Errorf("%d bytes: the refresh token lies in clear", size)
				}
			}
		}
	}
}

// TestErase_revokedAndNotDeleted: the store cannot delete what the issuer has revoked. The
// message tells both, and the next erase finishes it.
func TestErase_revokedAndNotDeleted(t *testing.T) {
	for _, args := range [][]string{{"erase"}, {"erase", "--all", "--yes"}} {
		h, _ := grantedHome(t)
		inTheWay := ""
		for grant := range h.stored() {
			inTheWay = filepath.Join(filepath.Dir(grant), "keys,gep,default.age")
		}
		if err := os.MkdirAll(filepath.Join(inTheWay, "full"), 0o700); err != nil {
			t.Fatal(err)
		}
		code := h.run(args...)
		said := h.stderr.String()
		if code != exitStore || !strings.Contains(said, "revoked at the issuer, but not deleted here: ") || h.issuer.Grants("alice") != 0 {
			t.Errorf("%q: %d, %d grants live: %s", args, code, h.issuer.Grants("alice"), said)
		}
		if err := os.RemoveAll(inTheWay); err != nil {
			t.Fatal(err)
		}
		if code := h.run(args...); code != exitOK || len(h.stored()) != 0 {
			t.Errorf("%q, then: %d: %s", args, code, h.stderr.String())
		}
		h.check()
	}
}

// TestExchange_withoutAnswer: the request left and no answer came, so the issuer may have made
// a grant. Where nothing was served, nothing of the kind is said.
func TestExchange_withoutAnswer(t *testing.T) {
	h := newHome(t)
	for name, may := range map[string]bool{"cut-after": true, "reset-after": true, "hang-after": true, "cut-before": true, "status-503": false} {
		f := oidctest.FaultNamed(name)
		h.shorten(f)
		if name == "hang-after" {
			h.timeout = time.Second
		}
		remove := h.issuer.Inject(f)
		code := h.run("exchange", "--token-file", h.userToken("alice"))
		remove()
		h.timeout = longTimeout
		if said := h.stderr.String(); code != exitUnreachable || strings.Contains(said, "the issuer may have made a grant, which then lives on there") != may {
			t.Errorf("%s: %d: %s", name, code, said)
		}
	}
}
