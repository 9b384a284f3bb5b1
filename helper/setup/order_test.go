package setup

import (
	"net/url"
	"slices"
	"strings"
	"testing"
)

// orderEdits are the edits of all kinds of files, for one profile at one host.
func orderEdits(name string) []*edit {
	host := name + ".example.org"
	p := Profile{Name: name, Flags: []string{"--profile", name}, Hosts: []string{host}, Serves: func(u *url.URL) bool { return u.Host == host }}
	b := block{profile: name, lines: []string{"[" + name + "]", "a = 1"}}
	k := kubeUser{name: "t2-" + name, program: "/opt/t2-cred", args: []string{"kubernetes", "--profile", name}, serves: p.servesAddress, block: block{profile: name}}
	r := rclone{profile: p, line: "bearer_token_command = /opt/t2-cred get --profile " + name}
	return []*edit{
		b.edit("x", readGitConfig, func(says []setting) error { return p.refuseGitFile("it", says) }), b.edit("x", readConfigParser, nil), b.edit("x", readGDAL, nil),
		block{profile: name, lines: []string{name + " = 1"}}.edit("x", readNpmrc, nil),
		block{profile: name, lines: []string{`h "` + name + `" {`, "}"}}.edit("x", readHCL, nil),
		k.edit("x"), r.edit("x"), cargo{profile: p, command: []string{"/opt/t2-cred", "--profile", name}}.edit("x"),
		cargo{profile: p, command: []string{"/opt/t2-cred", "--profile", name}, named: []string{name}}.edit("x"),
		dockerEdit("x", p),
	}
}

// FuzzOrder: whatever is in a file, or when there is none, three profiles come and go
// in any order, and the last one leaves the file as it was.
func FuzzOrder(f *testing.F) {
	for _, seed := range []string{
		"", "x", "users:", "[a]\nx = 1", "a = 1\r\n", "users: []\n", "users: []", "users:\n", "users:\n- name: a\n", "users: null\nkind: Config", "apiVersion: v1", "# c\n", "{}", `{"credHelpers": {}}`,
		"{\n \"auths\": {},\n \"credHelpers\": {\"a\": \"b\"}\n}",
		"[p1]\ntype = webdav\nurl = https://p1.example.org/\n[p2]\ntype = webdav\nurl = https://p2.example.org/\n[p3]\nurl = https://p3.example.org/\ntype = webdav",
		"[registries]\np1.index = \"https://p1.example.org/\"\n[registries.p2]\nindex = \"sparse+https://p2.example.org/\"\n[registries.p3]\nindex = \"https://p3.example.org\"",
	} {
		for kind := range orderEdits("p1") {
			for order := range 6 {
				f.Add(seed, true, kind, order)
			}
			f.Add("", false, kind, 0)
		}
	}
	orders := [][]int{{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}}
	f.Fuzz(func(t *testing.T, text string, exists bool, kind, order int) {
		if kind < 0 || kind >= len(orderEdits("p1")) || order < 0 || order >= len(orders) || strings.Contains(text, "t2") || !exists && text != "" {
			return
		}
		var edits []*edit
		for _, name := range []string{"p1", "p2", "p3"} {
			edits = append(edits, orderEdits(name)[kind])
		}
		now, keep := text, exists
		for _, e := range edits {
			after, err := write(e, now, keep)
			if err != nil {
				return
			}
			now, keep = after, true
		}
		all := []string{now}
		for _, n := range orders[order] {
			rest, left, err := undo(edits[n], now)
			if err != nil {
				t.Fatalf("%d, %v: %q cannot be undone: %v", kind, orders[order], all, err)
			}
			now, keep = rest, left
			all = append(all, now)
		}
		if now != text || keep != exists {
			t.Fatalf("%d, %v: %q, there %v, became %q, there %v: %q", kind, orders[order], text, exists, now, keep, slices.Clip(all))
		}
	})
}
