package hook

import "github.com/terradue/t2-cred/helper/hint"

// hintOf is the next command to type, or empty if the error names none.
func hintOf(err error) string {
	return hint.Of(err).String()
}
