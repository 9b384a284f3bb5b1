package hook

import (
	"fmt"
	"time"

	"github.com/terradue/t2-cred/helper"
)

// minValidOption is for tools that are told an end, and may want one that is later.
var minValidOption = Option{Name: "min-valid", Usage: "how long the token must still be valid, if the issuer's live that long (default 30s)"}

// wholeRunOption is for tools that keep one answer for as long as they run.
var wholeRunOption = Option{Name: "min-valid", Usage: "how long the token must still be valid, if the issuer's live that long (default: 10m, or half of its life where that is less)"}

// wholeRun is how long a token should last that a tool keeps until it ends, and
// never asks for again.
const wholeRun = 10 * time.Minute

// minValid is what the option says, or nil for what a helper.Request does then.
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

// forWholeRun makes a request one for a whole run, or for what the option says.
func forWholeRun(c *Call, r helper.Request) (helper.Request, error) {
	var err error
	r.MinValid, err = minValid(c)
	r.Prefer = wholeRun
	return r, err
}
