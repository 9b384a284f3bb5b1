package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/terradue/t2-cred/e2e/keycloak"
	"github.com/terradue/t2-cred/e2e/parts"
	"github.com/terradue/t2-cred/e2e/run"
)

// adesLifespan is how long an access token lives there: less than each job takes.
const adesLifespan = 25 * time.Second

// pygeoapi is an OGC API Processes server as docs/recipes/ades.md has it, on the file
// store, whose jobs send their results to a server that wants the user's token.
type pygeoapi struct {
	*pythonStage
	url  string
	said func() string
}

// newPygeoapi starts one, with MinIO as a second store if an endpoint is given.
func newPygeoapi(t *testing.T, realm *keycloak.Realm, minio, role string) *pygeoapi {
	t.Helper()
	s := &pygeoapi{pythonStage: newPythonStage(t, realm, "venv-ades")}
	s.Want(0, "erase")
	contrib := filepath.Join(contribDir(t), "ades", "pygeoapi")
	port := freePort(t)
	s.url = "http://127.0.0.1:" + port
	config := readFile(t, filepath.Join(contrib, "pygeoapi.yml"))
	config = strings.NewReplacer("http://127.0.0.1:5000", s.url, "port: 5000", "port: "+port, "/var/lib/ades", s.Dir,
		"https://results.example.org", "https://"+s.server.host).Replace(config)
	if minio != "" {
		config += fmt.Sprintf("      s3: {endpoint: %q, bucket: results, role_arn: %q}\n", minio, role)
		s.Want(0, "profile", "edit", "gep", "--host", strings.TrimPrefix(minio, "http://"), "--host", s.server.host)
	}
	if err := os.WriteFile(filepath.Join(s.Dir, "pygeoapi.yml"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(s.Dir, "results"), 0o700); err != nil {
		t.Fatal(err)
	}
	s.Set("PYGEOAPI_CONFIG="+filepath.Join(s.Dir, "pygeoapi.yml"), "PYGEOAPI_OPENAPI="+filepath.Join(s.Dir, "openapi.yml"),
		"PYTHONPATH="+contrib, "AWS_EC2_METADATA_DISABLED=true")
	s.wantPython(2*time.Minute, "-c", "import pygeoapi; pygeoapi.cli()", "openapi", "generate", filepath.Join(s.Dir, "pygeoapi.yml"), "--output-file", filepath.Join(s.Dir, "openapi.yml"))
	cmd := exec.Command(filepath.Join(s.bin, "python3"), "-c", "from pygeoapi.flask_app import APP; APP.run('127.0.0.1', "+port+", threaded=True)")
	cmd.Dir, cmd.Env = s.Dir, s.Env()
	s.said = startServer(t, s.url+"/conformance", cmd)
	realm.SetAccessTokenLifespan(adesLifespan)
	t.Cleanup(func() { shared.ledger.Output("pygeoapi", s.said(), false) })
	return s
}

func contribDir(t *testing.T) string {
	t.Helper()
	top, err := parts.Checkout()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(top, "contrib")
}

// ask sends a request, and tells the ledger the answer.
func (s *pygeoapi) ask(method, path, token, body string, headers ...string) (code int, answer object, location string) {
	s.t.Helper()
	req, err := http.NewRequest(method, s.url+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatalf("%v\n%s", err, s.said())
	}
	defer func() { _ = res.Body.Close() }()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	shared.ledger.Output("pygeoapi "+method+" "+path, string(b), false)
	_ = json.Unmarshal(b, &answer)
	return res.StatusCode, answer, res.Header.Get("Location")
}

// start sends a job that runs for a while beside the request, and gives its id.
func (s *pygeoapi) start(token string, seconds int) (job string) {
	s.t.Helper()
	body := fmt.Sprintf(`{"inputs": {"seconds": %d, "name": "alice"}}`, seconds)
	code, answer, location := s.ask(http.MethodPost, "/processes/count/execution", token, body, "Prefer", "respond-async")
	if code != http.StatusCreated {
		s.t.Fatalf("the job is not accepted: %d %v\n%s", code, answer, s.said())
	}
	return location[strings.LastIndex(location, "/")+1:]
}

// await waits until a job has a status.
func (s *pygeoapi) await(job, status string) {
	s.t.Helper()
	last := ""
	for end := time.Now().Add(2 * time.Minute); time.Now().Before(end); time.Sleep(200 * time.Millisecond) {
		_, answer, _ := s.ask(http.MethodGet, "/jobs/"+job+"?f=json", "", "")
		if last, _ = answer["status"].(string); last == status {
			return
		}
		if last == "failed" || last == "successful" {
			break
		}
	}
	s.t.Fatalf("job %s is %s, want %s\n%s", job, last, status, s.said())
}

// accounts are those that t2-cred keeps.
func (s *pygeoapi) accounts() (names []string) {
	s.t.Helper()
	var list []object
	if err := json.Unmarshal([]byte(s.Want(0, "list", "--json").Stdout), &list); err != nil {
		s.t.Fatal(err)
	}
	for _, o := range list {
		names = append(names, fmt.Sprint(o["account"]))
	}
	return names
}

// awaitAccounts waits until so many accounts are kept: a job's end is seen before its account's.
func (s *pygeoapi) awaitAccounts(n int) {
	s.t.Helper()
	var names []string
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(200 * time.Millisecond) {
		if names = s.accounts(); len(names) == n {
			return
		}
	}
	s.t.Fatalf("accounts %q, want %d\n%s", names, n, s.said())
}

func (s *pygeoapi) wantStored(job string) {
	s.t.Helper()
	if content, ok := s.server.file("/files/" + job + ".txt"); !ok || !strings.HasPrefix(content, "counted to ") {
		s.t.Errorf("the store has %q of job %s\n%s", content, job, s.said())
	}
}

// TestPygeoapi: jobs outlive the login and every token that was there when they were
// accepted. Each refresh token is good for one use.
func TestPygeoapi(t *testing.T) {
	s := newPygeoapi(t, server(t).NewRealm(t, keycloak.Rotation), "", "")

	// Not accepted: no token, and one that is none.
	for _, token := range []string{"", "x7Qk9wZr2mVt8bNc4LpY3sHd6Jf"} {
		code, answer, _ := s.ask(http.MethodPost, "/processes/count/execution", token, `{"inputs": {}}`, "Prefer", "respond-async")
		if code != http.StatusUnauthorized {
			t.Errorf("with token %q: %d %v", token, code, answer)
		}
	}
	if names := s.accounts(); len(names) > 0 {
		t.Errorf("left behind: %q", names)
	}
	if _, answer, _ := s.ask(http.MethodGet, "/jobs?f=json", "", ""); fmt.Sprint(answer["jobs"]) != "[]" {
		t.Errorf("jobs are left: %v", answer["jobs"])
	}

	// Three jobs of one login, which the user ends; one is dismissed.
	seconds, user := int(adesLifespan/time.Second)+4, s.realm.UserToken("alice")
	short, long, dismissed := s.start(user, seconds), s.start(user, seconds+6), s.start(user, 600)
	s.awaitAccounts(3)
	s.realm.Logout("alice")
	if code, answer, _ := s.ask(http.MethodDelete, "/jobs/"+dismissed, "", ""); code != http.StatusOK {
		t.Errorf("dismiss: %d %v", code, answer)
	}
	s.awaitAccounts(2)
	s.await(short, "successful")
	s.wantStored(short)
	s.awaitAccounts(1)
	if code, _, _ := s.ask(http.MethodPost, "/processes/count/execution", user, `{"inputs": {}}`); code != http.StatusUnauthorized {
		t.Errorf("the user's token still serves: this shows nothing (%d)", code)
	}
	s.await(long, "successful") // though two grants of its login have ended
	s.wantStored(long)
	s.awaitAccounts(0)
	if _, ok := s.server.file("/files/" + dismissed + ".txt"); ok {
		t.Error("the dismissed job stored something")
	}
	if n := len(s.realm.Events("REVOKE_GRANT")); n == 0 {
		t.Error("nothing was revoked at the issuer")
	}
	if n := s.realm.RefreshErrors(); n > 0 {
		t.Errorf("the server refused %d refreshes", n)
	}
	if n := len(s.server.take()); n != 2 {
		t.Errorf("the store was asked %d times, want 2", n)
	}

	// While the client waits it is the same.
	user = s.realm.UserToken("alice")
	code, answer, _ := s.ask(http.MethodPost, "/processes/count/execution", user, `{"inputs": {"seconds": 1}}`)
	name, _ := answer["value"].(string)
	if code != http.StatusOK || !strings.HasSuffix(name, ".txt") {
		t.Fatalf("the job failed: %d %v\n%s", code, answer, s.said())
	}
	s.wantStored(strings.TrimSuffix(name, ".txt"))
	s.awaitAccounts(0)
	wantNoTokenIn(t, filepath.Join(s.Dir, "jobs.db"), user)
}

func wantNoTokenIn(t *testing.T, path, token string) {
	t.Helper()
	if strings.Contains(readFile(t, path), token) {
		t.Errorf("%s has the user's token", path)
	}
}

// TestPygeoapi_MinIO: the result goes to a MinIO too, by keys of its STS.
func TestPygeoapi_MinIO(t *testing.T) {
	realm := server(t).NewRealm(t, keycloak.Legacy)
	endpoint, said := startMinIO(t, realm, "MINIO_IDENTITY_OPENID_ROLE_POLICY=readwrite")
	role := awaitRole(t, said)
	s := newPygeoapi(t, realm, endpoint, role)

	// The bucket, and what is in it at the end, by a grant of its own.
	s.WantDo(0, run.Cmd{Args: []string{"exchange", "--account", "looks"}, Stdin: realm.UserToken("bob")})
	look := fmt.Sprintf(`import sys, t2cred.aws
s3 = t2cred.aws.session(%q, role_arn=%q, account="looks", region_name="us-east-1").client("s3", endpoint_url=%[1]q)
%%s`, endpoint, role)
	s.wantPython(time.Minute, "-c", fmt.Sprintf(look, `s3.create_bucket(Bucket="results")`))
	job := s.start(realm.UserToken("alice"), int(adesLifespan/time.Second)+3)
	realm.Logout("alice")
	s.await(job, "successful")
	s.wantStored(job)
	out := s.wantPython(time.Minute, "-c", fmt.Sprintf(look, fmt.Sprintf(`print(s3.get_object(Bucket="results", Key="%s.txt")["Body"].read().decode())`, job)))
	if !strings.Contains(out, "counted to ") {
		t.Errorf("MinIO has %q", out)
	}
	s.awaitAccounts(1)
}

// TestCWL: the last step of a workflow stages out in the name of a user who has gone,
// when every token from before has expired.
func TestCWL(t *testing.T) {
	realm := server(t).NewRealm(t, keycloak.Rotation)
	s := newPythonStage(t, realm, "venv-cwl")
	s.realm.SetAccessTokenLifespan(adesLifespan)
	s.exchange("alice", "--account", "job-4711")
	realm.Logout("alice")
	dir := filepath.Join(s.Dir, "cwl")
	if err := os.CopyFS(dir, os.DirFS(filepath.Join(contribDir(t), "ades", "cwl"))); err != nil {
		t.Fatal(err)
	}
	job := strings.NewReplacer("https://results.example.org", "https://"+s.server.host, "wait: 5", fmt.Sprintf("wait: %d", int(adesLifespan/time.Second)+2)).
		Replace(readFile(t, filepath.Join(dir, "job.yml")))
	for name, text := range map[string]string{"job.yml": job, "scene.txt": "a scene\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	// As the page has it, and the CA of this server.
	command := strings.Replace(snippets(t, "recipes/ades.md", "sh")[0], "cwltool ", "cwltool --preserve-environment REQUESTS_CA_BUNDLE ", 1)
	workflow := func() (string, error) {
		cmd := exec.Command("/bin/sh", "-c", command)
		cmd.Dir, cmd.Env = dir, append(s.Env(), "PATH="+s.bin+":"+filepath.Dir(needTool(t, "cwl", "venv-cwl/bin/cwltool"))+":/usr/bin:/bin")
		out, err := cmd.CombinedOutput()
		shared.ledger.Output("cwltool", string(out), false)
		return string(out), err
	}
	out, err := workflow()
	if err != nil {
		t.Fatalf("cwltool: %v\n%s", err, out)
	}
	if content, _ := s.server.file("/files/job-4711/result.txt"); content != "A SCENE\n" {
		t.Errorf("the store has %q\n%s", content, out)
	}
	s.Want(0, "erase", "--account", "job-4711")
	if out, err := workflow(); err == nil || !strings.Contains(out, "nothing is stored for gep/job-4711") || !strings.Contains(out, "hint: ") && !strings.Contains(out, "t2-cred exchange") {
		t.Errorf("with nothing stored: %v\n%s", err, out)
	}
}
