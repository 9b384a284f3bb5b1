package hook

import (
	"fmt"
	"time"

	"github.com/terradue/t2-cred/helper"
)

// minValidOption is for tools that are told when the token expires.
var minValidOption = Option{Name: "min-valid", Usage: "how long the token must still be valid, if the issuer's tokens live that long (default 30s)"}

// longRunOption is for tools that use one answer until they end.
var longRunOption = Option{Name: "min-valid", Usage: "how long the token must still be valid, if the issuer's tokens live that long (default: 10m, or half of its life where that is less)"}

// longRun is how long a token should be valid for a tool that asks once and then uses
// the answer until it ends.
const longRun = 10 * time.Minute

// minValid is the value of the option, or nil for the default of a helper.Request.
func minValid(c *Call) (*time.Duration, error) {
	text := c.Option[minValidOption.Name]
	if text == "" {
		return nil, nil
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 {
		return nil, fmt.Errorf("%w: --min-valid %q is not a duration such as 2m", ErrUsage, text)
	}
	return &d, nil
}

// forLongRun sets how long the token must be valid: the option, or longRun.
func forLongRun(c *Call, r helper.Request) (helper.Request, error) {
	var err error
	r.MinValid, err = minValid(c)
	r.Prefer = longRun
	return r, err
}
