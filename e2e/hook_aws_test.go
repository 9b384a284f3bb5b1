package e2e

import (
	"context"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/terradue/t2-cred/e2e/keycloak"
	"github.com/terradue/t2-cred/e2e/proc"
	"github.com/terradue/t2-cred/e2e/run"
	"github.com/terradue/t2-cred/helper/oidc/oidctest"
)

// awsRole is the role that moto lets whoever assumes it use one bucket.
const awsRole = "arn:aws:iam::123456789012:role/eo"

// motoSetup makes the role and the bucket, with boto3, while moto lets anybody do
// anything.
const motoSetup = `
import boto3, json
policy = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": ["arn:aws:s3:::results", "arn:aws:s3:::results/*"]}]}
trust = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRoleWithWebIdentity", "Principal": {"Federated": "*"}}]}
iam = boto3.client("iam")
iam.create_role(RoleName="eo", AssumeRolePolicyDocument=json.dumps(trust))
iam.put_role_policy(RoleName="eo", PolicyName="eo", PolicyDocument=json.dumps(policy))
boto3.client("s3").create_bucket(Bucket="results")
`

// freePort is a port that nobody listened on a moment ago.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}

// startServer starts a server and waits until it answers at an address. It returns
// what the server says.
func startServer(t *testing.T, address string, cmd *exec.Cmd) (said func() string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "log")
	log, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = log.Close() }()
	said = func() string {
		text, _ := os.ReadFile(path)
		return string(text)
	}
	cmd.Stdout, cmd.Stderr = log, log
	p, err := proc.Start(cmd)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Kill)
	for end := time.Now().Add(45 * time.Second); ; time.Sleep(100 * time.Millisecond) {
		resp, err := http.Get(address)
		if err == nil {
			_ = resp.Body.Close()
			if resp.StatusCode < 500 {
				return said
			}
		}
		if !p.Alive() || time.Now().After(end) {
			t.Fatalf("%s does not answer: %v\n%s", cmd.Path, err, said())
		}
	}
}

// awsStage is a home with aws-cli and boto3.
type awsStage struct {
	*run.Home
	t      *testing.T
	bin    string // a directory on PATH, with t2-cred and aws
	aws    string
	python string
}

// documentedSTS stands in docs/hooks/aws.md.
const documentedSTS = "https://minio.example.org"

func newAWSStage(t *testing.T, home *run.Home) *awsStage {
	t.Helper()
	s := &awsStage{home, t, t.TempDir(), needTool(t, "aws", "aws/bin/aws"), needTool(t, "aws", "aws/bin/python3")}
	for name, target := range map[string]string{"t2-cred": program(t).Path, "aws": s.aws} {
		if err := os.Symlink(target, filepath.Join(s.bin, name)); err != nil {
			t.Fatal(err)
		}
	}
	s.Set("PATH="+s.bin+string(os.PathListSeparator)+os.Getenv("PATH"), "AWS_DEFAULT_REGION=us-east-1", "AWS_EC2_METADATA_DISABLED=true", "AWS_PAGER=", "AWS_MAX_ATTEMPTS=1")
	return s
}

// config writes ~/.aws/config as the documentation has it, with more options.
func (s *awsStage) config(endpoint, options string) {
	s.t.Helper()
	text := strings.TrimSuffix(block(s.t, "hooks/aws.md", "ini", documentedSTS, endpoint, "/usr/local/bin", s.bin), "\n") + options + "\n"
	if err := os.MkdirAll(filepath.Join(s.Dir, ".aws"), 0o700); err != nil {
		s.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(s.Dir, ".aws", "config"), []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// tool runs one of the tools.
func (s *awsStage) tool(env []string, name string, args ...string) (string, error) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.Env = s.Dir, append(s.Env(), env...)
	out, err := cmd.CombinedOutput()
	shared.ledger.Output(filepath.Base(name)+" "+args[0], string(out), false)
	return string(out), err
}

func (s *awsStage) want(env []string, name string, args ...string) string {
	s.t.Helper()
	out, err := s.tool(env, name, args...)
	if err != nil {
		s.t.Fatalf("%s %q: %v\n%s", name, args, err, out)
	}
	return out
}

func (s *awsStage) wantFails(words []string, name string, args ...string) {
	s.t.Helper()
	out, err := s.tool(nil, name, args...)
	if err == nil {
		s.t.Fatalf("%s %q succeeded:\n%s", name, args, out)
	}
	for _, w := range words {
		if !strings.Contains(out, w) {
			s.t.Errorf("%q is not in\n%s", w, out)
		}
	}
}

// writesAndReads has an object written and read back, by both tools.
func (s *awsStage) writesAndReads(env ...string) {
	s.t.Helper()
	text := "a result of " + s.t.Name() + "\n"
	if err := os.WriteFile(filepath.Join(s.Dir, "result.txt"), []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
	s.want(env, s.aws, "s3", "cp", "result.txt", "s3://results/alice/result.txt")
	if got := s.want(env, s.aws, "s3", "cp", "s3://results/alice/result.txt", "-"); got != text {
		s.t.Errorf("aws-cli reads back %q", got)
	}
	got := s.want(env, s.python, "-c", `
import boto3
s3 = boto3.client("s3")
s3.put_object(Bucket="results", Key="alice/boto", Body=b"written by boto3\n")
for key in ("alice/boto", "alice/result.txt"):
    print(s3.get_object(Bucket="results", Key=key)["Body"].read().decode(), end="")
`)
	if want := "written by boto3\n" + text; got != want {
		s.t.Errorf("boto3 reads back %q, not %q", got, want)
	}
}

// TestHookAWS: aws-cli and boto3 write and read S3 with keys that t2-cred got of an
// STS that demands the token.
func TestHookAWS(t *testing.T) {
	moto := needTool(t, "aws", "aws/bin/moto_server")
	issuer := oidctest.New()
	t.Cleanup(func() { tellLedger(issuer); issuer.Close() })
	s := newAWSStage(t, program(t).NewHome(t).Set("T2_CRED_STORE=file"))
	t.Logf("%s", s.want(nil, s.aws, "--version"))
	t.Logf("%s", s.want(nil, s.python, "-c", `import boto3, moto; print("boto3", boto3.__version__, "moto", moto.__version__)`))

	port := freePort(t)
	startServer(t, "http://127.0.0.1:"+port+"/moto-api/", exec.Command(moto, "-H", "127.0.0.1", "-p", port))
	front := newSTSFront(t, issuer, "http://127.0.0.1:"+port)
	s.Set("AWS_CA_BUNDLE=" + front.caFile)
	dummy := []string{"AWS_ACCESS_KEY_ID=any", "AWS_SECRET_ACCESS_KEY=any", "AWS_ENDPOINT_URL=" + front.URL}
	s.want(dummy, s.python, "-c", motoSetup)
	if err := front.checks("0"); err != nil {
		t.Fatal(err)
	}

	s.Want(0, "store", "init")
	s.Want(0, "profile", "add", "gep", "--issuer", issuer.URL(), "--client-id", oidctest.ClientID, "--audience", oidctest.ClientID,
		"--scope", keycloak.Scopes, "--host", front.host, "--client-secret-file", secretFile(t, issuer.ClientSecret()))
	s.WantDo(0, run.Cmd{Args: []string{"exchange"}, Stdin: issuer.UserToken("alice")})
	s.config(front.URL, " --role-arn "+awsRole+" --session-name job-7")
	s.Set("AWS_PROFILE=eo")

	// Moto does check: made-up keys do not get through.
	s.wantFails([]string{"InvalidAccessKeyId"}, "env", append([]string{"-u", "AWS_PROFILE"}, append(dummy, s.aws, "s3", "ls", "s3://results")...)...)

	s.writesAndReads()
	if who := s.want(nil, s.aws, "sts", "get-caller-identity", "--query", "Arn", "--output", "text"); who != "arn:aws:sts::123456789012:assumed-role/eo/job-7\n" {
		t.Errorf("we are %q", who)
	}
	s.wantFails([]string{"AccessDenied"}, s.aws, "s3", "mb", "s3://another") // of the role
	asked := front.take()
	if len(asked) != 1 || issuer.Refreshes() != 0 {
		t.Errorf("%d requests for keys and %d for tokens by five programs: %v", len(asked), issuer.Refreshes(), asked)
	}
	want := url.Values{"Action": {"AssumeRoleWithWebIdentity"}, "Version": {"2011-06-15"}, "RoleArn": {awsRole}, "RoleSessionName": {"job-7"}, "DurationSeconds": {"3600"}}
	if asked[0].Encode() != want.Encode() {
		t.Errorf("asked with %q", asked[0].Encode())
	}

	t.Run("container credentials", func(t *testing.T) { s.container(t, front) })
	t.Run("parallel", func(t *testing.T) {
		for _, r := range s.Many(10, run.Cmd{Args: []string{"aws", "--endpoint", front.URL, "--role-arn", awsRole, "--session-name", "job-7"}, Product: true}) {
			if r.Code != 0 || !strings.HasPrefix(r.Stdout, `{"Version":1,`) {
				t.Errorf("%s", r)
			}
		}
		if n := len(front.take()); n != 0 {
			t.Errorf("%d requests for keys that are kept", n)
		}
	})

	// A refusal, with the STS' own words and where to look; the kept keys of another
	// session are not touched by it.
	front.setRefuse(true)
	s.config(front.URL, " --role-arn "+awsRole+" --session-name job-8")
	s.wantFails([]string{"custom-process", "AccessDenied", "Not authorized to perform sts:AssumeRoleWithWebIdentity", "hint: t2-cred claims"}, s.aws, "s3", "ls", "s3://results")
	s.config(front.URL, " --role-arn "+awsRole+" --session-name job-7")
	s.want(nil, s.aws, "s3", "ls", "s3://results")
	front.setRefuse(false)
	front.take()

	// An STS that is no profile's is not asked.
	other := newSTSFront(t, issuer, "http://127.0.0.1:"+port)
	s.config(other.URL, "")
	s.wantFails([]string{"no profile is for that host: " + other.host, "hint: "}, s.aws, "s3", "ls", "s3://results")
	if n := len(other.take()); n != 0 {
		t.Errorf("another host was asked %d times", n)
	}

	// With nothing stored the user is told what to type; the keys are gone too.
	s.Want(0, "erase")
	s.config(front.URL, " --role-arn "+awsRole+" --session-name job-7")
	s.wantFails([]string{"nothing is stored for gep/default", "t2-cred exchange --profile gep"}, s.aws, "s3", "ls", "s3://results")
}

// container has the keys served by HTTP, as the documentation has it.
func (s *awsStage) container(t *testing.T, front *stsFront) {
	options := " --role-arn " + awsRole + " --session-name job-7"
	runtime := t.TempDir()
	s.Unset("AWS_PROFILE")
	defer func() { s.Set("AWS_PROFILE=eo") }()
	if err := os.WriteFile(filepath.Join(s.Dir, "result.tif"), []byte("II*\x00"), 0o600); err != nil {
		t.Fatal(err)
	}
	text := snippets(t, "hooks/aws.md", "sh")[1]
	text = strings.NewReplacer(documentedSTS+" >", front.URL+options+" >", documentedSTS, front.URL).Replace(text)
	s.want([]string{"AWS_ENDPOINT_URL=" + front.URL, "XDG_RUNTIME_DIR=" + runtime}, "sh", "-euc", text+`
"$0" s3 cp s3://results/alice/boto -
"$1" -c '
import boto3
print(boto3.Session().get_credentials().method)
s3 = boto3.client("s3")
s3.put_object(Bucket="results", Key="alice/served", Body=b"by served keys\n")
for key in ("alice/boto", "alice/served", "alice/result.tif"):
    print(s3.get_object(Bucket="results", Key=key)["Body"].read())
' >said
stat -c %a "$AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE" >>said
kill -TERM $!
wait $!
test ! -e "$AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE" && echo gone >>said
`, s.aws, s.python)
	said, err := os.ReadFile(filepath.Join(s.Dir, "said"))
	const want = "container-role\nb'written by boto3\\n'\nb'by served keys\\n'\nb'II*\\x00'\n600\ngone\n"
	if string(said) != want || err != nil {
		t.Errorf("it says %q, %v, not %q", said, err, want)
	}
	if n := len(front.take()); n != 0 {
		t.Errorf("%d requests for keys that are kept", n)
	}
	s.servedToAContainer(t, front)
}

// servedToAContainer keeps the names of a manifest over two starts, and says no in
// words that the user of the container sees.
func (s *awsStage) servedToAContainer(t *testing.T, front *stsFront) {
	dir, port := t.TempDir(), freePort(t)
	env := []string{"AWS_ENDPOINT_URL=" + front.URL, "AWS_CONTAINER_CREDENTIALS_FULL_URI=http://127.0.0.1:" + port + "/credentials",
		"AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE=" + filepath.Join(dir, "authorization")}
	madeUp := filepath.Join(t.TempDir(), "authorization")
	if err := os.WriteFile(madeUp, []byte("made-up"), 0o600); err != nil {
		t.Fatal(err)
	}
	for n := range 2 {
		server := s.Start(run.Cmd{Product: true, Args: []string{"aws", "serve", "--endpoint", front.URL, "--role-arn", awsRole, "--session-name", "job-7",
			"--port", port, "--authorization-file", filepath.Join(dir, "authorization")}})
		written(t, filepath.Join(dir, "authorization"))
		if n == 0 {
			s.want(env, s.aws, "s3", "ls", "s3://results/alice/")
		} else { // without the file it is another who asks
			out, err := s.tool(append(slices.Clone(env), "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE="+madeUp), s.aws, "s3", "ls", "s3://results/alice/")
			if err == nil || !strings.Contains(out, "the Authorization header is not what the token file says") {
				t.Errorf("who made up an authorization: %v, %s", err, out)
			}
			s.readsWithGDAL(env, front)
		}
		if err := server.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		if r := server.Wait(); r.Code != 0 || strings.Count(r.Stdout, "\n") != 2 {
			t.Errorf("%s", r)
		}
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("%v stays, %v", left, err)
	}
}

// readsWithGDAL has GDAL itself, not rasterio by way of boto3, read a raster.
func (s *awsStage) readsWithGDAL(env []string, front *stsFront) {
	s.t.Helper()
	python := needTool(s.t, "eo", "venv-eo/bin/python")
	scene := filepath.Join(s.t.TempDir(), "scene.tif")
	s.want(nil, python, "-c", `
import sys, numpy, rasterio
with rasterio.open(sys.argv[1], "w", driver="GTiff", width=8, height=8, count=1, dtype="uint8") as scene:
    scene.write(numpy.full((8, 8), 7, "uint8"), 1)`, scene)
	s.want(env, s.aws, "s3", "cp", scene, "s3://results/alice/scene.tif")
	env = append(slices.Clone(env), "AWS_S3_ENDPOINT="+front.host, "AWS_VIRTUAL_HOSTING=FALSE", "GDAL_CURL_CA_BUNDLE="+front.caFile, "GDAL_DISABLE_READDIR_ON_OPEN=EMPTY_DIR", "PYTHONWARNINGS=ignore")
	got := s.want(env, python, "-c", `
import rasterio
with rasterio.open("/vsis3/results/alice/scene.tif") as scene:
    print(rasterio.__gdal_version__, int(scene.read(1).sum()))`)
	s.t.Logf("GDAL: %s", strings.TrimSpace(got))
	if !strings.HasSuffix(got, " 448\n") {
		s.t.Errorf("GDAL reads %q", got)
	}
}
