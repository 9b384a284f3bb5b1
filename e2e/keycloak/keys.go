package keycloak

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/terradue/t2-cred/e2e/ledger"
)

// RotateKeys gives the realm a new signing key. The old ones stay published, as an
// administrator who rotates with care leaves them.
func (r *Realm) RotateKeys() {
	r.t.Helper()
	highest := 100
	for _, c := range r.keyProviders() {
		if p := c.priority(); p >= highest {
			highest = p + 1
		}
	}
	r.must(r.do(http.MethodPost, "/components", object{
		"name": "rotated-" + strconv.Itoa(highest), "providerId": "rsa-generated",
		"providerType": keyProviderType,
		"config": object{
			"priority": []string{strconv.Itoa(highest)}, "enabled": []string{"true"}, "active": []string{"true"},
			"algorithm": []string{"RS256"}, "keySize": []string{"2048"},
		},
	}, nil))
}

// DropOldKeys takes away all signing keys but the newest: access tokens that they
// signed cannot be verified any more.
func (r *Realm) DropOldKeys() {
	r.t.Helper()
	var signing []component
	highest := 0
	for _, c := range r.keyProviders() {
		if c.ProviderID == "rsa-generated" {
			signing = append(signing, c)
			highest = max(highest, c.priority())
		}
	}
	for _, c := range signing {
		if c.priority() < highest {
			r.must(r.do(http.MethodDelete, "/components/"+c.ID, nil, nil))
		}
	}
}

// PublishedKeys are the ids of the keys in the realm's JWKS, in its order. Mind that
// the first is often an encryption key.
func (r *Realm) PublishedKeys() []string {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.Issuer()+"/protocol/openid-connect/certs", nil)
	r.must(err)
	var set struct{ Keys []struct{ Kid string } }
	_, err = send(req, &set)
	r.must(err)
	ids := make([]string, len(set.Keys))
	for i, k := range set.Keys {
		ids[i] = k.Kid
	}
	return ids
}

const keyProviderType = "org.keycloak.keys.KeyProvider"

type component struct {
	ID         string              `json:"id"`
	ProviderID string              `json:"providerId"`
	Config     map[string][]string `json:"config"`
}

func (c component) priority() int {
	if p := c.Config["priority"]; len(p) == 1 {
		n, _ := strconv.Atoi(p[0])
		return n
	}
	return 0
}

func (r *Realm) keyProviders() []component {
	r.t.Helper()
	var all []component
	r.must(r.do(http.MethodGet, "/components?type="+keyProviderType, nil, &all))
	return all
}

// AddResourceServer makes a confidential client that may introspect the application's access
// tokens: they name it as an audience.
func (r *Realm) AddResourceServer(id string) (secret string) {
	r.t.Helper()
	secret = rand.Text()
	r.s.opts.Ledger.Add(ledger.Client, secret)
	r.must(r.do(http.MethodPost, "/clients", object{"clientId": id, "secret": secret, "standardFlowEnabled": false}, nil))
	var found []object
	r.must(r.do(http.MethodGet, "/clients?clientId="+ClientID, nil, &found))
	mapper := audience()
	mapper["name"] = "audience-" + id
	config, _ := mapper["config"].(object)
	config["included.client.audience"] = id
	r.must(r.do(http.MethodPost, fmt.Sprintf("/clients/%s/protocol-mappers/models", found[0]["id"]), mapper, nil))
	return secret
}

// AddIdentityProvider has the realm know another issuer, by which users log in or
// clients prove themselves.
func (r *Realm) AddIdentityProvider(settings map[string]any) {
	r.t.Helper()
	r.must(r.do("POST", "/identity-provider/instances", settings, nil))
}
