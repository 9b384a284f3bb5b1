package store

import (
	"strings"
	"testing"
	"unicode/utf8"
)

// TestLabel has a person tell whose items are in a keyring.
func TestLabel(t *testing.T) {
	o := Options{IssuerOf: func(profile string) string {
		return map[string]string{"gep": "https://iam.terradue.com/auth/realms/master", "Lab": "https://[::1]:8443"}[profile]
	}}
	for item, want := range map[string]string{
		Key{"gep", "alice"}.item(kindGrant):            "t2-cred: gep/alice at iam.terradue.com",
		Key{"Lab", "Zoë, of the lab/"}.item(kindGrant): "t2-cred: Lab/Zoë, of the lab/ at [::1]:8443",
		Key{"gone", "default"}.item(kindGrant):         "t2-cred: gone/default",
		Key{"gep", "alice"}.item(kindToken):            "t2-cred: gep/alice, token at iam.terradue.com",
		Key{"gep", "alice"}.item(kindGrant) + "/2":     "t2-cred: gep/alice at iam.terradue.com, part 2",
		itemName(kindClient, "gep"):                    "t2-cred: client secret of gep at iam.terradue.com",
		kindSeal:                                       "t2-cred: the key to copies of tokens",
		"something":                                    "t2-cred: something",
	} {
		if got := o.label(item); got != want {
			t.Errorf("%s: %q, not %q", item, got, want)
		}
	}
	for length := range 100 { // D-Bus takes nothing else
		long := Key{"gep", strings.Repeat("a", length%3) + strings.Repeat("É", length)}.item(kindGrant)
		if got := o.label(long); !utf8.ValidString(got) {
			t.Errorf("%s: %q is no UTF-8", long, got)
		}
	}
	if got := (Options{}).label(Key{"gep", "alice"}.item(kindGrant)); got != "t2-cred: gep/alice" {
		t.Errorf("without an issuer: %q", got)
	}
}
