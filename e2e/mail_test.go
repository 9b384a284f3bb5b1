package e2e

import (
	"bufio"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/terradue/t2-cred/e2e/keycloak"
	"github.com/terradue/t2-cred/e2e/proc"
	"github.com/terradue/t2-cred/e2e/run"
)

const mailPage = "recipes/mail.md"

// dovecotConfig is a Dovecot that an ordinary user runs. It asks the issuer about each token.
const dovecotConfig = `
base_dir = DIR/run
state_dir = DIR/run
log_path = DIR/log
protocols = imap submission
listen = 127.0.0.1
ssl = yes
ssl_cert = <DIR/cert.pem
ssl_key = <DIR/key.pem
auth_mechanisms = oauthbearer xoauth2
default_internal_user = USER
default_internal_group = GROUP
default_login_user = USER
first_valid_uid = 1
mail_location = maildir:DIR/mail/%n
submission_relay_host = 127.0.0.1
submission_relay_port = SINK
hostname = localhost
auth_failure_delay = 0
auth_verbose = yes
service anvil {
  chroot =
}
service imap-login {
  chroot =
  inet_listener imap {
    port = 0
  }
  inet_listener imaps {
    port = IMAPS
    ssl = yes
  }
}
service submission-login {
  chroot =
  inet_listener submission {
    port = SUBMISSION
  }
}
passdb {
  driver = oauth2
  mechanisms = oauthbearer xoauth2
  args = DIR/oauth2.conf
}
userdb {
  driver = static
  args = uid=UID gid=GID home=DIR/mail/%n
}
`

const dovecotOAuth = `introspection_mode = post
introspection_url = ISSUER/protocol/openid-connect/token/introspect
client_id = CLIENT
client_secret = SECRET
username_attribute = preferred_username
active_attribute = active
active_value = true
`

// mailServer is a Dovecot with a letter for alice.
type mailServer struct {
	imaps, submission, caFile, dir string

	mu   sync.Mutex
	sent []string // letters that the sink got
}

// mailUser is who runs Dovecot: not root, which it refuses.
func mailUser(t *testing.T) (u *user.User, group string) {
	t.Helper()
	u, err := user.Current()
	if err == nil && u.Uid == "0" {
		u, err = user.Lookup("nobody")
	}
	if err != nil {
		t.Fatal(err)
	}
	g, err := user.LookupGroupId(u.Gid)
	if err != nil {
		t.Fatal(err)
	}
	return u, g.Name
}

func startMail(t *testing.T, realm *keycloak.Realm) *mailServer {
	t.Helper()
	dovecot := needTool(t, "mail", "dovecot")
	dir, err := os.MkdirTemp("", "t2-mail-") // those above a test's own directory are root's alone
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	m := &mailServer{imaps: freePort(t), submission: freePort(t), dir: dir}
	u, group := mailUser(t)
	certificate, ca := serverCertificate(t)
	key, err := x509.MarshalPKCS8PrivateKey(certificate.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	var chain []byte
	for _, der := range certificate.Certificate {
		chain = append(chain, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...)
	}
	m.caFile = filepath.Join(m.dir, "ca.pem")
	fill := strings.NewReplacer("DIR", m.dir, "USER", u.Username, "GROUP", group, "UID", u.Uid, "GID", u.Gid, "IMAPS", m.imaps,
		"SUBMISSION", m.submission, "SINK", m.sink(t), "ISSUER", realm.Issuer(), "CLIENT", "dovecot", "SECRET", realm.AddResourceServer("dovecot"))
	for name, text := range map[string]string{
		"ca.pem": string(ca), "cert.pem": string(chain), "key.pem": string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})),
		"dovecot.conf": fill.Replace(dovecotConfig), "oauth2.conf": fill.Replace(dovecotOAuth),
		"mail/alice/new/1.M1.example": "From: Bob <bob@example.org>\nTo: alice@example.org\nSubject: The scene is ready\n\nCome and see.\n",
		"mail/alice/cur/.keep":        "", "mail/alice/tmp/.keep": "", "run/.keep": "",
	} {
		path := filepath.Join(m.dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	argv := []string{dovecot, "-F", "-c", filepath.Join(m.dir, "dovecot.conf")}
	if os.Geteuid() == 0 {
		outputOf(t, exec.Command("chown", "-R", u.Uid+":"+u.Gid, m.dir))
		argv = append([]string{"setpriv", "--reuid", u.Uid, "--regid", u.Gid, "--clear-groups"}, argv...)
	}
	p, err := proc.Start(exec.Command(argv[0], argv[1:]...))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if log, err := os.ReadFile(filepath.Join(dir, "log")); t.Failed() && err == nil {
			t.Logf("dovecot: %s", log)
		}
		_ = p.Signal(syscall.SIGTERM) // it ends its children, which are of groups of their own
		select {
		case <-p.Done():
		case <-time.After(10 * time.Second):
			p.Kill()
		}
	})
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(100 * time.Millisecond) {
		c, err := net.Dial("tcp", "127.0.0.1:"+m.imaps)
		if err == nil {
			_ = c.Close()
			return m
		}
		if time.Now().After(end) {
			log, _ := os.ReadFile(filepath.Join(m.dir, "log"))
			t.Fatalf("dovecot does not answer: %v\n%s", err, log)
		}
	}
}

// sink takes every letter that Dovecot hands on, by SMTP, and returns its port.
func (m *mailServer) sink(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go m.receive(c)
		}
	}()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}

func (m *mailServer) receive(c net.Conn) {
	defer func() { _ = c.Close() }()
	_, _ = fmt.Fprint(c, "220 sink\r\n")
	var letter strings.Builder
	inData := false
	for lines := bufio.NewScanner(c); lines.Scan(); {
		line := lines.Text()
		answer := "250 ok\r\n"
		switch {
		case inData && line == ".":
			inData = false
			m.mu.Lock()
			m.sent = append(m.sent, letter.String())
			m.mu.Unlock()
		case inData:
			letter.WriteString(line + "\n")
			continue
		case strings.EqualFold(line, "DATA"):
			inData, answer = true, "354 go on\r\n"
		case strings.EqualFold(line, "QUIT"):
			answer = "221 bye\r\n"
		}
		_, _ = fmt.Fprint(c, answer)
	}
}

// conf is the documented configuration that begins so, for this server.
func (m *mailServer) conf(t *testing.T, begins string) string {
	t.Helper()
	for _, b := range blocksOf(t, readTop(t, "docs/"+mailPage)) {
		if b.language == "conf" && strings.HasPrefix(b.text, begins) {
			return strings.NewReplacer(
				"Host mail.example.org", "Host localhost\nPort "+m.imaps, "host mail.example.org\nport 587", "host localhost\nport "+m.submission,
				"imaps://mail.example.org", "imaps://localhost:"+m.imaps, "mail.example.org:993", "localhost:"+m.imaps,
				"/etc/ssl/certs/ca-certificates.crt", m.caFile,
			).Replace(b.text)
		}
	}
	t.Fatalf("docs/%s has no block that begins with %q", mailPage, begins)
	return ""
}

// screen runs a program in a terminal until its screen has the words.
func (s *toolStage) screen(words string, env []string, argv ...string) {
	s.t.Helper()
	tmux := needTool(s.t, "mail", "tmux")
	socket := filepath.Join(s.t.TempDir(), "tmux")
	tool := func(args ...string) (string, error) {
		cmd := exec.Command(tmux, append([]string{"-S", socket, "-f", "/dev/null"}, args...)...)
		cmd.Dir, cmd.Env = s.Dir, append(s.Env(), append(env, "TERM=xterm", "LANG=C.UTF-8")...)
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	if out, err := tool(append([]string{"new-session", "-d", "-x", "100", "-y", "30"}, argv...)...); err != nil {
		s.t.Fatalf("tmux: %v\n%s", err, out)
	}
	defer func() { _, _ = tool("kill-server") }()
	last := ""
	for end := time.Now().Add(40 * time.Second); time.Now().Before(end); time.Sleep(200 * time.Millisecond) {
		out, err := tool("capture-pane", "-p")
		if err != nil {
			break // the program has ended
		}
		if last = out; strings.Contains(out, words) {
			shared.ledger.Output(argv[0], out, false)
			return
		}
	}
	s.t.Errorf("%s does not show %q:\n%s", argv[0], words, last)
}

// TestMail: clients read and send mail at a Dovecot that asks Keycloak about each token.
func TestMail(t *testing.T) {
	mbsync, msmtp, neomutt, aerc := needTool(t, "mail", "mbsync"), needTool(t, "mail", "msmtp"), needTool(t, "mail", "neomutt"), needTool(t, "mail", "aerc")
	realm := server(t).NewRealm(t, keycloak.Legacy)
	m := startMail(t, realm)
	s := &toolStage{t: t, bin: t.TempDir(), Home: program(t).NewHome(t).Set("T2_CRED_STORE=file")}
	s.server = &bearerServer{refused: map[string]bool{}}
	if err := os.Symlink(program(t).Path, filepath.Join(s.bin, "t2-cred")); err != nil {
		t.Fatal(err)
	}
	s.Set("PATH="+s.bin+":"+os.Getenv("PATH"), "SSL_CERT_FILE="+m.caFile)
	s.Want(0, "store", "init")
	s.Want(0, addProfile(t, realm)...)
	s.WantDo(0, run.Cmd{Args: []string{"exchange"}, Stdin: realm.UserToken("alice")})
	s.WantDo(0, run.Cmd{Args: []string{"exchange", "--account", "bob"}, Stdin: realm.UserToken("bob")})
	realm.Logout("alice")
	token := s.Want(0, "get").Token()
	t.Logf("the token has %d bytes", len(token))
	if len(token) < 1000 {
		t.Errorf("a token of %d bytes shows nothing of large ones", len(token))
	}

	s.write(".mbsyncrc", m.conf(t, "IMAPAccount"))
	s.write("mail/.keep", "")
	s.wantTool(".", nil, mbsync, "eo")
	found, err := filepath.Glob(filepath.Join(s.Dir, "mail/inbox/*/*"))
	if err != nil || len(found) != 1 || !strings.Contains(readFile(t, found[0]), "Come and see.") {
		t.Errorf("mbsync fetched %q, %v", found, err)
	}
	// bob's token is not good for alice's mail.
	s.write("bob.mbsyncrc", strings.Replace(m.conf(t, "IMAPAccount"), "--profile gep", "--profile gep --account bob", 1))
	s.wantToolFails(".", nil, mbsync, "-c", s.Dir+"/bob.mbsyncrc", "eo")

	s.write(".msmtprc", m.conf(t, "account eo"))
	letter := s.write("letter", "From: alice@example.org\nTo: bob@example.org\nSubject: Thanks\n\nSeen.\n")
	s.wantTool(".", nil, "/bin/sh", "-euc", msmtp+" bob@example.org <"+letter)
	m.mu.Lock()
	if len(m.sent) != 1 || !strings.Contains(m.sent[0], "Seen.") {
		t.Errorf("the sink got %q", m.sent)
	}
	m.mu.Unlock()
	// A token of this size is too long for OAUTHBEARER there, as the page says.
	s.write("bearer.msmtprc", strings.Replace(m.conf(t, "account eo"), "auth xoauth2", "auth oauthbearer", 1))
	s.wantToolFails(".", []string{"Line too long"}, "/bin/sh", "-euc", msmtp+" -C bearer.msmtprc bob@example.org <"+letter)

	s.write(".muttrc", m.conf(t, "set folder")+"set certificate_file = \""+m.caFile+"\"\nset ssl_verify_host = no\n")
	s.screen("The scene is ready", nil, neomutt, "-F", s.Dir+"/.muttrc")
	s.write(".config/aerc/accounts.conf", m.conf(t, "[eo]"))
	s.screen("The scene is ready", []string{"XDG_CONFIG_HOME=" + s.Dir + "/.config"}, "/usr/bin/env", "XDG_CONFIG_HOME="+s.Dir+"/.config", aerc)
	s.write(".config/aerc/accounts.conf", strings.Replace(m.conf(t, "[eo]"), "imaps+xoauth2", "imaps+oauthbearer", 1))
	s.screen("The scene is ready", nil, "/usr/bin/env", "XDG_CONFIG_HOME="+s.Dir+"/.config", aerc)

	// The settings that the page names make tokens small enough.
	realm.ConfigureClient(keycloak.ClientID, map[string]any{"attributes": map[string]any{
		"client.use.lightweight.access.token.enabled": "true", "access.token.signed.response.alg": "ES256",
	}})
	if small := s.Want(0, "get", "--fresh").Token(); len(small) > 800 {
		t.Errorf("a lightweight token has %d bytes", len(small))
	}
	s.wantTool(".", nil, "/bin/sh", "-euc", msmtp+" -C bearer.msmtprc bob@example.org <"+letter)
}

// TestMail_vdirsyncer: a calendar is fetched with the token as the password of Basic.
func TestMail_vdirsyncer(t *testing.T) {
	vdirsyncer := needTool(t, "mail", "venv-mail/bin/vdirsyncer")
	const event = "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:x\r\nBEGIN:VEVENT\r\nUID:1@example.org\r\nDTSTAMP:20260101T000000Z\r\nDTSTART:20260102T000000Z\r\nSUMMARY:Overpass\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
	s := newToolStage(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/calendar")
		_, _ = w.Write([]byte(event))
	}))
	users := basicUsers(s.server)
	text := ""
	for _, b := range blocksOf(t, readTop(t, "docs/"+mailPage)) {
		if b.language == "ini" {
			text = strings.NewReplacer("calendar.example.org", s.server.host, "username =", "verify = \""+s.server.caFile+"\"\nusername =").Replace(b.text)
		}
	}
	s.Set("VDIRSYNCER_CONFIG=" + s.write("vdirsyncer.ini", text))
	s.wantTool(".", nil, "/bin/sh", "-euc", "yes | "+vdirsyncer+" discover && "+vdirsyncer+" sync")
	if got := readFile(t, s.Dir+"/calendar.ics"); !strings.Contains(got, "Overpass") {
		t.Errorf("it fetched %q", got)
	}
	if seen := users(); len(seen) != 1 || !seen["oauth2"] {
		t.Errorf("users %v", seen)
	}
	s.server.wantRequests(t, "alice")
}
