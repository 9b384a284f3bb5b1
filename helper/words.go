package helper

import "github.com/terradue/t2-cred/helper/oidc"

// Loopback reports whether a host is this machine. Plain http is allowed there alone.
func Loopback(host string) bool { return oidc.Loopback(host) }

// Clean makes text from outside printable, on one line.
func Clean(s string) string { return oidc.Clean(s) }
