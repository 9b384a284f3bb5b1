package hook

import (
	"context"
	"errors"

	"github.com/terradue/t2-cred/helper"
	"github.com/terradue/t2-cred/helper/hint"
)

// mine is nil when a profile is for the request's URL, without getting a token:
// there is no empty token that could be dropped.
func mine(ctx context.Context, g Getter, r helper.Request) error { return g.Reject(ctx, r, "") }

// hintOf is the next command to type, where the error knows it.
func hintOf(err error) string {
	if r := hint.Of(err); len(r) > 0 {
		return r.String()
	}
	var hinted interface{ Hint() string }
	if errors.As(err, &hinted) {
		return hinted.Hint()
	}
	return ""
}
