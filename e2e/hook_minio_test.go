package e2e

import (
	"crypto/rand"
	"fmt"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/terradue/t2-cred/e2e/keycloak"
	"github.com/terradue/t2-cred/e2e/keyring"
	"github.com/terradue/t2-cred/e2e/ledger"
	"github.com/terradue/t2-cred/e2e/run"
)

// startMinIO starts a MinIO that trusts a realm, and returns where it is and what
// it says at its start. Between it and the clients is a proxy that tells the ledger
// the keys.
func startMinIO(t *testing.T, realm *keycloak.Realm, openid ...string) (endpoint string, said func() string) {
	t.Helper()
	bin := needTool(t, "minio", "bin/minio")
	dir, port := t.TempDir(), freePort(t)
	address := "127.0.0.1:" + port
	cmd := exec.Command(bin, "server", "--address", address, filepath.Join(dir, "data"))
	cmd.Dir = dir
	root := rand.Text()
	shared.ledger.Add(ledger.Other, root)
	cmd.Env = append([]string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "MINIO_BROWSER=off", "MINIO_UPDATE=off", "MINIO_ROOT_USER=root-of-the-test", "MINIO_ROOT_PASSWORD=" + root,
		"MINIO_IDENTITY_OPENID_CONFIG_URL=" + realm.Issuer() + "/.well-known/openid-configuration",
		"MINIO_IDENTITY_OPENID_CLIENT_ID=" + keycloak.ClientID, "MINIO_IDENTITY_OPENID_CLIENT_SECRET=" + realm.ClientSecret(),
	}, openid...)
	said = startServer(t, "http://"+address+"/minio/health/ready", cmd)
	target, err := url.Parse("http://" + address)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httptest.NewServer(&httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			r.Out.Host = r.In.Host // it is signed
		},
		ModifyResponse: tellKeys,
	})
	t.Cleanup(proxy.Close)
	return proxy.URL, said
}

// TestHookAWS_MinIO: an object is written to a MinIO, which trusts a real Keycloak,
// and read back, with keys that t2-cred obtained; the grant is in the OS keyring.
func TestHookAWS_MinIO(t *testing.T) {
	before := kernelKeys("keys,gep,") // other homes', of earlier runs
	realm := server(t).NewRealm(t, keycloak.Legacy)
	ring := keyring.Start(t)
	s := newAWSStage(t, program(t).NewHome(t).Set(ring.Bus()))
	version, _, _ := strings.Cut(s.want(nil, needTool(t, "minio", "bin/minio"), "--version"), "\n")
	t.Logf("%s", version)

	// With a role policy, and with one that a claim names: the user's name here.
	realm.AddUser("readwrite")
	byRole, said := startMinIO(t, realm, "MINIO_IDENTITY_OPENID_ROLE_POLICY=readwrite")
	arn := awaitRole(t, said)
	byClaim, _ := startMinIO(t, realm, "MINIO_IDENTITY_OPENID_CLAIM_NAME=preferred_username")

	s.Want(0, append(addProfile(t, realm), "--host", strings.TrimPrefix(byRole, "http://"), "--host", strings.TrimPrefix(byClaim, "http://"))...)
	for _, user := range []string{"alice", "readwrite"} {
		s.WantDo(0, run.Cmd{Args: []string{"exchange", "--account", user}, Stdin: realm.UserToken(user)})
		realm.Logout(user) // gone home
	}
	s.Set("AWS_PROFILE=eo")
	for _, c := range []struct{ name, endpoint, options string }{
		{"role", byRole, " --account alice --role-arn " + arn},
		{"claim", byClaim, " --account readwrite"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s.config(c.endpoint, c.options)
			s.want(nil, s.aws, "s3", "mb", "s3://results")
			calls := len(realm.Calls())
			s.writesAndReads()
			if err := os.Rename(filepath.Join(s.Dir, "result.txt"), filepath.Join(s.Dir, "result.tif")); err != nil {
				t.Fatal(err)
			}
			if out := s.want(nil, "bash", "-euc", snippets(t, "hooks/aws.md", "sh")[0]); !strings.Contains(out, "result.tif") {
				t.Errorf("what the documentation has listed: %q", out)
			}
			if n := len(realm.Calls()); n != calls {
				t.Errorf("%d requests to the issuer for keys that are kept", n-calls)
			}
			// The keys outlive the access token by far, as --duration asks.
			o := readJSON(t, s.WantDo(0, run.Cmd{Args: append([]string{"aws", "--endpoint", c.endpoint}, strings.Fields(c.options)...), Product: true}).Stdout)
			wantLife(t, o, 3600)
		})
	}

	// What MinIO says when it refuses, and where t2-cred says to look.
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"no such role":       {[]string{"--account", "alice", "--endpoint", byRole, "--role-arn", "arn:minio:iam:::role/none"}, "InvalidParameterValue"},
		"a role is needed":   {[]string{"--account", "alice", "--endpoint", byRole}, "InvalidParameterValue"},
		"no policy of alice": {[]string{"--account", "alice", "--endpoint", byClaim}, "None of the given policies (`alice`) are defined"},
	} {
		t.Run(name, func(t *testing.T) {
			wantFailure(t, s.Run(append([]string{"aws"}, c.args...)...), 8, c.want, "--role-arn")
		})
	}

	// Erasing takes the keys along, wherever they were kept.
	for _, user := range []string{"alice", "readwrite"} {
		s.Want(0, "erase", "--account", user)
	}
	for _, item := range ring.Items() {
		if strings.Contains(fmt.Sprint(item.Label, item.Attributes), "keys,") {
			t.Errorf("left in the keyring: %s", item.Label)
		}
	}
	// The kernel takes unlinked keys off its list a moment later.
	left := func() []string {
		return slices.DeleteFunc(kernelKeys("keys,gep,"), func(key string) bool { return slices.Contains(before, key) })
	}
	for end := time.Now().Add(5 * time.Second); len(left()) > 0 && time.Now().Before(end); {
		time.Sleep(50 * time.Millisecond)
	}
	if keys := left(); len(keys) > 0 {
		t.Errorf("left in the kernel: %s", keys)
	}
	wantFailure(t, s.Run("aws", "--account", "alice", "--endpoint", byRole, "--role-arn", arn), 4, "nothing is stored", "t2-cred exchange")
}

// kernelKeys are the names of this user's keys in the kernel that hold part.
func kernelKeys(part string) (names []string) {
	kernel, _ := os.ReadFile("/proc/keys") // where there is none, there are no keys
	for line := range strings.Lines(string(kernel)) {
		if at := strings.Index(line, "t2-cred:"); at >= 0 && strings.Contains(line, part) {
			name, _, _ := strings.Cut(line[at:], ": ")
			names = append(names, name)
		}
	}
	return names
}

// awaitRole is the role that MinIO names when it has read the issuer's discovery.
func awaitRole(t *testing.T, said func() string) string {
	t.Helper()
	role := regexp.MustCompile(`arn:minio:iam:::role/[\w-]+`)
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		if arn := role.FindString(said()); arn != "" {
			return arn
		}
	}
	t.Fatalf("MinIO names no role:\n%s", said())
	return ""
}

// wantLife wants keys that live for about so many seconds from now.
func wantLife(t *testing.T, keys object, seconds float64) {
	t.Helper()
	text, _ := keys["Expiration"].(string)
	ends, err := time.Parse(time.RFC3339, text)
	if left := time.Until(ends).Seconds(); err != nil || left < seconds-120 || left > seconds+5 {
		t.Errorf("the keys end at %q, in %.0f s, not in %.0f", text, left, seconds)
	}
}
