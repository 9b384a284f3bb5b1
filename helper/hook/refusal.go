package hook

import "errors"

// hintOf is the next command to type, where the error knows it.
func hintOf(err error) string {
	var hinted interface{ Hint() string }
	if errors.As(err, &hinted) {
		return hinted.Hint()
	}
	return ""
}
