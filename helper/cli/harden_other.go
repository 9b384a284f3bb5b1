//go:build !unix

package cli

// harden has nothing to do here: files under the user's profile are private,
// and there are no core files.
func harden() (undo func()) { return func() {} }
