package openbao

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/terradue/t2-cred/helper/hint"
	"github.com/terradue/t2-cred/helper/safefile"
	"github.com/terradue/t2-cred/helper/secret"
	"github.com/terradue/t2-cred/store/backend"
)

// The engine's own token opens every grant of the prefix, so it is kept in memory alone:
// in the kernel's keyring of this user, or in a file of the runtime directory where that
// is a file system in memory. There is no sealed file: the key to it would lie in the
// engine. Where neither works, each process that has to ask the engine logs in.

const (
	tokenMargin = 10 * time.Second // before its end a token is no longer used
	// newLogin is for how long a standby may not know a new token.
	newLogin = 2 * time.Second
)

// engineToken is the token that requests carry, another one than was refused.
func (c *client) engineToken(ctx context.Context, refused secret.Secret) (secret.Secret, error) {
	if c.cfg.Auth == authTokenFile {
		return c.readFile("token_file", c.cfg.TokenFile, safefile.Private)
	}
	c.auth.Lock()
	defer c.auth.Unlock()
	if token := c.inUse(); token != "" && token != refused {
		return token, nil
	}
	if held, ok := c.cached(); ok && held.token != refused {
		c.use(held.token, time.Time{})
		if held.due(c.opt.Now()) {
			c.renew(ctx, held)
		}
		return held.token, nil
	}
	if c.opt.Memory != nil {
		c.opt.Memory.Remove(c.cacheName())
	}
	got, err := c.login(ctx)
	if err != nil {
		return "", err
	}
	c.use(got.token, c.opt.Now())
	c.keep(got)
	return got.token, nil
}

func (c *client) inUse() secret.Secret {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.token
}

func (c *client) use(token secret.Secret, logged time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.token, c.logged = token, logged
}

// justLoggedIn reports whether a standby may not have heard of the token yet.
func (c *client) justLoggedIn() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.logged.IsZero() && c.opt.Now().Sub(c.logged) < newLogin
}

// mayRenew reports whether a refused token may have ended: it is not of this process.
func (c *client) mayRenew() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.cfg.Auth != authTokenFile && (c.logged.IsZero() || c.opt.Now().Sub(c.logged) >= newLogin)
}

// A grantedToken is what a login gave.
type grantedToken struct {
	token          secret.Secret
	obtained, ends time.Time // ends is zero for a token without an end
	renewable      bool
}

// due reports whether two thirds of the token's life are over.
func (t grantedToken) due(now time.Time) bool {
	return t.renewable && !t.ends.IsZero() && now.Sub(t.obtained) > t.ends.Sub(t.obtained)*2/3
}

// cacheName names the token by all that it was got with. A systemd credential is of one
// service, and another service of this user may have another one of the same name.
func (c *client) cacheName() string {
	f := c.cfg
	all := append([]string{f.Namespace, f.Auth, f.authMount(), f.Role, f.CAFile}, f.Address...)
	for _, path := range []string{f.JWTFile, f.RoleIDFile, f.SecretIDFile, f.CertFile, f.KeyFile} {
		if path != "" && !filepath.IsAbs(path) {
			path = filepath.Join(c.opt.Getenv("CREDENTIALS_DIRECTORY"), path)
		}
		all = append(all, path)
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%q", all))
	return "engine:" + hex.EncodeToString(sum[:12])
}

func (c *client) cached() (t grantedToken, ok bool) {
	if c.opt.Memory == nil {
		return t, false
	}
	text, err := c.opt.Memory.Get(c.cacheName())
	words := strings.Split(text.Reveal(), " ")
	if err != nil || len(words) != 4 {
		return t, false
	}
	from, err := strconv.ParseInt(words[0], 10, 64)
	until, err2 := strconv.ParseInt(words[1], 10, 64)
	if err != nil || err2 != nil || words[3] == "" {
		return t, false
	}
	t = grantedToken{token: secret.Secret(words[3]), obtained: time.Unix(from, 0), renewable: words[2] == "1"}
	if until != 0 {
		t.ends = time.Unix(until, 0)
	}
	now := c.opt.Now()
	return t, !now.Before(t.obtained.Add(-tokenMargin)) && (t.ends.IsZero() || now.Add(tokenMargin).Before(t.ends))
}

func (c *client) keep(t grantedToken) {
	if c.opt.Memory == nil {
		return
	}
	life, until, renewable := 24*time.Hour, int64(0), "0"
	if !t.ends.IsZero() {
		life, until = t.ends.Sub(t.obtained), t.ends.Unix()
	}
	if t.renewable {
		renewable = "1"
	}
	words := []string{strconv.FormatInt(t.obtained.Unix(), 10), strconv.FormatInt(until, 10), renewable, t.token.Reveal()}
	_ = c.opt.Memory.Put(c.cacheName(), secret.Secret(strings.Join(words, " ")), life)
}

// login proves this machine to the engine.
func (c *client) login(ctx context.Context) (grantedToken, error) {
	body, proofs, err := c.proof()
	if err != nil {
		return grantedToken{}, err
	}
	path := "auth/" + c.cfg.authMount() + "/login"
	rep, err := c.call(ctx, request{method: http.MethodPost, path: path, body: body, bare: true, hidden: proofs}, "")
	if err != nil {
		return grantedToken{}, err
	}
	if rep.status != http.StatusOK {
		return grantedToken{}, backend.Errorf(backend.ErrUnavailable, nil,
			hint.Do(hint.Run("store", "init", "--store", "openbao"), hint.Words(" shows the role that the engine's administrator has to write")),
			"the engine refuses the login of this machine (auth = %q, role %q): %d %s", c.cfg.Auth, c.cfg.Role, rep.status, said(rep.body))
	}
	return c.granted(rep)
}

// proof is what a login sends, and the secrets in it.
func (c *client) proof() (body map[string]string, secrets []secret.Secret, err error) {
	switch c.cfg.Auth {
	case authJWT, authKubernetes:
		path := c.cfg.JWTFile
		if path == "" {
			path = kubernetesToken
		}
		jwt, err := c.readFile("jwt_file", path, safefile.Anyone) // the kubelet's modes differ; the engine verifies it
		return map[string]string{"role": c.cfg.Role, "jwt": jwt.Reveal()}, []secret.Secret{jwt}, err
	case authAppRole:
		role, err := c.readFile("role_id_file", c.cfg.RoleIDFile, safefile.Ours)
		if err != nil {
			return nil, nil, err
		}
		id, err := c.readFile("secret_id_file", c.cfg.SecretIDFile, safefile.Private)
		return map[string]string{"role_id": role.Reveal(), "secret_id": id.Reveal()}, []secret.Secret{role, id}, err
	case authCert:
		return map[string]string{"name": c.cfg.Role}, nil, nil
	}
	return nil, nil, errors.New("openbao: no such auth")
}

// granted reads the answer to a login or a renewal.
func (c *client) granted(rep reply) (grantedToken, error) {
	var answer struct {
		Auth *struct {
			Token     string `json:"client_token"`
			Seconds   int64  `json:"lease_duration"`
			Renewable bool   `json:"renewable"`
		} `json:"auth"`
	}
	if json.Unmarshal(rep.body, &answer) != nil || answer.Auth == nil || answer.Auth.Token == "" || strings.ContainsAny(answer.Auth.Token, " \r\n") {
		return grantedToken{}, c.unavailable(nil, "the engine's answer to the login has no token")
	}
	t := grantedToken{token: secret.Secret(answer.Auth.Token), obtained: c.opt.Now(), renewable: answer.Auth.Renewable}
	if answer.Auth.Seconds > 0 {
		t.ends = t.obtained.Add(time.Duration(answer.Auth.Seconds) * time.Second)
	}
	return t, nil
}

// renew lengthens the token's life. Failing costs a login later.
func (c *client) renew(ctx context.Context, t grantedToken) {
	rep, err := c.call(ctx, request{method: http.MethodPost, path: "auth/token/renew-self", body: map[string]string{}, quick: true}, t.token)
	if err != nil || rep.status != http.StatusOK {
		return
	}
	if renewed, err := c.granted(rep); err == nil {
		c.keep(renewed)
	}
}
