package cli

import "errors"

// textHint is the remedy of a helper.Problem, which has it as text. It goes with that
// type.
func textHint(err error) string {
	var hinted interface{ Hint() string }
	if errors.As(err, &hinted) {
		return hinted.Hint()
	}
	return ""
}
