package oidc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/terradue/t2-cred/helper/hint"
)

const (
	oidcSuffix  = "/.well-known/openid-configuration"
	oauthSuffix = "/.well-known/oauth-authorization-server"
)

// Metadata is what is used of an issuer's discovery document (OpenID Connect
// Discovery 1.0 §3, RFC 8414 §2). An optional member of a wrong type counts as absent,
// and so does an optional endpoint that is not secure.
type Metadata struct {
	Issuer        string
	TokenEndpoint string
	// JWKSURI is empty for an issuer that publishes no keys. Its tokens are opaque.
	JWKSURI               string
	RevocationEndpoint    string // RFC 7009
	IntrospectionEndpoint string // RFC 7662
	AuthorizationEndpoint string
	DeviceEndpoint        string // RFC 8628 §4
	PAREndpoint           string // RFC 9126 §5
	// AccessTokenIssuer is the `iss` of access tokens where it is another (ADFS).
	AccessTokenIssuer string

	AuthMethods    []string // token_endpoint_auth_methods_supported
	AuthAlgorithms []string // token_endpoint_auth_signing_alg_values_supported
	GrantTypes     []string // grant_types_supported
	SendsIssuer    bool     // authorization_response_iss_parameter_supported
	RequiresPAR    bool     // require_pushed_authorization_requests

	// Aliases are where a client with a certificate goes (RFC 8705 §5).
	Aliases struct {
		TokenEndpoint, RevocationEndpoint, IntrospectionEndpoint, DeviceEndpoint, PAREndpoint string
	}
	// Dropped are the endpoints that are not used, with the reason.
	Dropped []string
	// Product is the server's software, empty when it is not known.
	Product Product
}

// Metadata returns the discovery document, whose `issuer` equals the configured
// one to the letter and whose endpoints are all secure.
func (i *Issuer) Metadata(ctx context.Context) (*Metadata, error) {
	return i.metadata(ctx, whenStale)
}

func (i *Issuer) metadata(ctx context.Context, how asking) (*Metadata, error) {
	i.mu.Lock()
	m := i.meta
	i.mu.Unlock()
	if m != nil && how != anew {
		return m, nil
	}
	err := i.discover(ctx, i.id, how, func(body []byte) (err error) {
		m, err = parseMetadata(body, i.id)
		return err
	})
	if err != nil {
		return nil, err
	}
	for _, why := range m.Dropped {
		i.opt.Log.Debug("an endpoint is not used", "endpoint", why)
	}
	i.mu.Lock()
	i.meta = m
	i.mu.Unlock()
	return m, nil
}

// Product is the issuer's software, as far as its documents were read.
func (i *Issuer) Product() Product {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.meta == nil {
		return ""
	}
	return i.meta.Product
}

// discover fetches id's document: OpenID Connect Discovery first, RFC 8414's
// place second, whatever refusal or page the first one gives.
func (i *Issuer) discover(ctx context.Context, id string, how asking, read func([]byte) error) error {
	places, err := wellKnown(id)
	if err != nil {
		return err
	}
	if i.opt.DiscoveryURL != "" {
		if _, err := secureURL(i.opt.DiscoveryURL, id); err != nil {
			return &ConfigError{Detail: "discovery_url: " + err.Error()}
		}
		places = []string{i.opt.DiscoveryURL}
	}
	kept, _ := i.readCache(discoveryKind)
	if len(places) == 2 && kept.URL == places[1] {
		slices.Reverse(places) // it was there
	}
	var refused error // of the first place with another answer than "not there"
	noRealm := false
	for _, place := range places {
		_, err := i.fetch(ctx, discoveryKind, place, kept, how, read)
		var status *Error
		switch {
		case err == nil:
			return nil
		case errors.Is(err, errNoJSON): // a page for each address that a server does not know
		case !errors.As(err, &status) || status.Temporary():
			return err
		case status.Status == http.StatusNotFound, status.Status == http.StatusMethodNotAllowed:
			noRealm = noRealm || status.Code == "Realm does not exist" // Keycloak
			continue
		default: // some gateways answer 403 at an address that they do not know
			status.Remedy = hint.Say(addressHint(id))
		}
		if refused == nil {
			refused = err
		}
	}
	if _, realm, found := strings.Cut(id, "/realms/"); noRealm && found && !strings.Contains(realm, "/") {
		return &ConfigError{
			Detail: fmt.Sprintf("discovery: no OpenID provider at %s: the server has no realm %s", Clean(id), Clean(realm)),
			Remedy: hint.Say("check the spelling of the realm: its admin knows the exact name, also its capitals"),
		}
	}
	if refused != nil {
		return refused
	}
	return &ConfigError{
		Detail: fmt.Sprintf("discovery: no OpenID provider at %s (neither %s nor its RFC 8414 place is there)", Clean(id), oidcSuffix),
		Remedy: hint.Say(addressHint(id)),
	}
}

// addressHint is what may be wrong with an address that has no document.
func addressHint(id string) string {
	before, realm, found := strings.Cut(id, "/realms/")
	if name, rest, below := strings.Cut(realm, "/"); found && below && rest != "" {
		return fmt.Sprintf("a realm's address ends with its name; it may be %s/realms/%s", Clean(before), Clean(name))
	}
	if host, console, ok := strings.Cut(id, "/admin/"); ok && !found {
		name, _, _ := strings.Cut(console, "/")
		return fmt.Sprintf("that is an admin console; the issuer may be %s/realms/%s", Clean(host), Clean(name))
	}
	if u, err := url.Parse(id); err == nil && strings.Trim(u.Path, "/") == "" {
		return fmt.Sprintf("check the issuer's address: its admin knows the exact one; Keycloak's is %s/realms/REALM", Clean(strings.TrimRight(id, "/")))
	}
	if !found {
		return "check the issuer's address: its admin knows the exact one; the document lies below it at " + oidcSuffix
	}
	if other, ok := strings.CutSuffix(before, "/auth"); ok {
		return fmt.Sprintf("check the issuer's address, and how the realm is spelt; Keycloak 17 and later have it at %s/realms/%s", Clean(other), Clean(realm))
	}
	return fmt.Sprintf("check the issuer's address, and how the realm is spelt; Keycloak before 17 has it at %s/auth/realms/%s", Clean(before), Clean(realm))
}

const exactAddress = "check the issuer's address: it is as https://iam.example.org/realms/NAME; its admin knows the exact one"

// wellKnown lists where the document of issuer id may be. RFC 8414 §3.1 puts
// the well-known part between host and path.
func wellKnown(id string) ([]string, error) {
	u, err := url.Parse(id)
	if err == nil && strings.ContainsAny(u.Host, "<>{}$") {
		return nil, &ConfigError{Detail: "the issuer " + Clean(id) + " has a host that is no name: put your issuer's in its place"}
	}
	if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		what := "the issuer"
		if err == nil && u.Host == "" { // else a password may be in it
			what = "the issuer " + Clean(id)
		}
		e := &ConfigError{Detail: what + " is not an https URL without user, query and fragment", Remedy: hint.Say(exactAddress)}
		if err == nil && u.RawQuery != "" && u.User == nil { // as of Azure AD B2C's documents
			e.Remedy = hint.Say("the profile's issuer is the issuer of the document that lies there; a document whose address has a query is named by discovery_url in the profile")
		}
		return nil, e
	}
	if u.Scheme == "http" && !Loopback(u.Hostname()) {
		u.Scheme = "https" // never in clear, whatever the identifier says
	}
	if _, err := secureURL(u.String(), u.String()); err != nil {
		return nil, &ConfigError{Detail: "issuer " + err.Error(), Remedy: hint.Say(exactAddress)}
	}
	path := strings.TrimSuffix(u.EscapedPath(), "/")
	origin := u.Scheme + "://" + u.Host
	return []string{origin + path + oidcSuffix, origin + oauthSuffix + path}, nil
}

// readMetadata reads a document. A member of a wrong type is left out.
func readMetadata(body []byte) (*Metadata, error) {
	var doc map[string]json.RawMessage
	if err := json.Unmarshal(body, &doc); err != nil || doc == nil {
		return nil, &ConfigError{
			Detail: "discovery: the document is not one of an OpenID provider: it is no JSON object",
			Remedy: hint.Say("check the issuer's address: its admin knows the exact one"),
		}
	}
	m := &Metadata{}
	text := func(from map[string]json.RawMessage, name string) (s string) {
		if json.Unmarshal(from[name], &s) != nil {
			return ""
		}
		return s
	}
	list := func(name string) []string {
		var entries []json.RawMessage
		_ = json.Unmarshal(doc[name], &entries) // no list: absent
		var found []string
		for _, entry := range entries {
			var s string
			if json.Unmarshal(entry, &s) == nil {
				found = append(found, s)
			}
		}
		return found
	}
	var aliases map[string]json.RawMessage
	_ = json.Unmarshal(doc["mtls_endpoint_aliases"], &aliases) // no object: absent
	for _, e := range m.endpoints() {
		*e.value = text(doc, e.name)
		if e.alias != nil {
			*e.alias = text(aliases, e.name)
		}
	}
	m.Issuer, m.AccessTokenIssuer = text(doc, "issuer"), text(doc, "access_token_issuer")
	m.AuthMethods, m.GrantTypes = list("token_endpoint_auth_methods_supported"), list("grant_types_supported")
	m.AuthAlgorithms = list("token_endpoint_auth_signing_alg_values_supported")
	m.SendsIssuer = string(doc["authorization_response_iss_parameter_supported"]) == "true"
	m.RequiresPAR = string(doc["require_pushed_authorization_requests"]) == "true"
	m.Product = productOf(m)
	return m, nil
}

// An endpoint of the discovery document, with the place of its value in Metadata.
type endpoint struct {
	name   string
	value  *string
	alias  *string
	needed bool
}

func (m *Metadata) endpoints() []endpoint {
	return []endpoint{
		{"token_endpoint", &m.TokenEndpoint, &m.Aliases.TokenEndpoint, true},
		{"jwks_uri", &m.JWKSURI, nil, false},
		{"revocation_endpoint", &m.RevocationEndpoint, &m.Aliases.RevocationEndpoint, false},
		{"introspection_endpoint", &m.IntrospectionEndpoint, &m.Aliases.IntrospectionEndpoint, false},
		{"authorization_endpoint", &m.AuthorizationEndpoint, nil, false},
		{"device_authorization_endpoint", &m.DeviceEndpoint, &m.Aliases.DeviceEndpoint, false},
		{"pushed_authorization_request_endpoint", &m.PAREndpoint, &m.Aliases.PAREndpoint, false},
	}
}

// parseMetadata reads a discovery document and checks it against the issuer it
// was asked for (RFC 8414 §3.3: they MUST be identical).
func parseMetadata(body []byte, want string) (*Metadata, error) {
	m, err := readMetadata(body)
	if err != nil {
		return nil, err
	}
	if m.Issuer != want {
		return nil, &ConfigError{
			Detail: fmt.Sprintf("discovery: the issuer calls itself %q, the profile says %s", Clean(m.Issuer), Clean(want)),
			Remedy: hint.Say("if the issuer has moved, add the profile anew with --issuer and its new name; else do not trust it"),
		}
	}
	if m.TokenEndpoint == "" {
		return nil, &ConfigError{
			Detail: "discovery: this issuer gives no tokens to clients: its document names no token_endpoint",
			Remedy: hint.Say("such an issuer publishes keys only, as CI systems and clusters do; use the issuer where users log in"),
		}
	}
	for _, e := range m.endpoints() {
		if *e.value == "" {
			continue
		}
		_, err := secureURL(*e.value, want)
		switch {
		case err == nil:
		case e.needed, e.name == "jwks_uri": // without keys nothing could be verified
			return nil, &ConfigError{
				Detail: fmt.Sprintf("discovery: %s: %v", e.name, err),
				Remedy: m.askForHTTPS(),
			}
		default:
			m.Dropped = append(m.Dropped, fmt.Sprintf("%s: %v", e.name, err))
			*e.value = ""
		}
	}
	return m, nil
}

// askForHTTPS is what the admin of an issuer with unsafe addresses must change.
func (m *Metadata) askForHTTPS() hint.Remedy {
	words := "no token is sent there; " + AskAdmin + "publish absolute https endpoints"
	if m.Product == Keycloak {
		words += " (Keycloak: the settings hostname and proxy-headers)"
	}
	return hint.Say(words)
}

// Find turns what a person typed into an issuer: spaces, a missing scheme, the
// discovery document's own address, a trailing slash and plain http are
// forgiven, and what was forgiven is said in notes. The result's ID is the
// server's exact identifier; from then on it is strict.
func Find(ctx context.Context, typed string, opt Options) (i *Issuer, notes []string, err error) {
	id, notes := normalize(typed)
	i = New(id, opt)
	other := ""
	var m *Metadata
	accept := func(body []byte) (err error) {
		if m, err = readMetadata(body); err != nil {
			return err
		}
		if sameIssuer(m.Issuer) != sameIssuer(id) {
			other = m.Issuer
			return otherIssuer(id, m)
		}
		m, err = parseMetadata(body, m.Issuer)
		return err
	}
	if err := i.discover(ctx, id, anew, accept); err != nil {
		return nil, notes, i.tryOther(ctx, other, err)
	}
	if m.Issuer != id {
		notes = append(notes, fmt.Sprintf("the issuer writes itself %s; saved so", m.Issuer))
	}
	i.id, i.meta = m.Issuer, m
	return i, notes, nil
}

// sameIssuer is the same for spellings of one address: letters of the scheme and the host in
// either case, the scheme's own port or none (RFC 3986 §6.2), and a slash at the end.
func sameIssuer(id string) string {
	u, err := url.Parse(id)
	if err != nil {
		return id
	}
	u.Host = strings.ToLower(u.Host)
	for scheme, port := range map[string]string{"https": ":443", "http": ":80"} {
		if u.Scheme == scheme {
			u.Host = strings.TrimSuffix(u.Host, port)
		}
	}
	return strings.TrimSuffix(u.String(), "/")
}

// otherIssuer says that the document at id is another issuer's.
func otherIssuer(id string, m *Metadata) error {
	e := &ConfigError{Detail: fmt.Sprintf("discovery: the issuer at %s calls itself %s", Clean(id), Clean(m.Issuer))}
	if m.Issuer == "" {
		e.Detail = fmt.Sprintf("discovery: the document at %s names no issuer", Clean(id))
	}
	if u, err := url.Parse(m.Issuer); err != nil || u.Host == "" {
		e.Remedy = hint.Say(AskAdmin + "make the issuer's name its own https address (OpenID Connect Discovery 1.0 §3)")
	}
	if "https"+strings.TrimPrefix(m.Issuer, "http") == id {
		words := AskAdmin + "make it name itself by https; plain http would carry tokens in clear"
		if m.Product == Keycloak {
			words += " (Keycloak: the setting hostname, with https:// in it)"
		}
		e.Remedy = hint.Say(words)
	}
	return e
}

// tryOther adds what to do about a document that names another issuer: its name is a
// hint only if a document lies there.
func (i *Issuer) tryOther(ctx context.Context, other string, err error) error {
	var e *ConfigError
	if other == "" || !errors.As(err, &e) || e.Remedy != nil {
		return err
	}
	opt := i.opt
	opt.CacheDir, opt.DiscoveryURL = "", "" // nothing of it is kept
	_, tried := secureURL(other, i.id)
	if tried == nil {
		_, tried = New(other, opt).Discover(ctx)
	}
	if tried == nil {
		e.Remedy = hint.Say("if that is the one you mean, type it: --issuer " + hint.Quote(Clean(other)))
	} else {
		e.Remedy = hint.Say(fmt.Sprintf("no document lies at that name; if you trust it, make it the profile's issuer and set discovery_url to %s", Clean(i.id+oidcSuffix)))
	}
	return err
}

// withSlashes puts :// behind a scheme that has only a part of it. A host may be called
// https: then a port stands behind its colon.
func withSlashes(typed string) string {
	for _, scheme := range []string{"https", "http"} {
		rest, _ := strings.CutPrefix(typed, scheme)
		host := strings.TrimLeft(rest, ":/")
		between := strings.TrimSuffix(rest, host)
		port := between == ":" && host != "" && host[0] >= '0' && host[0] <= '9'
		if rest != typed && between != "" && host != "" && !port {
			return scheme + "://" + host
		}
	}
	return typed
}

// normalize undoes what people get wrong when they paste an issuer.
func normalize(typed string) (id string, notes []string) {
	id = strings.TrimSpace(typed)
	if bare := strings.TrimSpace(strings.Trim(id, "\"'“”")); bare != id {
		id = bare
		notes = append(notes, "the quotes are left out")
	}
	if whole := withSlashes(id); whole != id {
		id = whole
		notes = append(notes, "the :// behind the scheme is mended")
	}
	if !strings.Contains(id, "://") {
		scheme := "https"
		if u, err := url.Parse("https://" + id); err == nil && Loopback(u.Hostname()) {
			scheme = "http"
		}
		id = scheme + "://" + id
		notes = append(notes, "no scheme given: trying "+scheme)
	}
	if before, ok := strings.CutSuffix(id, oidcSuffix); ok {
		id = before
	}
	if before, after, ok := strings.Cut(id, oauthSuffix); ok {
		id = before + after
	}
	for _, sign := range []string{"#", "?"} {
		if before, _, ok := strings.Cut(id, sign); ok && !strings.Contains(before, "/.well-known/") { // the query of a document counts
			id = before
			notes = append(notes, "the part from "+sign+" on is a page's own: trying "+strings.TrimRight(id, "/"))
		}
	}
	id = strings.TrimRight(id, "/")
	if u, err := url.Parse(id); err == nil && u.Scheme == "http" && !Loopback(u.Hostname()) {
		u.Scheme = "https"
		id = u.String()
		notes = append(notes, fmt.Sprintf("plain http carries tokens in clear: trying %s", id))
	}
	return id, notes
}
