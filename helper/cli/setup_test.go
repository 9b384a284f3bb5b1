package cli

import (
	"errors"
	"slices"
	"testing"

	"github.com/terradue/t2-cred/helper/hint"
	"github.com/terradue/t2-cred/helper/hook"
	"github.com/terradue/t2-cred/helper/setup"
)

func TestSetupNamesHooksThatExist(t *testing.T) {
	for _, tool := range setup.Tools() {
		known := slices.ContainsFunc(hook.Protocols, func(p *hook.Protocol) bool { return p.Name == tool.Hook })
		if tool.Hook != "" && !known {
			t.Errorf("%s names the hook %q", tool.Name, tool.Hook)
		}
	}
}

func TestSetupErrorsKeepTheirExitCodes(t *testing.T) {
	for _, c := range []struct {
		err  error
		code int
	}{
		{&hint.Error{Kind: setup.ErrUsage, Detail: "x"}, exitUsage},
		{&hint.Error{Kind: setup.ErrConfiguration, Detail: "x", Remedy: hint.Say("y")}, exitConfig},
		{errors.New("other"), exitUnexpected},
	} {
		if code, _ := classify(c.err); code != c.code {
			t.Errorf("%v: exit code %d, not %d", c.err, code, c.code)
		}
	}
}
