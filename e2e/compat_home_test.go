package e2e

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/terradue/t2-cred/e2e/keyring"
	"github.com/terradue/t2-cred/e2e/parts"
	"github.com/terradue/t2-cred/e2e/run"
	"github.com/terradue/t2-cred/helper/oidc/oidctest"
)

// A compatPlace is where a home of the compatibility tests keeps its secrets.
type compatPlace struct {
	name  string
	store string // keyring or file
	// noKernel says that the kernel's keyring is refused to the old version.
	noKernel bool
}

func compatPlaces() []compatPlace {
	return []compatPlace{
		{name: "file store", store: "file"},
		{name: "OS keyring", store: "keyring"},
		{name: "file store, kernel keyring refused", store: "file", noKernel: true},
		{name: "OS keyring, kernel keyring refused", store: "keyring", noKernel: true},
	}
}

// A compatHome is one home for both versions, and an issuer where each refresh token
// serves once.
type compatHome struct {
	place    compatPlace
	t        *testing.T
	old, new *run.Home
	ring     *keyring.Session // nil for the file store
	issuer   *oidctest.Issuer
	wire     *wire
}

// newCompatHome makes a home with the profiles gep and other in config.toml, written
// as the old version writes it, and their client secrets in the store.
func newCompatHome(t *testing.T, place compatPlace, host string, opts ...oidctest.Option) *compatHome {
	t.Helper()
	oldVersion := oldProgram(t)
	if place.noKernel {
		oldVersion = withoutKernel(t, oldVersion)
	}
	issuer := oidctest.New(append([]oidctest.Option{oidctest.Refresh(oidctest.Revoke)}, opts...)...)
	t.Cleanup(func() {
		tellLedger(issuer)
		issuer.Close()
	})
	h := &compatHome{place: place, t: t, issuer: issuer, wire: listenOnWire(issuer), old: oldVersion.NewHome(t)}
	if place.store == "keyring" {
		parts.Need(t, parts.Keyring)
		h.ring = keyring.Start(t)
		h.old.Set(h.ring.Bus())
	}
	h.configure(host)
	h.new = h.old.As(program(t))
	if place.store == "file" {
		h.old.Want(0, "store", "init")
	}
	for _, profile := range []string{"gep", "other"} {
		h.old.WantDo(0, run.Cmd{
			Args: []string{"profile", "set-secret", profile, "--client-secret-file", "-"}, Stdin: issuer.ClientSecret(),
		})
	}
	return h
}

// configure writes config.toml. It is large, so that the old version keeps an excerpt
// of it in the cache.
func (h *compatHome) configure(host string) {
	h.t.Helper()
	var b strings.Builder
	fmt.Fprintf(&b, "default_profile = \"gep\"\nstore = %q\n", h.place.store)
	profile := func(name string) {
		fmt.Fprintf(&b, "\n[profiles.%s]\nissuer = '%s'\nclient_id = '%s'\nscopes = ['openid', 'offline_access']\n",
			name, h.issuer.URL(), oidctest.ClientID)
	}
	profile("gep")
	fmt.Fprintf(&b, "hosts = ['%s']\n", host)
	profile("other")
	for n := range 100 {
		profile(fmt.Sprintf("spare-%03d", n))
	}
	path := filepath.Join(h.old.Dir, ".config", "t2-cred", "config.toml")
	err := os.MkdirAll(filepath.Dir(path), 0o700)
	if err == nil {
		err = os.WriteFile(path, []byte(b.String()), 0o600)
	}
	if err == nil {
		// The old version keeps no excerpt of a file that has just been written.
		anHourAgo := h.issuer.Clock.Now().Add(-time.Hour)
		err = os.Chtimes(path, anHourAgo, anHourAgo)
	}
	if err != nil {
		h.t.Fatal(err)
	}
}

// exchange has a version exchange a user's token.
func (h *compatHome) exchange(version *run.Home, user string, args ...string) {
	h.t.Helper()
	version.WantDo(0, run.Cmd{Args: append([]string{"exchange"}, args...), Stdin: h.issuer.UserToken(user)})
}

// files are the files of the home that match a pattern.
func (h *compatHome) files(pattern string) []string {
	h.t.Helper()
	found, err := filepath.Glob(filepath.Join(h.old.Dir, pattern))
	if err != nil {
		h.t.Fatal(err)
	}
	return found
}

// namespace is the name of this configuration at rest.
func (h *compatHome) namespace() string {
	h.t.Helper()
	found := h.files(".local/state/t2-cred/*/locks")
	if len(found) != 1 {
		h.t.Fatalf("the namespaces are %q", found)
	}
	return filepath.Base(filepath.Dir(found[0]))
}

// kernelKeys are the keys that the kernel keeps for this home, by name.
func (h *compatHome) kernelKeys() map[string]string {
	h.t.Helper()
	prefix := "t2-cred:" + h.namespace() + ":"
	found := map[string]string{}
	ids := readKey(h.t, keyctlRead, userKeyring)
	for ; len(ids) >= 4; ids = ids[4:] {
		id := uintptr(int32(binary.NativeEndian.Uint32(ids)))
		description := string(bytes.TrimRight(readKey(h.t, keyctlDescribe, id), "\x00"))
		if name := description[strings.LastIndexByte(description, ';')+1:]; strings.HasPrefix(name, prefix) {
			found[name] = string(readKey(h.t, keyctlRead, id))
		}
	}
	return found
}

// pending are the places of the recovery copies that wait to be stored.
func (h *compatHome) pending() []string {
	h.t.Helper()
	found := h.files("run/t2-cred/recovery-*")
	for name := range h.kernelKeys() {
		if strings.Contains(name, ":recovery:") {
			found = append(found, name)
		}
	}
	return found
}

// kept is all that the home keeps at rest: files with their modes, items of the OS
// keyring, keys of the kernel.
func (h *compatHome) kept() map[string]string {
	h.t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(h.old.Dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		var content []byte
		if e.Type().IsRegular() {
			content, err = os.ReadFile(path)
		}
		all["file "+strings.TrimPrefix(path, h.old.Dir)] = fmt.Sprintf("%s %q", info.Mode(), content)
		return err
	})
	if err != nil {
		h.t.Fatal(err)
	}
	for name, payload := range h.kernelKeys() {
		all["kernel key "+name] = payload
	}
	if h.ring != nil {
		for _, item := range h.ring.Items() {
			delete(item.Attributes, "xdg:schema") // gnome-keyring adds it when it saves anything
			all["item "+item.Attributes["username"]] = fmt.Sprintf("%s %v %q", item.Label, item.Attributes, item.Value)
		}
	}
	return all
}

// wantUnchanged wants the home to be as it was, but for the issuer's public documents,
// which may be fetched again. It names what differs and shows none of it, for these are
// secrets.
func (h *compatHome) wantUnchanged(before map[string]string, what string) {
	h.t.Helper()
	after := h.kept()
	names := maps.Clone(before)
	maps.Copy(names, after)
	for _, name := range slices.Sorted(maps.Keys(names)) {
		if before[name] != after[name] && !strings.HasPrefix(name, "file /.cache/") {
			h.t.Errorf("%s changed %s", what, name)
		}
	}
}

// accounts are the objects of list --json, by profile and account.
func (h *compatHome) accounts(version *run.Home) map[string]object {
	h.t.Helper()
	var all []object
	r := version.Want(0, "list", "--json")
	if err := json.Unmarshal([]byte(r.Stdout), &all); err != nil {
		h.t.Fatalf("%v: %s", err, r)
	}
	byName := map[string]object{}
	for _, o := range all {
		byName[fmt.Sprintf("%s/%s", o["profile"], o["account"])] = o
	}
	return byName
}
