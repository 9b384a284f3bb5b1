package store

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"filippo.io/age"

	"github.com/terradue/t2-cred/helper/hint"
	"github.com/terradue/t2-cred/helper/safefile"
)

func TestFile_identities(t *testing.T) {
	ctx := context.Background()
	dir := tempDir(t)
	write := func(name string, mode os.FileMode, lines ...string) string {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")+"\n"), mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	newID := func() string {
		id, err := age.GenerateX25519Identity()
		if err != nil {
			t.Fatal(err)
		}
		return id.String()
	}
	old, next := newID(), newID()
	hybrid, err := age.GenerateHybridIdentity()
	if err != nil {
		t.Fatal(err)
	}
	o := testOptions(t, "file")
	with := func(env map[string]string) *Store {
		o.Getenv = func(name string) string { return env[name] }
		return open(t, o)
	}
	value := func(env map[string]string) (string, error) {
		v, _, err := with(env).backend.Load(ctx, "grant,p,a")
		return v.Reveal(), err
	}
	named := map[string]string{"T2_CRED_IDENTITY_FILE": write("old", 0o600, "# comment", old)}
	if err := with(named).saveAny(ctx, with(named).backend, "grant,p,a", "v"); err != nil {
		t.Fatal(err)
	}
	credentials := filepath.Dir(write("creds/t2-cred-identity", 0o440, old)) // as systemd's ACL shows
	for name, tt := range map[string]struct {
		env  map[string]string
		want string // the value, or what the error says
		hint string
	}{
		"named":                    {named, "v", ""},
		"systemd":                  {map[string]string{"CREDENTIALS_DIRECTORY": credentials}, "v", ""},
		"systemd comes first":      {map[string]string{"CREDENTIALS_DIRECTORY": credentials, "T2_CRED_IDENTITY_FILE": write("other", 0o600, next)}, "v", ""},
		"systemd without ours":     {map[string]string{"CREDENTIALS_DIRECTORY": dir, "T2_CRED_IDENTITY_FILE": named["T2_CRED_IDENTITY_FILE"]}, "v", ""},
		"changed, old one second":  {map[string]string{"T2_CRED_IDENTITY_FILE": write("both", 0o600, next, old)}, "v", ""},
		"none":                     {nil, "is missing, and 1 items", "put it back"},
		"named but missing":        {map[string]string{"T2_CRED_IDENTITY_FILE": filepath.Join(dir, "gone")}, "is missing, and 1 items", "put it back"},
		"another":                  {map[string]string{"T2_CRED_IDENTITY_FILE": write("another", 0o600, next)}, "another identity", "T2_CRED_IDENTITY_FILE"},
		"all may read":             {map[string]string{"T2_CRED_IDENTITY_FILE": write("all", 0o604, old)}, "every user", "chmod 600 " + filepath.Join(dir, "all")},
		"not an identity":          {map[string]string{"T2_CRED_IDENTITY_FILE": write("bad", 0o600, "hunter2")}, "holds no age identity", ""},
		"empty":                    {map[string]string{"T2_CRED_IDENTITY_FILE": write("empty", 0o600, "")}, "holds no age identity", ""},
		"a directory":              {map[string]string{"T2_CRED_IDENTITY_FILE": dir}, "not a regular file", "identity_command"},
		"post-quantum, old second": {map[string]string{"T2_CRED_IDENTITY_FILE": write("pq", 0o600, hybrid.String(), old)}, "v", ""},
	} {
		if os.PathSeparator != '/' && strings.HasSuffix(name, "may read") {
			continue
		}
		v, err := value(tt.env)
		if tt.want == "v" {
			if err != nil || v != "v" {
				t.Errorf("%s: %q, %v", name, v, err)
			}
			continue
		}
		if !errors.Is(err, ErrUnavailable) || !strings.Contains(err.Error(), tt.want) || !strings.Contains(hint.Of(err).String(), tt.hint) {
			t.Errorf("%s: %v (hint %q)", name, err, hint.Of(err))
		} else if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: the error shows the file: %v", name, err)
		}
		// Nothing stored is no excuse: without the key the store is not there.
		if _, _, err := with(tt.env).backend.Load(ctx, "grant,p,none"); name != "another" && !errors.Is(err, ErrUnavailable) {
			t.Errorf("%s: Load of nothing: %v", name, err)
		}
	}
	// With a changed identity the next write is to the new one alone.
	changed := map[string]string{"T2_CRED_IDENTITY_FILE": filepath.Join(dir, "both")}
	if err := with(changed).saveAny(ctx, with(changed).backend, "grant,p,a", "w"); err != nil {
		t.Fatal(err)
	}
	if v, err := value(map[string]string{"T2_CRED_IDENTITY_FILE": filepath.Join(dir, "another")}); err != nil || v != "w" {
		t.Errorf("after a change of identity: %q, %v", v, err)
	}
}

// After a change of identity, a refresh, the same client secret set again and InitFile
// leave nothing that needs the old one.
func TestFile_changedIdentity(t *testing.T) {
	o := fileOptions(t)
	path := filepath.Join(o.DataDir, "identity")
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	s := open(t, o)
	put(t, s, alice, sampleRecord("g1"))
	if _, err := rotation(s, second); err != nil {
		t.Fatal(err)
	}
	const value = "client-secret-Vb6Xq9Lw3Zk8"
	if err := s.SetClientSecret(t.Context(), alice.Profile, value); err != nil {
		t.Fatal(err)
	}
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(id.String()+"\n"+string(before)), 0o600); err != nil {
		t.Fatal(err)
	}
	s = open(t, o)
	if _, err := rotation(s, third); err != nil {
		t.Fatal(err)
	}
	if err := s.SetClientSecret(t.Context(), alice.Profile, value); err != nil {
		t.Fatal(err)
	}
	if _, err := InitFile(t.Context(), o); !errors.Is(err, fs.ErrExist) {
		t.Fatalf("InitFile: %v", err)
	}
	if err := os.WriteFile(path, []byte(id.String()+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s = open(t, o)
	names, err := s.backend.List(t.Context(), "")
	if err != nil || len(names) < 3 {
		t.Fatalf("%q, %v", names, err)
	}
	for _, name := range names {
		if _, _, err := s.backend.Load(t.Context(), name); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if got, err := s.ClientSecret(t.Context(), alice.Profile); err != nil || got != value {
		t.Errorf("the client's secret: %v", err)
	}
	if rec, err := s.Load(t.Context(), alice); err != nil || rec.RefreshToken != third {
		t.Errorf("the record: %v", err)
	}
}

func TestInitFile(t *testing.T) {
	o := testOptions(t, "file")
	named := filepath.Join(tempDir(t), "sub", "id")
	strictUmask(t)
	path, err := InitFile(context.Background(), o)
	if err != nil || path != filepath.Join(o.DataDir, "identity") {
		t.Fatalf("%q, %v", path, err)
	}
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || os.PathSeparator == '/' && info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if _, err := InitFile(context.Background(), o); !errors.Is(err, fs.ErrExist) {
		t.Errorf("second time: %v", err)
	}
	if after, err := os.ReadFile(path); err != nil || string(after) != string(before) {
		t.Error("the identity was changed")
	}
	if err := open(t, o).CheckWritable(context.Background()); err != nil {
		t.Error(err)
	}
	o.Getenv = func(name string) string { return map[string]string{"T2_CRED_IDENTITY_FILE": named}[name] }
	if path, err := InitFile(context.Background(), o); !errors.Is(err, ErrUnavailable) || path != named {
		t.Errorf("another identity beside items: %q, %v", path, err)
	}
	o.DataDir = filepath.Join(tempDir(t), "empty")
	if path, err := InitFile(context.Background(), o); err != nil || path != named {
		t.Errorf("named: %q, %v", path, err)
	}
}

func TestFile_atRest(t *testing.T) {
	o := fileOptions(t)
	s := open(t, o)
	put(t, s, Key{"gep", "Álice"}, sampleRecord("g1"))
	if err := s.SetClientSecret(context.Background(), "gep", "client-hunter2"); err != nil {
		t.Fatal(err)
	}
	found := 0
	err := filepath.WalkDir(filepath.Dir(o.StateDir), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		raw, err := os.ReadFile(path)
		for _, plain := range []string{"rrrrrrrr", "first", "hunter2"} {
			if strings.Contains(string(raw), plain) {
				t.Errorf("%s holds %q in clear", path, plain)
			}
		}
		found++
		return err
	})
	if err != nil || found < 5 {
		t.Errorf("%d files, %v", found, err)
	}
}

// TestFile_crashedWrites leaves what a crash between the steps of a write leaves.
func TestFile_crashedWrites(t *testing.T) {
	o := fileOptions(t)
	s, ctx := open(t, o), context.Background()
	b := s.backend
	file := filepath.Join(o.DataDir, s.ns, "n.age")
	if err := s.saveAny(ctx, b, "n", "old"); err != nil {
		t.Fatal(err)
	}
	sealed, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for name, left := range map[string][]byte{"empty": nil, "half": sealed[:len(sealed)/2], "whole": sealed} {
		if err := os.WriteFile(safefile.Temporary(file), left, 0o400); err != nil {
			t.Fatal(err)
		}
		if v, _, err := b.Load(ctx, "n"); err != nil || v != "old" {
			t.Errorf("%s: %q, %v", name, v.Reveal(), err)
		}
		if names, err := b.List(ctx, ""); err != nil || !slices.Equal(names, []string{"n"}) {
			t.Errorf("%s: List = %q, %v", name, names, err)
		}
		_, rev, _ := b.Load(ctx, "n")
		if _, err := b.Save(ctx, "n", "old", rev); err != nil {
			t.Errorf("%s: the next write: %v", name, err)
		}
		if _, err := os.Stat(safefile.Temporary(file)); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: left behind: %v", name, err)
		}
	}
	for name, spoil := range map[string][]byte{"cut": sealed[:len(sealed)-3], "empty": nil, "foreign": []byte("hunter2")} {
		if err := os.WriteFile(file, spoil, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, _, err := b.Load(ctx, "n"); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestFile_swappedFilesAreNoticed(t *testing.T) {
	o := fileOptions(t)
	s, ctx := open(t, o), context.Background()
	bob := Key{"gep", "bob"}
	put(t, s, alice, sampleRecord("g1"))
	put(t, s, bob, sampleRecord("g2"))
	path := func(k Key) string { return filepath.Join(o.DataDir, s.ns, k.item(kindGrant)+".age") }
	if err := os.Rename(path(bob), path(alice)); err != nil {
		t.Fatal(err)
	}
	if rec, err := s.Load(ctx, alice); !errors.Is(err, ErrCorrupt) {
		t.Errorf("alice got %q, %v", rec.Grant, err)
	}
}

// TestFile_theIdentityItself: the key in the place of its file's name is shown nowhere,
// and no file of that name is made.
func TestFile_theIdentityItself(t *testing.T) {
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	o := fileOptions(t)
	o.Getenv = func(name string) string {
		return map[string]string{"T2_CRED_IDENTITY_FILE": id.String()}[name]
	}
	s := open(t, o)
	_, loadErr := s.Load(context.Background(), alice)
	_, initErr := InitFile(context.Background(), o)
	for what, err := range map[string]error{"load": loadErr, "init": initErr} {
		if !errors.Is(err, ErrUnavailable) || strings.Contains(err.Error(), id.String()) || !strings.Contains(err.Error(), "an identity itself") {
			t.Errorf("%s: %v", what, err)
		}
	}
	if strings.Contains(s.Where(), id.String()) {
		t.Errorf("it is shown as %s", s.Where())
	}
	if _, err := os.Lstat(id.String()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a file of that name: %v", err)
	}
}
