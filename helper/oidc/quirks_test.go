package oidc

import (
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strings"
	"testing"

	"github.com/terradue/t2-cred/helper/hint"
)

// TestMeans has the answers of each server, with what they mean there and whether the
// client was authenticated.
func TestMeans(t *testing.T) {
	for _, tt := range []struct {
		product     Product
		op          string
		status      int
		code, words string
		means       Meaning
		accepted    bool
	}{
		// Dead grants.
		{Keycloak, "refresh", 400, "invalid_grant", "Token is not active", MeansGrantEnded, true},
		{Keycloak, "refresh", 400, "invalid_grant", "Stale token", MeansGrantEnded, true},
		{Keycloak, "refresh", 400, "invalid_grant", "Session doesn't have required client", MeansGrantEnded, true},
		{Keycloak, "refresh", 400, "invalid_grant", "Offline user session not found", MeansGrantEnded, true},
		{Keycloak, "refresh", 400, "invalid_grant", "Maximum allowed refresh token reuse exceeded", MeansGrantEnded, true},
		{Dex, "refresh", 400, "invalid_request", "Refresh token is invalid or has already been claimed by another client.", MeansGrantEnded, true},
		{"", "refresh", 400, "invalid_request", "Refresh token is invalid or has already been claimed by another client.", MeansGrantEnded, true},
		{Dex, "refresh", 400, "invalid_request", "Refresh token expired.", MeansGrantEnded, true},
		{UAA, "refresh", 401, "invalid_token", "Invalid refresh token expired at Mon Nov 30", MeansGrantEnded, true},
		{"", "refresh", 401, "invalid_token", "The token is expired", MeansGrantEnded, false},
		{"", "refresh", 400, "interaction_required", "AADSTS50076: multi-factor authentication", MeansGrantEnded, true},
		{"", "refresh", 400, "login_required", "", MeansGrantEnded, true},
		{"", "refresh", 400, "consent_required", "", MeansGrantEnded, true},
		{"", "refresh", 400, "INVALID_GRANT", "", MeansGrantEnded, true},
		// An overloaded server decides nothing, whatever it says.
		{Keycloak, "refresh", 503, "invalid_grant", "Session not active", MeansTemporary, false},
		{"", "refresh", 429, "invalid_grant", "", MeansTemporary, false},
		{"", "refresh", 400, "temporarily_unavailable", "", MeansTemporary, false},
		{Dex, "refresh", 500, "server_error", "Database error.", MeansTemporary, false},
		// No OAuth error: something before the issuer may have answered.
		{"", "refresh", 404, "", "", MeansTemporary, false},
		{"", "refresh", 403, "", "", MeansTemporary, false},
		{"", "refresh", 408, "", "", MeansTemporary, false},
		{"", "refresh", 401, "", "", MeansTemporary, false},
		{"", "exchange", 400, "", "", MeansTemporary, false},
		{"", "revoke", 404, "", "", MeansTemporary, false},
		{"", "discovery", 404, "", "", MeansRefused, false},
		{"", "discovery", 401, "", "", MeansRefused, false},
		{"", "jwks", 503, "", "", MeansTemporary, false},
		// Refused clients.
		{Keycloak, "refresh", 401, "unauthorized_client", "Invalid client or Invalid client credentials", MeansClientRefused, false},
		{Keycloak, "exchange", 400, "unauthorized_client", "Invalid client secret", MeansClientRefused, false},
		{Keycloak, "refresh", 401, "unauthorized_client", "Invalid client secret", MeansClientRefused, false}, // 18
		{Keycloak, "refresh", 400, "invalid_client", "Invalid client credentials", MeansClientRefused, false}, // 18
		{"", "refresh", 401, "invalid_client", "", MeansClientRefused, false},
		{"", "refresh", 400, "invalid_client", "", MeansClientRefused, false},
		{UAA, "refresh", 401, "unauthorized", "Bad credentials", MeansClientRefused, false},
		{"", "refresh", 400, "unauthorized_client", "requested grant type is not allowed for this client", MeansRefused, false},
		// Refused users' tokens.
		{Keycloak, "exchange", 400, "invalid_request", "Invalid token", MeansUserTokenRefused, true},
		{Keycloak, "exchange", 400, "invalid_token", "Invalid token", MeansUserTokenRefused, true},
		{"", "exchange", 400, "invalid_request", "Invalid token", MeansRefused, true},
		{"", "exchange", 400, "invalid_grant", "", MeansUserTokenRefused, true},
		{"", "exchange", 401, "invalid_token", "", MeansUserTokenRefused, false},
		// What Keycloak says with others' codes.
		{Keycloak, "exchange", 500, "unknown_error", "No token exchange provider available", MeansRefused, true},
		{Keycloak, "exchange", 400, "invalid_client", "Audience not found", MeansRefused, true},
		{Keycloak, "exchange", 400, "invalid_client", "Client requires user consent", MeansRefused, true},
		{Keycloak, "exchange", 400, "invalid_client", "Public client is not allowed to exchange token", MeansRefused, true},
		{Keycloak, "exchange", 500, "unknown_error", "", MeansTemporary, false},
		// Others.
		{"", "exchange", 400, "invalid_target", "", MeansRefused, true},
		{"", "exchange", 400, "invalid_scope", "", MeansRefused, true},
		{Spring, "exchange", 400, "unsupported_token_type", "OAuth 2.0 Token Exchange parameter: requested_token_type", MeansRefused, true},
		{"", "login", 400, "authorization_pending", "", MeansPending, true},
		{"", "login", 400, "slow_down", "", MeansPending, true},
		{"", "login", 400, "access_denied", "", MeansRefused, true},
		{"", "login", 400, "invalid_grant", "", MeansRefused, true},
	} {
		e := &Error{Product: tt.product, Op: tt.op, Status: tt.status, Code: tt.code, Description: tt.words}
		if e.Means() != tt.means || e.acceptsClient() != tt.accepted || e.Temporary() != (tt.means == MeansTemporary) {
			t.Errorf("%s %s %d %s %q: means %d, accepted %t; want %d, %t", tt.product, tt.op, tt.status, tt.code, tt.words, e.Means(), e.acceptsClient(), tt.means, tt.accepted)
		}
		before := e.Means()
		if e.Remedy = hint.Say("other words"); e.Means() != before {
			t.Errorf("%s %q: the hint changes the meaning", tt.code, tt.words)
		}
	}
}

// TestHints_changeNoMeaning: the two files know nothing of each other, so no hint can
// change what an answer means.
func TestHints_changeNoMeaning(t *testing.T) {
	declared := map[string][]string{}
	used := map[string][]string{}
	for _, file := range []string{"quirks.go", "remedy.go"} {
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range parsed.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				declared[file] = append(declared[file], d.Name.Name)
			case *ast.GenDecl:
				for _, spec := range d.Specs {
					switch spec := spec.(type) {
					case *ast.ValueSpec:
						for _, name := range spec.Names {
							declared[file] = append(declared[file], name.Name)
						}
					case *ast.TypeSpec:
						declared[file] = append(declared[file], spec.Name.Name)
					}
				}
			}
		}
		ast.Inspect(parsed, func(n ast.Node) bool {
			if id, ok := n.(*ast.Ident); ok {
				used[file] = append(used[file], id.Name)
			}
			return true
		})
	}
	products := []string{"Product", "Keycloak", "Dex", "Spring", "UAA", "OIDCProvider"} // both speak of them
	for _, pair := range [][2]string{{"quirks.go", "remedy.go"}, {"remedy.go", "quirks.go"}} {
		if len(declared[pair[1]]) < 5 || len(used[pair[0]]) < 50 {
			t.Fatal("the files were not read")
		}
		for _, name := range declared[pair[1]] {
			if slices.Contains(used[pair[0]], name) && !slices.Contains(products, name) {
				t.Errorf("%s uses %s of %s", pair[0], name, pair[1])
			}
		}
	}
}

// TestProductOf: by several endpoints of the document, never by one address.
func TestProductOf(t *testing.T) {
	for _, tt := range []struct {
		name string
		doc  string
		want Product
	}{
		{"Keycloak", `{"token_endpoint":"https://h/realms/r/protocol/openid-connect/token","jwks_uri":"https://h/realms/r/protocol/openid-connect/certs"}`, Keycloak},
		{"Keycloak with a host for the back channel", `{"token_endpoint":"https://in/auth/realms/r/protocol/openid-connect/token","jwks_uri":"https://in/auth/realms/r/protocol/openid-connect/certs"}`, Keycloak},
		{"a name with realms in it", `{"issuer":"https://h/realms/r","token_endpoint":"https://h/realms/r/token","jwks_uri":"https://h/realms/r/jwks"}`, ""},
		{"one path of Keycloak's", `{"token_endpoint":"https://h/protocol/openid-connect/token","jwks_uri":"https://h/jwks"}`, ""},
		{"Dex", `{"token_endpoint":"https://h/dex/token","jwks_uri":"https://h/dex/keys","authorization_endpoint":"https://h/dex/auth","device_authorization_endpoint":"https://h/dex/device/code"}`, Dex},
		{"Spring", `{"token_endpoint":"https://h/oauth2/token","jwks_uri":"https://h/oauth2/jwks","revocation_endpoint":"https://h/oauth2/revoke"}`, Spring},
		{"WSO2", `{"token_endpoint":"https://h/oauth2/token","jwks_uri":"https://h/oauth2/jwks","revocation_endpoint":"https://h/oauth2/revoke","device_authorization_endpoint":"https://h/oauth2/device_authorize"}`, ""},
		{"UAA", `{"token_endpoint":"https://h/oauth/token","jwks_uri":"https://h/token_keys"}`, UAA},
		{"oidc-provider", `{"token_endpoint":"https://h/oidc/token","jwks_uri":"https://h/oidc/jwks","authorization_endpoint":"https://h/oidc/auth","revocation_endpoint":"https://h/oidc/token/revocation"}`, OIDCProvider},
		{"three common names", `{"token_endpoint":"https://h/token","jwks_uri":"https://h/jwks","authorization_endpoint":"https://h/auth","revocation_endpoint":"https://h/revoke"}`, ""},
		{"Google", `{"token_endpoint":"https://oauth2.googleapis.com/token","jwks_uri":"https://www.googleapis.com/oauth2/v3/certs"}`, ""},
		{"Okta", `{"token_endpoint":"https://h/oauth2/default/v1/token","jwks_uri":"https://h/oauth2/default/v1/keys"}`, ""},
		{"nothing", `{}`, ""},
	} {
		m, err := readMetadata([]byte(tt.doc))
		if err != nil || m.Product != tt.want {
			t.Errorf("%s: %q, %v", tt.name, m.Product, err)
		}
	}
}

// TestHint_namesNoOtherProduct: a hint for an unknown server does not speak of one, and
// its commands name the profile and the account.
func TestHint_namesNoOtherProduct(t *testing.T) {
	for _, tt := range []struct {
		e    Error
		want string
	}{
		{Error{Op: "exchange", Status: 400, Code: "unsupported_grant_type"}, "ask the issuer's admin: enable token exchange (RFC 8693); or log the user in, which needs no exchange: t2-cred login --profile gep --account a1"},
		{Error{Op: "exchange", Status: 400, Code: "unsupported_grant_type", Product: Keycloak}, "ask the issuer's admin: enable token exchange (Keycloak: feature token-exchange, or 26.2 and later with the client's switch on); or log the user in, which needs no exchange: t2-cred login --profile gep --account a1"},
		{Error{Op: "refresh", Status: 401, Code: "invalid_client"}, "the client id or its secret is wrong, or the secret was changed at the issuer: t2-cred profile set-secret gep"},
		{Error{Op: "exchange", Status: 400, Code: "invalid_token"}, "the user's token has expired, its session has ended, the user is disabled, or another issuer made it; get a new access token for the user and exchange that one"},
		{Error{Op: "refresh", Status: 400, Code: "invalid_request", Description: "DPoP proof is missing"}, "the issuer demands DPoP (RFC 9449) of this client, which t2-cred does not speak; ask the issuer's admin: switch off DPoP-bound access tokens for this client"},
		{Error{Op: "refresh", Status: 400, Code: "use_dpop_nonce"}, "the issuer demands DPoP (RFC 9449) of this client, which t2-cred does not speak; ask the issuer's admin: switch off DPoP-bound access tokens for this client"},
		{Error{Op: "refresh", Status: 400, Code: "invalid_grant"}, ""},
	} {
		tt.e.Profile, tt.e.Account = "gep", "a1"
		if got := tt.e.Hint().String(); got != tt.want {
			t.Errorf("%s: %q", tt.e.Code, got)
		}
	}
}

// TestRemedies_nameTheirProduct: a remedy for any server names no product, unless its words
// are Keycloak's and nobody else's.
func TestRemedies_nameTheirProduct(t *testing.T) {
	allowed := []string{"scope offline_access not allowed for token exchange"}
	names := []string{string(Keycloak), string(Dex), "Spring", string(UAA), string(OIDCProvider), "Entra", "Okta", "Google"}
	seen := 0
	for _, r := range remedies() {
		said := r.do(&Error{Op: r.op, Code: r.code, Product: r.product}).String()
		for _, name := range names {
			if strings.Contains(said, name) && name != string(r.product) && !slices.Contains(allowed, r.words) {
				t.Errorf("%q %q: the remedy for product %q names %s: %s", r.code, r.words, r.product, name, said)
			}
		}
		if r.product != "" && strings.Contains(said, string(r.product)) {
			seen++
		}
	}
	if seen < 3 {
		t.Errorf("%d remedies name their product", seen)
	}
	for _, words := range []string{"Token is too far in the past", "Token reuse detected"} {
		for _, p := range []Product{"", Dex, Keycloak} {
			e := &Error{Op: "refresh", Code: "invalid_client", Description: words, Product: p}
			if said := e.assertionRemedy().String(); strings.Contains(said, "Keycloak") != (p == Keycloak) {
				t.Errorf("%s, of product %q: %s", words, p, said)
			}
		}
	}
}

// TestNarrowsAtRefresh: only where it was tested, as it could change the grant elsewhere.
func TestNarrowsAtRefresh(t *testing.T) {
	for _, p := range []Product{"", Keycloak, Dex, Spring, UAA} {
		if p.NarrowsAtRefresh() {
			t.Errorf("%q was not tested", p)
		}
	}
	if !OIDCProvider.NarrowsAtRefresh() {
		t.Error("oidc-provider was tested")
	}
}

// TestNarrow_meaning: a refusal of our own token is known as that of a user's, and what
// is refused otherwise is not a matter of the client's secret.
func TestNarrow_meaning(t *testing.T) {
	for _, tt := range []struct {
		e    Error
		want Meaning
		hint string
	}{
		{Error{Status: 400, Code: "invalid_request", Description: "Invalid token", Product: Keycloak}, MeansUserTokenRefused, ""},
		{Error{Status: 401, Code: "invalid_token"}, MeansUserTokenRefused, ""},
		{Error{Status: 400, Code: "invalid_client", Description: "Audience not found"}, MeansRefused, "name another audience"},
		{Error{Status: 400, Code: "invalid_request", Description: "Requested audience not available: x"}, MeansRefused, "audience mapper"},
		{Error{Status: 403, Code: "access_denied", Description: "Client not allowed to exchange"}, MeansRefused, "Standard token exchange"},
		{Error{Status: 400, Code: "unsupported_grant_type"}, MeansRefused, "no token exchange"},
		{Error{Status: 401, Code: "invalid_client"}, MeansClientRefused, "profile set-secret"},
		{Error{Status: 503}, MeansTemporary, ""},
	} {
		tt.e.Op = opNarrow
		if got, hint := tt.e.Means(), tt.e.Hint().String(); got != tt.want || !strings.Contains(hint, tt.hint) || tt.hint == "" && hint != "" {
			t.Errorf("%s %q: %d, %q", tt.e.Code, tt.e.Description, got, hint)
		}
		if strings.Contains(tt.e.Hint().String(), "user's token") || strings.Contains(tt.e.Hint().String(), "t2-cred login") {
			t.Errorf("%s: the remedy is that of a user's exchange: %s", tt.e.Code, tt.e.Hint())
		}
	}
}
