package oidc

import (
	"encoding/json"
	"strings"
)

// scopeClaim reads `scope`, a space-separated string (RFC 9068 §2.2.3) or, with
// some issuers, a list.
func scopeClaim(raw json.RawMessage) []string {
	var s string
	if json.Unmarshal(raw, &s) == nil {
		return strings.Fields(s)
	}
	var list []string
	_ = json.Unmarshal(raw, &list) // neither: no scopes are known
	return list
}

// EveryScope is what the claims scope and scp (Okta, Entra) open. A claim of another shape
// is one scope that nobody has asked for: what it opens is not known.
func (c Claims) EveryScope() (scopes []string) {
	var claim [2]json.RawMessage
	if parseExactly(c.JSON, map[string]any{"scope": &claim[0], "scp": &claim[1]}) != nil {
		return nil // an opaque token
	}
	for _, raw := range claim {
		var text string
		var list []string
		switch {
		case len(raw) == 0 || string(raw) == "null":
		case json.Unmarshal(raw, &text) == nil:
			scopes = append(scopes, strings.Fields(text)...)
		case json.Unmarshal(raw, &list) == nil:
			scopes = append(scopes, list...)
		default:
			scopes = append(scopes, Clean(string(raw)))
		}
	}
	return scopes
}
