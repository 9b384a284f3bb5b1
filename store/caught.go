package store

import "fmt"

// caught makes an error of a panic in a goroutine that is not the main one: there it
// would end the process and print its value, which may be a secret. To be deferred.
func caught(err *error) {
	if r := recover(); r != nil {
		*err = fmt.Errorf("internal error (%T)", r)
	}
}
