package hook

import (
	"errors"

	"github.com/terradue/t2-cred/helper/hint"
)

// hintOf is the next command to type, or empty if the error names none.
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
