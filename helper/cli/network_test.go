package cli

import (
	"github.com/rogpeppe/go-internal/testscript"
)

// cmdNamed wants each request so far to say who sent it, with the version.
func cmdNamed(ts *testscript.TestScript, _ bool, _ []string) {
	requests := here(ts).issuer.Requests()
	for _, r := range requests {
		if r.UserAgent != "t2-cred/"+version() {
			ts.Fatalf("%s %s is sent by %q", r.Method, r.Path, r.UserAgent)
		}
	}
	if len(requests) < 4 {
		ts.Fatalf("%d requests only", len(requests))
	}
}
