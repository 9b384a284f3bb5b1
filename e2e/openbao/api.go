package openbao

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

// Refused is an answer of the engine that is an error.
type Refused struct {
	Status int
	Words  string
}

func (r *Refused) Error() string { return fmt.Sprintf("status %d: %s", r.Status, r.Words) }

// API calls the engine as root, at the leader, and fails the test if the engine refuses.
// The answer is decoded into answer, unless that is nil.
func (c *Cluster) API(method, path string, body, answer any) {
	c.t.Helper()
	if err := c.Try(method, path, body, answer); err != nil {
		c.t.Fatalf("openbao: %s %s: %v", method, path, err)
	}
}

// Try is API for a call that may be refused, which is a [Refused].
func (c *Cluster) Try(method, path string, body, answer any) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	var err error
	// While the leader changes there is nobody to ask.
	return errors.Join(poll(ctx, func() error {
		var leader *Node
		if leader, err = c.leader(ctx); err != nil {
			return err
		}
		err = c.call(ctx, leader.URL, method, path, body, answer)
		var refused *Refused
		if errors.As(err, &refused) && refused.Status < 500 {
			return nil
		}
		return err
	}), err)
}

func (c *Cluster) call(ctx context.Context, base, method, path string, body, answer any) error {
	var r io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return err
		}
		r = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, base+"/v1/"+path, r)
	if err != nil {
		return err
	}
	if c.root != "" {
		req.Header.Set("X-Vault-Token", c.root)
	}
	res, err := c.http.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()
	b, err := io.ReadAll(io.LimitReader(res.Body, 16<<20))
	if err != nil {
		return err
	}
	if res.StatusCode >= 300 {
		return &Refused{res.StatusCode, string(b)}
	}
	if answer == nil {
		return nil
	}
	return json.Unmarshal(b, answer)
}
