package hook

import "errors"

// hintOf is the next command to type, or empty if the error names none.
func hintOf(err error) string {
	var hinted interface{ Hint() string }
	if errors.As(err, &hinted) {
		return hinted.Hint()
	}
	return ""
}
