package hook

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/terradue/t2-cred/helper"
	"github.com/terradue/t2-cred/helper/hint"
	"github.com/terradue/t2-cred/helper/safefile"
)

// An awsServer is the other end of the container credential provider, on
// loopback: https://docs.aws.amazon.com/sdkref/latest/guide/feature-container-credentials.html
// A client that sends the authorization from a file gets keys. No client gets a token.
type awsServer struct {
	*Call
	ask           stsRequest
	authorization string
	host          string // 127.0.0.1:PORT
	mu            sync.Mutex
	last          awsKeys   // got last; guarded by mu
	underWay      *keyFetch // nil when no keys are being got; guarded by mu
}

// A keyFetch is one attempt to get keys. All requests that arrive meanwhile wait for it.
type keyFetch struct {
	done chan struct{} // closed when keys and err are there
	keys awsKeys
	err  error
}

// maxRefreshWait bounds the wait for newer keys while the last ones are still valid. SDKs
// wait one or two seconds.
const maxRefreshWait = time.Second

// containerPath is the only path that is served.
const containerPath = "/credentials"

// serve gets keys first, so that an error shows at once. Then it answers until ctx ends.
// It prints the address on standard output, as lines for a shell.
func (s *awsServer) serve(ctx context.Context) error {
	port, err := strconv.ParseUint(s.Option["port"], 10, 16)
	if err != nil {
		return fmt.Errorf("%w: --port %q is not a number of a port", ErrUsage, s.Option["port"])
	}
	if _, err := s.keys(ctx, s.Option["fresh"] == "true"); err != nil {
		return err
	}
	var conf net.ListenConfig
	listener, err := conf.Listen(ctx, "tcp4", net.JoinHostPort("127.0.0.1", strconv.FormatUint(port, 10)))
	if err != nil {
		return &hint.Error{Kind: ErrUsage, Detail: "--port", Err: err, Remedy: hint.Say("without --port it takes one that is free")}
	}
	defer func() { _ = listener.Close() }()
	s.host, s.authorization = listener.Addr().String(), rand.Text()
	file, remove, err := s.writeAuthorization()
	if err != nil {
		return fmt.Errorf("--authorization-file: %w", err)
	}
	defer remove()
	_, err = fmt.Fprintf(s.Stdout, "export AWS_CONTAINER_CREDENTIALS_FULL_URI='http://%s%s'\nexport AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE='%s'\n",
		s.host, containerPath, strings.ReplaceAll(file, "'", `'\''`))
	if err != nil {
		return err
	}
	// An answer may take as long as one of the STS, and of the issuer before it.
	server := &http.Server{
		Handler:     http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.answer(ctx, w, r) }),
		ReadTimeout: 5 * time.Second, WriteTimeout: s.Timeout + 5*time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10,
	}
	ended := make(chan struct{})
	context.AfterFunc(ctx, func() {
		defer close(ended)
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
		defer cancel()
		if server.Shutdown(last) != nil {
			_ = server.Close()
		}
	})
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	<-ended
	return ctx.Err()
}

// keys returns valid keys. The fetch goes on if the client that caused it leaves, and
// serves the next client. While an STS is silent, clients get the last keys until they
// expire.
func (s *awsServer) keys(ctx context.Context, fresh bool) (awsKeys, error) {
	s.mu.Lock()
	if s.underWay == nil {
		s.underWay = &keyFetch{done: make(chan struct{})}
		go s.fetch(ctx, s.underWay, fresh)
	}
	got, last := s.underWay, s.last
	s.mu.Unlock()
	var late <-chan time.Time // never, when there is nothing else to give
	if ends, err := time.Parse(time.RFC3339, last.Expiration); err == nil && ends.After(s.Now().Add(maxRefreshWait)) {
		late = time.After(maxRefreshWait)
	}
	select {
	case <-got.done:
		return got.keys, got.err
	case <-late:
		return last, nil
	}
}

// caught gets keys in a goroutine of its own, where a panic would end the server and
// print its value.
func (s *awsServer) caught(ctx context.Context, fresh bool) (keys awsKeys, err error) {
	defer func() {
		if r := recover(); r != nil {
			keys, err = awsKeys{}, fmt.Errorf("internal error (%T)", r)
		}
	}()
	return getKeys(ctx, s.Call, s.ask, fresh)
}

// fetch gets keys for all waiting clients. After a refusal no client gets the last keys.
func (s *awsServer) fetch(ctx context.Context, f *keyFetch, fresh bool) {
	ctx, cancel := context.WithTimeout(ctx, s.Timeout)
	defer cancel()
	f.keys, f.err = s.caught(ctx, fresh)
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, code := containerError(f.err); f.err == nil || code != "ServiceUnavailable" {
		s.last = f.keys
	}
	s.underWay = nil
	close(f.done)
}

// answer gives keys to a client that sends the authorization. It checks the Host header
// too, since a web page can make its own host name resolve to this address.
func (s *awsServer) answer(ctx context.Context, w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	refuse := func(status int, code, message string) {
		w.Header().Set("Connection", "close")
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(struct {
			Code    string `json:"code"`
			Message string `json:"message"`
		}{code, message})
	}
	_, port, _ := net.SplitHostPort(s.host)
	shown := []byte(r.Header.Get("Authorization"))
	switch {
	case r.Host != s.host && r.Host != "localhost:"+port:
		refuse(http.StatusForbidden, "AccessDenied", "this is not the host that was asked for")
	case subtle.ConstantTimeCompare(shown, []byte(s.authorization)) != 1:
		refuse(http.StatusForbidden, "AccessDenied", "the Authorization header is not what the token file says")
	case r.URL.Path != containerPath:
		refuse(http.StatusNotFound, "NotFound", "there is "+containerPath+" alone")
	case r.Method != http.MethodGet:
		w.Header().Set("Allow", http.MethodGet)
		refuse(http.StatusMethodNotAllowed, "MethodNotAllowed", "GET alone")
	default:
		keys, err := s.keys(ctx, false)
		if err != nil {
			status, code := containerError(err)
			message := s.failure(err)
			fmt.Fprintf(s.Stderr, "t2-cred: %s\n", message)
			refuse(status, code, message)
			return
		}
		_ = json.NewEncoder(w).Encode(keys.forContainer())
	}
}

// containerError is the status and code for an error. SDKs retry after a 5xx only.
func containerError(err error) (status int, code string) {
	switch {
	case errors.Is(err, helper.ErrLoginRequired):
		return http.StatusUnauthorized, "LoginRequired"
	case errors.Is(err, helper.ErrNotGranted), errors.Is(err, helper.ErrNotMine):
		return http.StatusForbidden, "AccessDenied"
	}
	return http.StatusServiceUnavailable, "ServiceUnavailable"
}

// writeAuthorization writes the authorization, without a line end, into the named file or
// a new one. SDKs read it for each request. remove deletes the file when this process
// ends, unless a later process has written its own.
func (s *awsServer) writeAuthorization() (path string, remove func(), err error) {
	if path = s.Option["authorization-file"]; path != "" {
		if path, err = filepath.Abs(path); err == nil {
			err = mayReplace(path)
		}
		if err == nil {
			err = replaceAuthorization(path, s.authorization)
		}
		return path, func() {
			if text, err := safefile.Read(path, safefile.Want{Max: authorizationSize}); err == nil && string(text) == s.authorization {
				_ = os.Remove(path)
			}
		}, err
	}
	dir, err := os.MkdirTemp(s.runtimeDir(), "t2-cred-aws-") // the system's own, where that is empty
	if err != nil {
		return "", nil, err
	}
	path, remove = filepath.Join(dir, "authorization"), func() { _ = os.RemoveAll(dir) }
	if err = replaceAuthorization(path, s.authorization); err != nil {
		remove()
	}
	return path, remove, err
}

// runtimeDir is where the directory of the authorization is made. A relative one is to be
// ignored (XDG): the SDKs look for the file in other directories than ours.
func (s *awsServer) runtimeDir() string {
	if dir := s.Getenv("XDG_RUNTIME_DIR"); filepath.IsAbs(dir) {
		return dir
	}
	return ""
}

// authorizationSize is how many characters rand.Text has.
const authorizationSize = 26

// mayReplace is nil if there is no file, or one that an earlier server left: it has the
// characters of rand.Text. A user's token must not be overwritten.
func mayReplace(path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if info.Mode().IsRegular() && info.Size() == authorizationSize {
		text, err := safefile.Read(path, safefile.Want{Max: authorizationSize})
		if err != nil {
			return err
		}
		if strings.Trim(string(text), "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567") == "" {
			return nil
		}
	}
	return fmt.Errorf("%w: %s is there, and not of an earlier aws serve: it is not overwritten", ErrUsage, path)
}

// replaceAuthorization leaves the old file unchanged if it fails. A server that is killed
// at it leaves at most one temporary file, which the next one overwrites.
func replaceAuthorization(path, text string) error {
	return safefile.Replace(path, []byte(text), safefile.Write{Mode: safefile.FileMode})
}
