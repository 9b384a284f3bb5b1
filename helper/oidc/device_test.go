package oidc

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// TestDevice_products has the forms in which products answer a login on another device.
// Each device endpoint's answer is followed by those of the token endpoint, in order.
func TestDevice_products(t *testing.T) {
	const token = `{"access_token":"access-token-of-the-device-Zk3","token_type":"Bearer","expires_in":3600,"refresh_token":"refresh-token-of-the-device-Zk3"}`
	type said struct {
		status int
		body   string
	}
	for name, tt := range map[string]struct {
		device string // HOST stands for the issuer
		said   []said
		code   string // of the refusal; empty for tokens
		hint   string
		least  time.Duration // that the login takes
	}{
		"Google": {
			`{"device_code":"device-code-Zk3","user_code":"GQVQ-JKEC","verification_url":"HOST/device","expires_in":1800,"interval":1}`,
			[]said{{428, `{"error":"authorization_pending","error_description":"Precondition Required"}`}, {200, token}}, "", "", 2 * time.Second,
		},
		"Google, too fast": {
			`{"device_code":"device-code-Zk3","user_code":"GQVQ-JKEC","verification_url":"HOST/device","expires_in":1800,"interval":1}`,
			[]said{{403, `{"error":"slow_down","error_description":"Forbidden"}`}, {200, token}}, "", "", 7 * time.Second,
		},
		"Google, denied": {
			`{"device_code":"device-code-Zk3","user_code":"GQVQ-JKEC","verification_url":"HOST/device","expires_in":1800,"interval":1}`,
			[]said{{403, `{"error":"access_denied","error_description":"Forbidden"}`}}, "access_denied", "t2-cred login", 0,
		},
		"Entra, numbers as strings": {
			`{"device_code":"device-code-Zk3","user_code":"A2B3C4","verification_uri":"HOST/devicelogin","verification_url":"HOST/other","expires_in":"900","interval":"1","message":"To sign in"}`,
			[]said{{400, `{"error":"authorization_pending","error_description":"AADSTS70016: pending"}`}, {200, token}}, "", "", 2 * time.Second,
		},
		"Entra, declined": {
			`{"device_code":"device-code-Zk3","user_code":"A2B3C4","verification_uri":"HOST/devicelogin","expires_in":900,"interval":1}`,
			[]said{{400, `{"error":"authorization_declined","error_description":"AADSTS70019: declined"}`}}, "authorization_declined", "t2-cred login", 0,
		},
		"Entra of old, too late": {
			`{"device_code":"device-code-Zk3","user_code":"A2B3C4","verification_url":"HOST/devicelogin","expires_in":900,"interval":1}`,
			[]said{{400, `{"error":"code_expired","error_description":"AADSTS70020: expired"}`}}, "code_expired", "get a new one", 0,
		},
		"without interval and end": {
			`{"device_code":"device-code-Zk3","user_code":"A2B3C4","verification_uri":"HOST/device"}`,
			[]said{{400, `{"error":"expired_token"}`}}, "expired_token", "get a new one", 5 * time.Second,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var front *httptest.Server
			polls := 0
			front = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/start" {
					answer(200, "application/json", strings.ReplaceAll(tt.device, "HOST", front.URL))(w, r)
					return
				}
				now := tt.said[min(polls, len(tt.said)-1)]
				polls++
				answer(now.status, "application/json", now.body)(w, r)
			}))
			defer front.Close()
			i := at(front.URL, "")
			i.meta = &Metadata{Issuer: front.URL, TokenEndpoint: front.URL + "/token", DeviceEndpoint: front.URL + "/start"}
			d, err := i.StartDevice(t.Context(), frontClient, []string{"openid"})
			if err != nil || !strings.HasPrefix(d.VerificationURI, front.URL+"/device") || d.Expiry.Before(time.Now().Add(4*time.Minute)) {
				t.Fatalf("%+v, %v", d, err)
			}
			start := time.Now()
			got, err := i.Await(t.Context(), frontClient, d)
			if took := time.Since(start); took < tt.least || polls != len(tt.said) {
				t.Errorf("%d questions in %s", polls, took)
			}
			var refused *Error
			switch {
			case tt.code == "" && (err != nil || got.RefreshToken == ""):
				t.Errorf("no tokens: %v", err)
			case tt.code != "" && (!errors.As(err, &refused) || refused.Code != tt.code || !strings.Contains(refused.Hint().String(), tt.hint)):
				t.Errorf("%v", err)
			}
		})
	}
}

// TestDevice_oddAnswers: what is optional in the answer (RFC 8628 §3.2) ends no login when it is
// of no use. A refusal is one with any status.
func TestDevice_oddAnswers(t *testing.T) {
	const begin = `{"device_code":"device-code-Zk3","user_code":"A2B3C4","verification_uri":"HOST/device"`
	for name, tt := range map[string]struct {
		body     string
		complete string // HOST stands for the issuer
		says     string // of the error; empty for none
	}{
		"an address with the code":        {begin + `,"verification_uri_complete":"HOST/device?code=A2B3C4"}`, "HOST/device?code=A2B3C4", ""},
		"one in clear, as behind a proxy": {begin + `,"verification_uri_complete":"http://idp.example/device?code=A2B3C4"}`, "", ""},
		"one without a host":              {begin + `,"verification_uri_complete":"/device?code=A2B3C4"}`, "", ""},
		"one for an app":                  {begin + `,"verification_uri_complete":"app:device"}`, "", ""},
		"null":                            {begin + `,"verification_uri_complete":null,"interval":0,"expires_in":"0"}`, "", ""},
		"a byte order mark":               {"\ufeff" + begin + `}`, "", ""},
		"the address itself in clear":     {strings.Replace(begin, "HOST", "http://idp.example", 1) + `}`, "", "the verification address: "},
		"GitHub, not switched on":         {`{"error":"device_flow_disabled","error_description":"Device Flow must be explicitly enabled"}`, "", `device_flow_disabled "Device Flow`},
		"no answer of the protocol":       {`{"ok":true}`, "", "not one of a device authorization endpoint"},
	} {
		var front *httptest.Server
		front = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			answer(200, "application/json", strings.ReplaceAll(tt.body, "HOST", front.URL))(w, r)
		}))
		i := at(front.URL, "")
		i.meta = &Metadata{Issuer: front.URL, TokenEndpoint: front.URL + "/token", DeviceEndpoint: front.URL + "/start"}
		d, err := i.StartDevice(t.Context(), frontClient, []string{"openid"})
		switch {
		case tt.says != "" && (err == nil || !strings.Contains(err.Error(), tt.says)):
			t.Errorf("%s: %v", name, err)
		case tt.says == "" && (err != nil || d.VerificationURI != front.URL+"/device" || d.Complete != strings.ReplaceAll(tt.complete, "HOST", front.URL)):
			t.Errorf("%s: %+v, %v", name, d, err)
		case tt.says == "" && (d.interval != 5*time.Second || d.Expiry.Before(time.Now().Add(4*time.Minute))):
			t.Errorf("%s: asked each %s until %s", name, d.interval, d.Expiry)
		}
		front.Close()
	}
}
