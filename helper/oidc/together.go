package oidc

import "slices"

// EndsTogether reports whether the issuer ends all offline grants of one user and client
// when one of them is revoked. It then also mixes up those of one login session when its
// refresh tokens rotate: Keycloak before 26.1 (keycloak#26532). A Keycloak is taken for newer when
// its discovery document lists token exchange, which 26.2 was the first to do.
func (m *Metadata) EndsTogether() bool { return m.Product == Keycloak && !m.ListsExchange() }

// EndsAlone reports whether revoking an offline grant is known to leave the user's other
// grants of another login alone.
func (m *Metadata) EndsAlone() bool { return m.Product == Keycloak && m.ListsExchange() }

// KeepsOne reports whether the issuer keeps one refresh token for each user and client, so
// that a new login ends the grant of the one before.
func (m *Metadata) KeepsOne() bool { return m.Product == Dex }

// ListsExchange reports whether the issuer lists token exchange among its grants.
func (m *Metadata) ListsExchange() bool { return slices.Contains(m.GrantTypes, grantExchange) }
