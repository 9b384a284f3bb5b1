package main

import (
	"errors"
	"os"
	"os/exec"
	"time"

	"github.com/terradue/t2-cred/e2e/keycloak"
	"github.com/terradue/t2-cred/e2e/proc"
)

// ringEnv is the environment of a peer on the private keyring.
func (b *bench) ringEnv() []string {
	return append(b.ring.Env(), "PATH="+os.Getenv("PATH"), "LANG=C.UTF-8")
}

// aToken stands for the access token that the peers keep, and is as large.
func (b *bench) aToken() string { return b.issuer.user }

// secretTool is libsecret's own client, which reads an item of the keyring.
func (b *bench) secretTool() (command, error) {
	in, err := b.put("secret", b.aToken())
	if err != nil {
		return command{}, err
	}
	if _, err := b.run(b.secretToolStore(in)); err != nil {
		return command{}, err
	}
	c := command{argv: []string{"secret-tool", "lookup", "bench", "token"}, env: b.ringEnv()}
	return c, b.gives(c, b.aToken())
}

// secretToolStore writes that item.
func (b *bench) secretToolStore(in string) command {
	return command{argv: []string{"secret-tool", "store", "--label=bench", "bench", "token"}, env: b.ringEnv(), stdin: in}
}

// dockerHelper is docker's helper for the Secret Service.
func (b *bench) dockerHelper() (command, error) {
	const server = "https://registry.example/"
	in, err := b.put("docker-store", `{"ServerURL":"`+server+`","Username":"alice","Secret":"`+b.aToken()+`"}`)
	if err != nil {
		return command{}, err
	}
	c := command{argv: []string{"docker-credential-secretservice", "store"}, env: b.ringEnv(), stdin: in}
	if _, err := b.run(c); err != nil {
		return command{}, err
	}
	if c.stdin, err = b.put("docker-get", server); err != nil {
		return command{}, err
	}
	c.argv = []string{"docker-credential-secretservice", "get"}
	return c, b.gives(c, b.aToken())
}

// oidcToken is the client of an oidc-agent that runs and has a valid token.
func (b *bench) oidcToken() (command, error) {
	home, socket := b.path("agent"), b.path("agent.sock")
	if err := os.Mkdir(home, 0o700); err != nil {
		return command{}, err
	}
	env := []string{
		"PATH=" + os.Getenv("PATH"), "LANG=C.UTF-8", "HOME=" + home, "OIDC_CONFIG_DIR=" + home,
		"XDG_RUNTIME_DIR=" + home, "OIDC_SOCK=" + socket,
	}
	agent := exec.Command("oidc-agent", "--console", "--no-autoload", "--no-webserver", "--socket-path="+socket) //nolint:noctx // ended by Kill
	agent.Env, agent.Dir = env, home
	p, err := proc.Start(agent)
	if err != nil {
		return command{}, err
	}
	b.t.Cleanup(p.Kill)
	if err := b.await(p, socket); err != nil {
		return command{}, err
	}
	token, err := b.exchange()
	if err != nil {
		return command{}, err
	}
	password, err := b.put("agent-password", "bench")
	if err != nil {
		return command{}, err
	}
	// The secret is of an issuer that ends with this process.
	gen := command{env: append(env, "OIDC_REFRESH_TOKEN="+token), argv: []string{
		"oidc-gen", "bench", "--issuer=" + b.issuer.url, "--client-id=" + keycloak.ClientID, "--client-secret=" + b.issuer.secret,
		"--scope=openid offline_access", "--rt-env", "--redirect-uri=http://localhost:4242",
		"--pw-file=" + password, "--prompt=none", "--confirm-yes",
	}}
	if _, err := b.run(gen); err != nil {
		return command{}, err
	}
	c := command{argv: []string{"oidc-token", "bench"}, env: env}
	first, err := b.output(c)
	if err != nil {
		return command{}, err
	}
	return c, b.gives(c, first)
}

// await waits for the socket of a process.
func (b *bench) await(p *proc.Process, socket string) error {
	deadline := time.After(20 * time.Second)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		if _, err := os.Stat(socket); err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-p.Done():
			return errors.New("oidc-agent ended")
		case <-b.ctx.Done():
			return b.ctx.Err()
		case <-deadline:
			return errors.New("oidc-agent is not ready after 20 s")
		}
	}
}

// curl is the very request that a refresh makes.
func (b *bench) curl() (command, error) {
	token, err := b.exchange()
	if err != nil {
		return command{}, err
	}
	config, err := b.put("curl", `silent
show-error
fail
url = "`+b.issuer.tokenURL+`"
user = "`+keycloak.ClientID+`:`+b.issuer.secret+`"
data = "`+keycloak.RefreshForm(token).Encode()+`"
`)
	return command{argv: []string{"curl", "--disable", "--config", config}, env: []string{"PATH=" + os.Getenv("PATH")}}, err
}
