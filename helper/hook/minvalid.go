package hook

import (
	"fmt"
	"time"
)

// minValidOption is for tools that keep one answer for as long as they run.
var minValidOption = Option{Name: "min-valid", Usage: "how long the token must still be valid, if the issuer's live that long (default 30s)"}

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
