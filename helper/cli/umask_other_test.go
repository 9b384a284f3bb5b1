//go:build !unix

package cli

func setUmask(int) (restore func()) { return func() {} }
