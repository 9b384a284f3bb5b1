package cli

import (
	"fmt"
	"runtime/debug"
)

// A crash is a panic. Its value may hold anything, so only the kind of it is kept;
// the stack is of our code and shows no values.
type crash struct {
	kind  string
	stack []byte
}

func (c *crash) Error() string {
	return fmt.Sprintf("internal error (%s); please report it with the stack below", c.kind)
}

func crashed(value any) *crash { return &crash{fmt.Sprintf("%T", value), debug.Stack()} }

// guarded turns a panic into an error. Every goroutine that this package starts runs
// in it: a panic outside of the main one would end the process and print its value.
func guarded[T any](do func() (T, error)) (value T, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = crashed(r)
		}
	}()
	return do()
}
