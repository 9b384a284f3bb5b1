package oidc

import "testing"

// TestEndsTogether: what is known of a server's grants, by its discovery document.
func TestEndsTogether(t *testing.T) {
	keycloak := func(grants ...string) Metadata {
		return Metadata{Product: Keycloak, GrantTypes: grants}
	}
	for name, tt := range map[string]struct {
		meta            Metadata
		together, alone bool
	}{
		"Keycloak 18":          {keycloak("authorization_code", "refresh_token"), true, false},
		"Keycloak 26.7":        {keycloak("authorization_code", "refresh_token", grantExchange), false, true},
		"Keycloak, no list":    {keycloak(), true, false},
		"another":              {Metadata{Product: Dex, GrantTypes: []string{"refresh_token"}}, false, false},
		"unknown, with a list": {Metadata{GrantTypes: []string{grantExchange}}, false, false},
	} {
		if tt.meta.KeepsOne() != (name == "another") {
			t.Errorf("%s: keeps one: %v", name, tt.meta.KeepsOne())
		}
		if tt.meta.EndsTogether() != tt.together || tt.meta.EndsAlone() != tt.alone {
			t.Errorf("%s: together %v, alone %v", name, tt.meta.EndsTogether(), tt.meta.EndsAlone())
		}
	}
}
