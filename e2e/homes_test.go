package e2e

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unsafe"

	"github.com/terradue/t2-cred/e2e/keycloak"
	"github.com/terradue/t2-cred/e2e/keyring"
	"github.com/terradue/t2-cred/e2e/run"
)

// TestHomes_neverMix: two homes of one uid share the kernel's keyring, and maybe the
// bus, and have a profile of the same name. One is alice's and the other bob's.
func TestHomes_neverMix(t *testing.T) {
	realm := server(t).Realm(t, keycloak.Legacy)
	for _, c := range []struct {
		name      string
		oneBus    bool
		oneConfig bool
	}{
		{name: "on one bus", oneBus: true},
		{name: "on two buses"},
		{name: "on one bus, with one configuration", oneBus: true, oneConfig: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			alice := newStage(t, realm)
			ring := alice.ring
			if !c.oneBus {
				ring = keyring.Start(t)
			}
			bob := &stage{program(t).NewHome(t).Set(ring.Bus()), t, ring, realm}
			if c.oneConfig {
				// For bob it is not the usual file, so its profiles are beside it.
				conf := filepath.Join(alice.Dir, ".config/t2-cred")
				if err := os.CopyFS(filepath.Join(conf, "config.toml.d"), os.DirFS(filepath.Join(conf, "profiles.d"))); err != nil {
					t.Fatal(err)
				}
				bob.Set("T2_CRED_CONFIG=" + filepath.Join(alice.Dir, ".config/t2-cred/config.toml"))
				alice.Set("T2_CRED_CONFIG=" + filepath.Join(alice.Dir, ".config/t2-cred/config.toml"))
				bob.Want(0, "profile", "set-secret", "gep", "--client-secret-file", secretFile(t, realm.ClientSecret()))
			} else {
				bob.Want(0, addProfile(t, realm)...)
			}

			// What alice has is not there for bob, not even in the cache.
			alice.exchange("alice")
			wantFailure(t, bob.Run("get"), 4, "nothing is stored for gep/default", "t2-cred exchange")
			wantFailure(t, bob.Run("status"), 4, "nothing is stored for gep/default", "t2-cred exchange")
			if out := bob.Want(0, "list", "--json").Stdout; strings.TrimSpace(out) != "[]" {
				t.Errorf("bob's list: %s", out)
			}
			bob.exchange("bob")
			for range 3 {
				s := alice.get("alice")
				b := bob.get("bob")
				if alice.get("alice") != s || bob.get("bob") != b {
					t.Error("a cached token was not served twice")
				}
				alice.get("alice", "--fresh")
				bob.get("bob", "--fresh")
			}
			readJSON(t, alice.Want(0, "status", "--json").Stdout).want(t, object{"username": "alice", "state": "ok"})
			readJSON(t, bob.Want(0, "status", "--json").Stdout).want(t, object{"username": "bob", "state": "ok"})

			// Both come from the kernel, each by a name of its own.
			if a, b := kernelTokens(t, alice.Home), kernelTokens(t, bob.Home); len(a) != 1 || len(b) != 1 || a[0].name == b[0].name {
				t.Errorf("the kernel has %d tokens of alice's and %d of bob's, want one each, by two names", len(a), len(b))
			}

			// What bob does to his is nothing to alice.
			bob.Want(0, "erase")
			wantFailure(t, bob.Run("get"), 4, "nothing is stored", "t2-cred exchange")
			alice.free("alice's cached get", func() { alice.get("alice") })
			alice.get("alice", "--fresh")
		})
	}
}

// TestHomes_successor: what was cached of an erased grant is never served for the
// one that came after it, also when it comes back from the dead.
func TestHomes_successor(t *testing.T) {
	realm := server(t).Realm(t, keycloak.Legacy)
	for _, c := range []struct {
		name string
		end  func(s *stage)
	}{
		{"erased", func(s *stage) { s.Want(0, "erase") }},
		{"erased here only", func(s *stage) { s.Want(0, "erase", "--local-only") }},
		{"exchanged over", func(*stage) {}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newStage(t, realm)
			s.exchange("alice")
			s.get("alice", "--fresh")
			cached := kernelTokens(t, s.Home)
			if len(cached) != 1 || !strings.Contains(cached[0].payload, s.get("alice")) {
				t.Fatalf("the kernel has %d tokens of this home, want alice's", len(cached))
			}
			c.end(s)
			s.exchange("bob", "--replace")
			first := s.get("bob")

			// As a crash between two steps, or an older process, could leave it.
			if _, err := addKey(cached[0].name, cached[0].payload); err != nil {
				t.Fatal(err)
			}
			if got := s.get("bob"); got == first {
				t.Error("the token is not from the kernel at all: this shows nothing")
			}
			readJSON(t, s.Want(0, "status", "--json").Stdout).want(t, object{"username": "bob"})

			// The same with no grant after it.
			s.Want(0, "erase")
			if _, err := addKey(cached[0].name, cached[0].payload); err != nil {
				t.Fatal(err)
			}
			for _, command := range []string{"get", "claims", "status"} {
				wantFailure(t, s.Run(command), 4, "nothing is stored", "t2-cred exchange")
			}
			for _, k := range kernelTokens(t, s.Home) {
				_, _ = keyctl(keyctlUnlink, uintptr(k.id), userKeyring, 0, 0)
			}
		})
	}
}

// TestHomes_anotherConfiguration: a token that was made for another client, scope or
// audience than today's is not served from the cache.
func TestHomes_anotherConfiguration(t *testing.T) {
	realm := server(t).Realm(t, keycloak.Legacy)
	s := newStage(t, realm)
	s.exchange("alice")
	before := s.get("alice")
	s.Want(0, "profile", "edit", "gep", "--scope", "openid offline_access")
	if s.get("alice") == before {
		t.Error("the token of the old configuration was served")
	}
	// Another client altogether: its grant is not this one's.
	s.Want(0, "profile", "edit", "gep", "--unproven", "--client-id", "another")
	s.free("get for another client", func() {
		wantFailure(t, s.Run("get"), 4, "what is stored is for client "+keycloak.ClientID, "t2-cred exchange")
	})
}

// kernelKey is a key in the kernel's keyring of the user.
type kernelKey struct {
	id            int
	name, payload string
}

// kernelTokens are the access tokens that the kernel keeps for a home.
func kernelTokens(t *testing.T, h *run.Home) (found []kernelKey) {
	t.Helper()
	spaces, err := filepath.Glob(filepath.Join(h.Dir, ".local/state/t2-cred/*/notes-keyring"))
	if err != nil || len(spaces) != 1 {
		t.Fatalf("the namespaces are %q, %v", spaces, err)
	}
	prefix := "t2-cred:" + filepath.Base(filepath.Dir(spaces[0])) + ":token,"
	ids := readKey(t, keyctlRead, userKeyring)
	for ; len(ids) >= 4; ids = ids[4:] {
		id := int(int32(binary.NativeEndian.Uint32(ids)))
		description := string(bytes.TrimRight(readKey(t, keyctlDescribe, uintptr(id)), "\x00"))
		if name := description[strings.LastIndexByte(description, ';')+1:]; strings.HasPrefix(name, prefix) {
			found = append(found, kernelKey{id, name, string(readKey(t, keyctlRead, uintptr(id)))})
		}
	}
	return found
}

// readKey reads or describes a key; one that has gone meanwhile is empty.
func readKey(t *testing.T, operation, id uintptr) []byte {
	t.Helper()
	buf := make([]byte, 64<<10)
	n, err := keyctl(operation, id, uintptr(unsafe.Pointer(&buf[0])), uintptr(len(buf)), 0)
	if err != nil || n > len(buf) {
		return nil
	}
	return buf[:n]
}
