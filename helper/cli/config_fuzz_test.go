package cli

import (
	"reflect"
	"slices"
	"testing"
)

// configSeeds are configurations that are right and wrong.
func configSeeds() []string {
	const profile = "issuer = \"https://iam.example.org\"\nclient_id = \"c\"\n"
	return []string{
		"", "default_profile = \"a\"\n[profiles.a]\n" + profile + "[profiles.b]\n" + profile + "hosts = [\"*.example.org:8443\"]\n",
		"[profiles.a]\n" + profile + "scopes = [\"x\\u0020y\"]\n", "[profiles.a] # \"\"\"\n" + profile, "[ profiles . a ]\n" + profile,
		"[profiles.'a']\n" + profile, "[profiles]\na = { issuer = \"https://x\", client_id = \"c\" }\n", "profiles.a.issuer = \"x\"\n",
		"[profiles.a]\nclient_secret = \"eq7Rb0ZkGm2vWq5xT1nYc8LdPj3sHf6u\"\n", "identity_command = [\"relative\"]\n", "store = 1\n", "[[profiles]]\n",
		"x = '''\n[profiles.a]\n'''\n", "\xff\xfe", "\ufeff[profiles.a]\n" + profile, "[profiles.a]\n[profiles.a]\n", profile, "a = \"\x1b[31m\"\n",
		"[profiles.a]\n" + profile + "[profiles.a.b]\nc = 1\n", "[profiles.a]\nissuer = \"https://x\"\nclient_id = \"\u202e\"\n",
	}
}

// FuzzConfig reads any text as config.toml. What is wrong is an error of the
// configuration, on one printable line. A part that is read for one profile says of it
// what the whole says.
func FuzzConfig(f *testing.F) {
	for _, seed := range configSeeds() {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		whole, err := parseByHand("/etc/config.toml", []byte(text))
		if err != nil {
			wantConfigError(t, text, err)
			return
		}
		for name, p := range whole.Profiles {
			if !isProfileName(name) || p.Issuer == "" || p.ClientID == "" {
				t.Errorf("profile %q is accepted: %+v", name, p)
			}
			part, err := parsePart("/etc/config.toml", []byte(text), name, configFiles{})
			if err != nil {
				t.Errorf("%q: the part of %s is refused: %v", text, name, err)
				continue
			}
			if got, found := part.Profiles[name]; found && !reflect.DeepEqual(got, p) {
				t.Errorf("%q: of %s, the part says %+v, the whole %+v", text, name, got, p)
			}
			if part.Store != whole.Store || part.DefaultProfile != whole.DefaultProfile || !slices.Equal(part.Identity, whole.Identity) {
				t.Errorf("%q: the part has another head", text)
			}
		}
	})
}

// FuzzProfileFile reads any text as a file of profiles.d. What is accepted means the same
// once it was written again.
func FuzzProfileFile(f *testing.F) {
	for _, seed := range configSeeds() {
		f.Add(seed)
	}
	f.Add("issuer = \"https://iam.example.org\"\nclient_id = \"c\"\nclient_auth = \"tls\"\nclient_key_file = \"/k\"\nclient_cert_file = \"/c\"\nhosts = [\"[::1]:8443\"]\n")
	f.Fuzz(func(t *testing.T, text string) {
		var p profileConfig
		if err := decodeStrictly("/etc/p.toml", []byte(text), &p); err != nil {
			wantConfigError(t, text, err)
			return
		}
		if err := checkProfile("p", p); err != nil {
			return
		}
		var again profileConfig
		written := profileText(p)
		if err := decodeStrictly("/etc/p.toml", written, &again); err != nil {
			t.Fatalf("%q was written as %q: %v", text, written, err)
		}
		if err := checkProfile("p", again); err != nil || string(profileText(again)) != string(written) {
			t.Errorf("%q was written as %q: %v", text, written, err)
		}
	})
}

// wantConfigError wants an error of the configuration.
func wantConfigError(t *testing.T, text string, err error) {
	t.Helper()
	if code, _ := classify(err); code != exitConfig {
		t.Errorf("%q: exit %d, %v", text, code, err)
	}
}
