package oidc

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

// TestIntrospect: what each server's answer says of a refresh token.
func TestIntrospect(t *testing.T) {
	for name, tt := range map[string]struct {
		auth          string
		status        int
		body          string
		active, known bool
		fails         bool
		asked         int
	}{
		"Keycloak 26, active":        {AuthBasic, 200, `{"active":true,"typ":"Offline"}`, true, true, false, 1},
		"Keycloak 26, ended":         {AuthBasic, 200, `{"active":false}`, false, true, false, 1},
		"Keycloak 18, ended":         {AuthBasic, 400, `{"error":"invalid_request","error_description":"Failed to introspect token."}`, false, true, false, 1},
		"refused":                    {AuthBasic, 403, `{"error":"access_denied"}`, false, false, true, 1},
		"a client that is wrong":     {AuthBasic, 401, `{"error":"invalid_client"}`, false, false, true, 1},
		"another 400":                {AuthBasic, 400, `{"error":"invalid_request","error_description":"Token not provided"}`, false, false, true, 1},
		"no JSON":                    {AuthBasic, 200, `<html>`, false, false, true, 1},
		"active is text":             {AuthBasic, 200, `{"active":"true"}`, false, false, true, 1},
		"active is missing":          {AuthBasic, 200, `{}`, false, false, true, 1},
		"a public client is silent":  {AuthNone, 200, `{"active":false}`, false, false, false, 0},
		"an endpoint that is broken": {AuthBasic, 500, ``, false, false, true, 3},
	} {
		t.Run(name, func(t *testing.T) {
			asked := 0
			front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				asked++
				if r.FormValue("token") != oldToken || r.FormValue("token_type_hint") != "refresh_token" {
					t.Errorf("asked with %v", r.Form)
				}
				answer(tt.status, "application/json", tt.body)(w, r)
			}))
			defer front.Close()
			i := New(front.URL, Options{Now: time.Now, Log: slog.New(slog.DiscardHandler)})
			i.meta = &Metadata{Issuer: front.URL, IntrospectionEndpoint: front.URL + "/introspect"}
			client := frontClient
			client.Auth = tt.auth
			active, known, err := i.Introspect(t.Context(), client, oldToken)
			if active != tt.active || known != tt.known || (err != nil) != tt.fails || asked != tt.asked {
				t.Errorf("active %t, known %t, %v, asked %d times", active, known, err, asked)
			}
		})
	}
	i := New("https://issuer.example", Options{Now: time.Now, Log: slog.New(slog.DiscardHandler)})
	i.meta = &Metadata{}
	if _, known, err := i.Introspect(t.Context(), frontClient, oldToken); known || err != nil {
		t.Errorf("without an endpoint: known %t, %v", known, err)
	}
}
