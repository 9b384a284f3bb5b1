package hook

import (
	"errors"
	"testing"

	"github.com/terradue/t2-cred/helper"
)

func TestPnpm_fails(t *testing.T) {
	stdout, _, err := runTool(pnpm, &toolGetter{fails: toolFailures["login"]}, nil, nil, "")
	if stdout != "" || !errors.Is(err, helper.ErrLoginRequired) {
		t.Errorf("%q, %v", stdout, err)
	}
	for _, registry := range []string{"tool.example.org", "/npm", "https://", "https://tool.example.org\n"} {
		wantUsage(t, pnpm, &toolGetter{hosts: []string{"tool.example.org"}}, nil, map[string]string{"url": registry})
	}
	wantUsage(t, pnpm, &toolGetter{}, []string{"https://tool.example.org"}, nil)
	wantUsage(t, pnpm, &toolGetter{}, nil, map[string]string{"min-valid": "-1s"})
}

func pnpmWays() []way {
	return []way{{name: "pnpm", protocol: pnpm, call: toOption("url"), says: asURL, notMineErr: helper.ErrNotMine}}
}
