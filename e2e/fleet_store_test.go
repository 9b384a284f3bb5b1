package e2e

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/terradue/t2-cred/e2e/keycloak"
	"github.com/terradue/t2-cred/e2e/lab"
	"github.com/terradue/t2-cred/e2e/openbao"
	"github.com/terradue/t2-cred/e2e/run"
	"github.com/terradue/t2-cred/store/backend"
	"github.com/terradue/t2-cred/store/backend/backendtest"
	backendbao "github.com/terradue/t2-cred/store/openbao"
)

// TestFleetConformance runs the suite of package backend over a real cluster, whose
// standbys answer reads, and are asked first.
func TestFleetConformance(t *testing.T) {
	c := openbao.Start(t, openbao.Options{Quick: true, Ledger: shared.ledger})
	c.Store()
	leader := c.Leader()
	addresses := slices.DeleteFunc(c.Addresses(), func(a string) bool { return a == leader.URL })
	for name, list := range map[string][]string{
		"all, standbys first": append(slices.Clone(addresses), leader.URL),
		"standbys alone":      addresses,
		"the leader alone":    {leader.URL},
	} {
		t.Run(name, func(t *testing.T) {
			n := 0
			backendtest.Run(t, func(t *testing.T) backend.Backend {
				n++
				prefix := fmt.Sprintf("conformance/%s/%d", strings.ReplaceAll(strings.ReplaceAll(name, ",", ""), " ", "-"), n)
				policy := strings.ReplaceAll(prefix, "/", "-")
				c.SetPolicy(policy, openbao.Policy(prefix))
				token := secretFile(t, c.Token(policy, "10m"))
				b, err := backendbao.Open(backendbao.Config{
					Address: list, CAFile: c.CAFile(), Mount: openbao.Mount, Prefix: prefix, Auth: "token_file", TokenFile: token,
				}, backend.Options{Getenv: func(string) string { return "" }, Warn: func(m string) { t.Log(m) }, Now: time.Now})
				if err != nil {
					t.Fatal(err)
				}
				return b
			})
		})
	}
}

// TestFleetKeycloak: the whole of it with Keycloak, where each refresh token serves once.
// The machines prove themselves by JWTs of Keycloak.
func TestFleetKeycloak(t *testing.T) {
	realm := server(t).NewRealm(t, keycloak.Rotation)
	realm.ConfigureClient(keycloak.ClientID, map[string]any{"serviceAccountsEnabled": true})
	f := newFleet(t, openbao.Options{Quick: true})
	f.bao.Relay(realm.Issuer())
	f.bao.SetPolicy("keycloak", openbao.Policy("keycloak"))
	machine := realm.PostAsClient(map[string][]string{"grant_type": {"client_credentials"}}).AccessToken
	claims := keycloak.Claims(machine)
	subject, _ := claims["sub"].(string)
	audience, _ := claims["aud"].(string)
	if all, ok := claims["aud"].([]any); ok {
		audience, _ = all[0].(string)
	}
	f.bao.JWT("node", "keycloak", realm.Issuer(), realm.Issuer()+"/protocol/openid-connect/certs", subject, audience)
	relays := make([]*lab.Relay, 0, len(f.machines))
	for _, m := range f.machines {
		relays = append(relays, m.Relay(realm.Issuer()))
		file := filepath.Join(f.dir, m.Name+"-jwt", "token")
		f.plant(m, file, machine)
		f.put(m, ".config/t2-cred/config.toml", f.config("keycloak", `auth = "jwt"`, `role = "node"`, fmt.Sprintf("jwt_file = %q", file)))
	}
	f.addProfile(realm.Issuer(), realm.ClientSecret())
	one, two, three := f.machines[0], f.machines[1], f.machines[2]

	one.WantDo(0, run.Cmd{Args: []string{"exchange"}, Stdin: realm.UserToken("alice")})
	first := two.Want(0, "get").Token()
	if sub := keycloak.Claims(first)["sub"]; sub != realm.UserID("alice") {
		t.Errorf("the token is not alice's: sub %v", sub)
	}
	refreshes := realm.RefreshCount()
	seen := map[string]bool{first: true}
	for range 3 {
		for _, m := range f.machines {
			seen[m.Want(0, "get", "--fresh").Token()] = true
		}
	}
	if n := realm.RefreshCount() - refreshes; n != 9 || len(seen) != 10 {
		t.Errorf("9 forced refreshes by turns are %d, with %d tokens", n, len(seen))
	}
	readJSON(t, three.Want(0, "status", "--json").Stdout).want(t, object{"state": "ok", "kind": "offline", "username": "alice"})

	// All at once, and the token has expired. No machine has another one of this account.
	realm.SetAccessTokenLifespan(shortLife)
	one.WantDo(0, run.Cmd{Args: []string{"exchange", "--account", "crowd"}, Stdin: realm.UserToken("bob")})
	realm.SetAccessTokenLifespan(5 * time.Minute)
	two.Want(0, "claims")
	time.Sleep(shortLife)
	refreshes = realm.RefreshCount()
	tokens := map[string]int{}
	for _, r := range f.crowd("crowd", 10, func() {}) {
		if r.Code != 0 {
			t.Errorf("one of the crowd: %s", r)
		}
		tokens[r.Token()]++
	}
	if n := realm.RefreshCount() - refreshes; n != 1 || len(tokens) != 1 {
		t.Errorf("the crowd caused %d refreshes and got %d tokens", n, len(tokens))
	}
	two.Want(0, "erase")
	for _, m := range f.machines {
		m.Want(4, "get", "--fresh")
	}
	if n := realm.RefreshErrors(); n > 0 {
		t.Errorf("Keycloak refused %d refreshes", n)
	}
	for i, r := range relays {
		t.Logf("machine %d asked Keycloak %d times", i+1, r.Count())
	}
}

// TestFleetMove moves accounts from a file store into the engine and back, and all serve.
func TestFleetMove(t *testing.T) {
	f := newFleet(t, openbao.Options{Quick: true})
	f.configure("move", "10m")
	f.newIssuer()
	one, two := f.machines[0], f.machines[1]
	one.Want(0, "store", "init", "--store", "file")
	user := f.issuer.UserToken("alice")
	one.WantDo(0, run.Cmd{Args: []string{"profile", "set-secret", "gep", "--client-secret-file", "-", "--store", "file"}, Stdin: f.issuer.ClientSecret()})
	accounts := []string{"a", "b", "c", "d"}
	for _, a := range accounts {
		one.WantDo(0, run.Cmd{Args: []string{"exchange", "--store", "file", "--account", a}, Stdin: user})
	}
	serve := func(m *machine, store string) {
		t.Helper()
		for _, a := range accounts {
			m.Want(0, "get", "--fresh", "--account", a, "--store", store)
		}
	}
	twice := func(what string) {
		t.Helper()
		if twice := f.spent.Twice(); len(twice) != 0 {
			t.Errorf("%s: %d refresh tokens were sent twice: %s", what, len(twice), tell(f.spent.All()))
		}
	}
	f.spent.Forget() // of the proofs that the client is known
	serve(one, "file")
	one.Want(0, "store", "move", "--store", "file", "--to", "openbao")
	twice("moved")
	serve(two, "openbao")
	serve(one, "openbao")
	twice("served by the engine")
	wantFailure(t, one.Run("get", "--account", "a", "--store", "file"), 5, "account gep/a is in the openbao store", "t2-cred store move --to openbao")
	one.Want(0, "store", "move", "--store", "openbao", "--to", "file")
	serve(one, "file")
	if r := two.Run("get", "--account", "a", "--fresh"); r.Code != 4 {
		t.Errorf("what was moved is still in the engine: %s", r)
	}
	twice("moved back")
}

// TestFleetCost measures refreshes through the engine beside those of the file store. The
// budget is twice the file store's time.
func TestFleetCost(t *testing.T) {
	f := newFleet(t, openbao.Options{Quick: true})
	f.configure("cost", "1h")
	f.newIssuer()
	one := f.machines[0]
	user := f.issuer.UserToken("alice")
	one.WantDo(0, run.Cmd{Args: []string{"exchange"}, Stdin: user})
	one.Want(0, "store", "init", "--store", "file")
	one.WantDo(0, run.Cmd{Args: []string{"profile", "set-secret", "gep", "--client-secret-file", "-", "--store", "file"}, Stdin: f.issuer.ClientSecret()})
	one.WantDo(0, run.Cmd{Args: []string{"exchange", "--store", "file"}, Stdin: user})
	took := map[string][]time.Duration{}
	for range 25 {
		for _, store := range []string{"file", "openbao"} {
			took[store] = append(took[store], one.Want(0, "get", "--fresh", "--store", store).Took)
			took["cached, "+store] = append(took["cached, "+store], one.Want(0, "get", "--store", store).Took)
		}
	}
	median := func(name string) time.Duration {
		slices.Sort(took[name])
		return took[name][len(took[name])/2]
	}
	file, engine := median("file"), median("openbao")
	t.Logf("a refresh: file store %s, openbao %s: %.2f times", file.Round(100*time.Microsecond), engine.Round(100*time.Microsecond), float64(engine)/float64(file))
	file, cached := median("cached, file"), median("cached, openbao")
	t.Logf("a cached get: file store %s, openbao %s: %.2f times", file.Round(100*time.Microsecond), cached.Round(100*time.Microsecond), float64(cached)/float64(file))
	if engine > 10*median("file") {
		t.Errorf("a refresh through the engine takes %s", engine)
	}
}
