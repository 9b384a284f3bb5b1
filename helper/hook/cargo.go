package hook

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strings"

	"github.com/terradue/t2-cred/helper"
)

// cargoFlag is the one argument of every call. The arguments from cargo's configuration
// are in the request.
const cargoFlag = "--cargo-plugin"

// cargo is Cargo's credential provider protocol, version 1:
// https://doc.rust-lang.org/cargo/reference/credential-provider-protocol.html
var cargo = Protocol{
	Name: "cargo", Flag: cargoFlag, RawArgs: true,
	Short: "Cargo credential provider",
	Long: `Answer cargo (1.74 or later), which runs "t2-cred --cargo-plugin". In ~/.cargo/config.toml:

  [registries.my-registry]
  index = "sparse+https://cargo.example.org/index/"
  credential-provider = ["t2-cred", "--index", "sparse+https://cargo.example.org/index/"]

The hosts of the index, and those that its config.json names for downloads and for the API,
must be among a profile's hosts. With --index no other index gets a token; it may be
repeated. A git index needs it. "--profile NAME", "--account NAME" and "--ca-file FILE" may
follow in the list.`,
	Serve: serveCargo,
}

// The answers, in the order of the protocol's page.
type (
	cargoToken struct {
		Kind       string `json:"kind"`
		Token      string `json:"token"`
		Cache      string `json:"cache"`
		Expiration int64  `json:"expiration,omitempty"`
		// The same token reads, publishes and yanks.
		OperationIndependent bool `json:"operation_independent"`
	}
	cargoError struct {
		Kind     string   `json:"kind"`
		Message  string   `json:"message,omitempty"`
		CausedBy []string `json:"caused-by,omitempty"`
	}
	cargoAnswer struct {
		Ok  *cargoToken `json:",omitempty"`
		Err *cargoError `json:",omitempty"`
	}
)

// The kinds of errors. After the first two cargo asks its next provider.
const (
	cargoNotMine     = "url-not-supported"
	cargoNotFound    = "not-found"
	cargoUnsupported = "operation-not-supported"
	cargoOther       = "other"
)

// serveCargo speaks first, then answers line by line until the input ends. Each
// failure is an answer: cargo takes an exit code for a crash.
func serveCargo(ctx context.Context, c *Call) error {
	if !slices.Equal(c.Args, []string{cargoFlag}) {
		return fmt.Errorf("%w: cargo calls t2-cred %s; see t2-cred cargo --help", ErrUsage, cargoFlag)
	}
	if _, err := io.WriteString(c.Stdout, `{"v":[1]}`+"\n"); err != nil {
		return err
	}
	in := bufio.NewReaderSize(c.Stdin, maxInput)
	for answered := false; ; answered = true {
		line, err := in.ReadSlice('\n')
		switch {
		case err == nil || len(line) > 0:
		case errors.Is(err, io.EOF):
			return nil
		case answered && !errors.Is(err, context.Canceled):
			return nil // the time was up; cargo would drop the answer for an exit code
		default:
			return err // there is no request to answer
		}
		if err != nil && !errors.Is(err, io.EOF) {
			if errors.Is(err, bufio.ErrBufferFull) {
				err = fmt.Errorf("it is longer than %d bytes", maxInput)
			}
			// What follows cannot be told from the rest of this request.
			return writeCargo(c.Stdout, cargoAnswer{Err: otherCargo(fmt.Errorf("cargo's request: %w", err))})
		}
		answer, err := answerCargo(ctx, c, bytes.TrimSuffix(line, []byte("\n")))
		if errors.Is(err, context.Canceled) {
			return err
		}
		if err != nil {
			answer = cargoAnswer{Err: cargoFailure(c.Stderr, err)}
		}
		if err := writeCargo(c.Stdout, answer); err != nil {
			return err
		}
	}
}

// answerCargo answers one request.
func answerCargo(ctx context.Context, c *Call, line []byte) (cargoAnswer, error) {
	q, err := readCargo(line)
	if err != nil {
		return cargoAnswer{}, err
	}
	// The login of another registry is for its own provider.
	if err := c.Serves(ctx, q.Request); err != nil {
		return cargoAnswer{}, err
	}
	if err := q.checkTrusted(); err != nil {
		return cargoAnswer{}, err
	}
	if q.kind != "get" {
		return cargoAnswer{Err: &cargoError{Kind: cargoUnsupported}}, nil
	}
	cred, err := c.Get(ctx, q.Request)
	if err == nil {
		err = q.checkHosts(ctx, c, cred)
	}
	if err != nil {
		return cargoAnswer{}, err
	}
	ok := &cargoToken{Kind: "get", Token: "Bearer " + cred.Token.Reveal(), Cache: "session", OperationIndependent: true}
	if !cred.Expiry.IsZero() {
		ok.Cache, ok.Expiration = "expires", cred.Expiry.Unix()
	}
	return cargoAnswer{Ok: ok}, nil
}

// readCargo reads a request. Its kind is "get" for the operations that a token
// is for, and empty for an operation that is not known.
func readCargo(line []byte) (q cargoRequest, err error) {
	bad := func(err error) (cargoRequest, error) { return cargoRequest{}, fmt.Errorf("cargo's request: %w", err) }
	if bytes.ContainsFunc(line, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return bad(errors.New("a control character is in it"))
	}
	message, err := readObject(line)
	if err != nil {
		return bad(err)
	}
	var (
		version                int
		kind, operation, index string
		args                   []string
		info                   json.RawMessage
	)
	err = errors.Join(member(message, "v", &version), member(message, "kind", &kind), member(message, "operation", &operation),
		member(message, "args", &args), member(message, "registry", &info))
	if err != nil {
		return bad(err)
	}
	if version != 1 {
		return bad(fmt.Errorf("version %d of the protocol, not 1", version))
	}
	registry, err := readObject(info)
	if err == nil {
		err = member(registry, "index-url", &index)
	}
	if err != nil {
		return bad(fmt.Errorf("registry: %w", err))
	}
	if q, err = cargoArgs(args); err != nil {
		return bad(err)
	}
	q.URL, err = url.Parse(strings.TrimPrefix(index, "sparse+"))
	if err != nil {
		return q, fmt.Errorf("%w: %q", helper.ErrNotMine, index)
	}
	if kind == "get" && !slices.Contains([]string{"read", "publish", "yank", "unyank", "owners"}, operation) {
		kind = ""
	}
	q.kind, q.index = kind, index
	return q, nil
}

// cargoArgs reads what follows our name in cargo's configuration.
func cargoArgs(args []string) (q cargoRequest, err error) {
	if len(args) > 0 && args[0] == "cargo" { // as one would call us by hand
		args = args[1:]
	}
	for len(args) > 0 {
		name, value, joined := strings.Cut(args[0], "=")
		args = args[1:]
		if !joined && len(args) > 0 {
			value, args = args[0], args[1:]
		}
		switch {
		case value != "" && (name == "--profile" || name == "-p"):
			q.Profile.Name = value
		case value != "" && (name == "--account" || name == "-a"):
			q.Account = value
		case value != "" && name == "--index":
			q.trusted = append(q.trusted, value)
		case value != "" && name == "--ca-file":
			q.caFile = value
		default:
			return q, fmt.Errorf("credential-provider: %q is not --profile NAME, --account NAME, --index URL or --ca-file FILE", name)
		}
	}
	return q, nil
}

// cargoFailure is an error in cargo's words.
func cargoFailure(stderr io.Writer, err error) *cargoError {
	switch {
	case errors.Is(err, helper.ErrNotMine):
		return &cargoError{Kind: cargoNotMine}
	case errors.Is(err, helper.ErrLoginRequired), errors.Is(err, errCargoIndex):
		// cargo does not show the message of these kinds, but standard error is the
		// user's terminal.
		fmt.Fprintf(stderr, "t2-cred: %v\n", err)
		if hint := hintOf(err); hint != "" {
			fmt.Fprintf(stderr, "hint: %s\n", hint)
		}
		if errors.Is(err, errCargoIndex) {
			return &cargoError{Kind: cargoNotMine}
		}
		return &cargoError{Kind: cargoNotFound}
	}
	return otherCargo(err)
}

func otherCargo(err error) *cargoError {
	e := &cargoError{Kind: cargoOther, Message: err.Error()}
	if hint := hintOf(err); hint != "" {
		e.CausedBy = []string{"hint: " + hint}
	}
	return e
}

func writeCargo(w io.Writer, answer cargoAnswer) error {
	var line bytes.Buffer
	enc := json.NewEncoder(&line)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(answer); err != nil {
		return err
	}
	_, err := w.Write(line.Bytes())
	return err
}
