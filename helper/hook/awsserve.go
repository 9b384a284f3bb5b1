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
)

// An awsServer is the other end of the container credential provider, on
// loopback: https://docs.aws.amazon.com/sdkref/latest/guide/feature-container-credentials.html
// Who has the authorization that is in a file gets keys; nobody gets a token.
type awsServer struct {
	*Call
	ask           stsRequest
	authorization string
	host          string     // 127.0.0.1:PORT
	one           sync.Mutex // held while keys are got
}

// containerPath is the only path that is served.
const containerPath = "/credentials"

// serve gets keys, so that what is wrong shows at once, and then answers until ctx
// ends. Where to ask goes to standard output, as lines for a shell.
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
		return &helper.Problem{Kind: ErrUsage, Detail: "--port", Err: err, Remedy: "without --port it takes one that is free"}
	}
	defer func() { _ = listener.Close() }()
	s.host, s.authorization = listener.Addr().String(), rand.Text()
	file, remove, err := s.writeAuthorization()
	if err != nil {
		return fmt.Errorf("--token-file: %w", err)
	}
	defer remove()
	_, err = fmt.Fprintf(s.Stdout, "export AWS_CONTAINER_CREDENTIALS_FULL_URI='http://%s%s'\nexport AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE='%s'\n",
		s.host, containerPath, strings.ReplaceAll(file, "'", `'\''`))
	if err != nil {
		return err
	}
	// An answer may take as long as one of the STS, and of the issuer before it.
	server := &http.Server{
		Handler:           http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.answer(ctx, w, r) }),
		ReadHeaderTimeout: 5 * time.Second, WriteTimeout: s.Timeout + 5*time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10,
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

// keys gets keys that will do. Its time does not end with that of who asks, who may
// wait no more than a second or two: what is got is kept, and serves the next.
func (s *awsServer) keys(ctx context.Context, fresh bool) (awsKeys, error) {
	s.one.Lock()
	defer s.one.Unlock()
	ctx, cancel := context.WithTimeout(ctx, s.Timeout)
	defer cancel()
	return getKeys(ctx, s.Call, s.ask, fresh)
}

// answer gives keys to whoever shows the authorization. The name of the host is
// checked too: a page in a browser can have its own name lead to this address.
func (s *awsServer) answer(ctx context.Context, w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	refuse := func(status int, code, message string) {
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
			message := err.Error()
			if hint := hintOf(err); hint != "" {
				message += "; " + hint
			}
			fmt.Fprintf(s.Stderr, "t2-cred: %s\n", message)
			refuse(status, code, message)
			return
		}
		_ = json.NewEncoder(w).Encode(keys.forContainer())
	}
}

// containerError is what an SDK goes by: it tries again after 5xx alone.
func containerError(err error) (status int, code string) {
	switch {
	case errors.Is(err, helper.ErrLoginRequired):
		return http.StatusUnauthorized, "LoginRequired"
	case errors.Is(err, helper.ErrNotGranted), errors.Is(err, helper.ErrNotMine):
		return http.StatusForbidden, "AccessDenied"
	}
	return http.StatusServiceUnavailable, "ServiceUnavailable"
}

// writeAuthorization puts the authorization, without a line end, into the file that
// was named, or one of its own. SDKs read it anew each time. It is of no use when
// this process has ended, and removed then.
func (s *awsServer) writeAuthorization() (path string, remove func(), err error) {
	if path = s.Option["token-file"]; path == "" {
		dir, err := os.MkdirTemp(s.Getenv("XDG_RUNTIME_DIR"), "t2-cred-aws-") // the system's own, where that is empty
		if err != nil {
			return "", nil, err
		}
		path, remove = filepath.Join(dir, "authorization"), func() { _ = os.RemoveAll(dir) }
	} else if path, err = filepath.Abs(path); err == nil {
		remove = func() { _ = os.Remove(path) }
	}
	if err != nil {
		return "", nil, err
	}
	temp, err := os.CreateTemp(filepath.Dir(path), ".t2-cred-*") // mode 0600
	if err != nil {
		return "", nil, err
	}
	_, err = temp.WriteString(s.authorization)
	if err = errors.Join(err, temp.Close()); err == nil {
		err = os.Rename(temp.Name(), path)
	}
	if err != nil {
		_ = os.Remove(temp.Name())
		remove()
		return "", nil, err
	}
	return path, remove, nil
}
