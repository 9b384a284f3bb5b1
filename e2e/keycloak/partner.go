package keycloak

import (
	"net/http"
	"net/url"
)

// Partner has this realm know another realm of the server as the identity provider of
// that alias, and lets the application exchange its tokens (external to internal): the
// legacy exchange with the permission of fine-grained admin permissions v1.
func (r *Realm) Partner(alias string, other *Realm) {
	r.t.Helper()
	at := other.Issuer() + "/protocol/openid-connect"
	r.AddIdentityProvider(object{"alias": alias, "providerId": "oidc", "enabled": true, "config": object{
		"issuer": other.Issuer(), "useJwksUrl": "true", "jwksUrl": at + "/certs", "validateSignature": "true",
		"clientId": "unused", "clientSecret": "unused", "tokenUrl": at + "/token", "authorizationUrl": at + "/auth", "userInfoUrl": at + "/userinfo",
	}})
	provider := "/identity-provider/instances/" + alias + "/management/permissions"
	var allowed struct {
		Permissions map[string]string `json:"scopePermissions"`
	}
	r.must(r.do(http.MethodPut, provider, object{"enabled": true}, &allowed))
	server := "/clients/" + r.clientUUID("realm-management") + "/authz/resource-server"
	policy := object{}
	r.must(r.do(http.MethodPost, server+"/policy/client", object{"name": "may-exchange-" + alias, "clients": []string{r.clientUUID(ClientID)}}, &policy))
	id := allowed.Permissions["token-exchange"]
	var permission object
	var resources, scopes []object
	r.must(r.do(http.MethodGet, server+"/permission/scope/"+id, nil, &permission))
	r.must(r.do(http.MethodGet, server+"/permission/"+id+"/resources", nil, &resources))
	r.must(r.do(http.MethodGet, server+"/permission/"+id+"/scopes", nil, &scopes))
	if len(resources) != 1 || len(scopes) != 1 {
		r.t.Fatalf("keycloak: the permission has %d resources and %d scopes", len(resources), len(scopes))
	}
	permission["policies"] = []any{policy["id"]}
	permission["resources"], permission["scopes"] = []any{resources[0]["_id"]}, []any{scopes[0]["id"]}
	r.must(r.do(http.MethodPut, server+"/permission/scope/"+id, permission, nil))
}

// LinkPartner says that a user of this realm is that user of the identity provider.
func (r *Realm) LinkPartner(alias, user string, other *Realm, theirs string) {
	r.t.Helper()
	r.must(r.do(http.MethodPost, "/users/"+r.UserID(user)+"/federated-identity/"+alias, object{
		"identityProvider": alias, "userId": other.UserID(theirs), "userName": theirs,
	}, nil))
}

func (r *Realm) clientUUID(clientID string) string {
	r.t.Helper()
	var found []object
	r.must(r.do(http.MethodGet, "/clients?clientId="+url.QueryEscape(clientID), nil, &found))
	if len(found) != 1 {
		r.t.Fatalf("keycloak: %d clients are called %s", len(found), clientID)
	}
	id, _ := found[0]["id"].(string)
	return id
}

// PairwiseSubjects has this client know each user by a subject of its own (OpenID Connect
// Core §8.1).
func (r *Realm) PairwiseSubjects(clientID string) {
	r.t.Helper()
	// Keycloak takes the sector from the host of the redirect addresses.
	r.ConfigureClient(clientID, object{"redirectUris": []string{"http://127.0.0.1/*"}})
	r.must(r.do(http.MethodPost, "/clients/"+r.clientUUID(clientID)+"/protocol-mappers/models", object{
		"name": "pairwise", "protocol": "openid-connect", "protocolMapper": "oidc-sha256-pairwise-sub-mapper",
		"config": object{"pairwiseSubAlgorithmSalt": "salt-of-" + clientID},
	}, nil))
}
