package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/terradue/t2-cred/e2e/run"
)

// accounts measures that nobody pays for other accounts, and for other profiles.
func (b *bench) accounts(r *report) error {
	n := b.size.many
	inRing, inFiles := b.newHome("keyring"), b.newHome("file")
	for _, h := range []*run.Home{inRing, inFiles} {
		if err := copyAccounts(h, n); err != nil {
			return err
		}
	}
	// With the keyring store, list would miss the items and drop the notes.
	if err := wantAccounts(inFiles, n); err != nil {
		return err
	}
	err := b.compare(r, comparison{"Many accounts", "cached get", b.size.cached, b.cachedGet}, []another{
		{"1 account, keyring store", b.keyring, 0},
		{fmt.Sprintf("%d accounts, keyring store", n), inRing, 0},
		{"1 account, file store", b.file, 2},
		{fmt.Sprintf("%d accounts, file store", n), inFiles, 2},
	})
	if err != nil {
		return err
	}
	refresh := func(h *run.Home) (command, error) { return b.t2(h, "get", "--fresh"), nil }
	return b.compare(r, comparison{"Many accounts, refreshed", "refresh", b.size.refresh / 2, refresh}, []another{
		{"1 account, file store", b.file, 0},
		{fmt.Sprintf("%d accounts, file store", n), inFiles, 0},
	})
}

// profiles measures the same for profiles. Rounds are few, as the largest is slow.
func (b *bench) profiles(r *report) error {
	homes := []another{{"1 profile", b.keyring, 0}}
	for _, n := range []int{b.size.many / 100, b.size.many / 10, b.size.many} {
		h, err := b.manyProfiles(n)
		if err != nil {
			return err
		}
		homes = append(homes, another{fmt.Sprintf("%d profiles", n), h, 0})
	}
	return b.compare(r, comparison{"Many profiles", "cached get", b.size.cached/20 + 1, b.cachedGet}, homes)
}

// A comparison is of one thing that is done in several homes, in rounds.
type comparison struct {
	title, what string
	rounds      int
	do          func(*run.Home) (command, error)
}

// another is a home that has much, and which of the others is like it but has one.
type another struct {
	name string
	home *run.Home
	like int
}

// compare measures it in each home, and judges those that have much.
func (b *bench) compare(r *report, c comparison, homes []another) error {
	var tasks []task
	for _, h := range homes {
		done, err := c.do(h.home)
		if err != nil {
			return err
		}
		tasks = append(tasks, once(h.name, done))
	}
	got, err := b.sample(c.rounds, tasks...)
	if err != nil {
		return err
	}
	t := table{title: c.title, text: fmt.Sprintf("A %s, %d rounds.", c.what, c.rounds), head: timingHead}
	for i, h := range homes {
		one := got[homes[h.like].name]
		t.rows = append(t.rows, timingRow(h.name, got[h.name], one))
		if h.like != i {
			r.judge(c.what+", "+h.name+" / 1", 1.1, got[h.name].over(one), "×")
		}
	}
	r.add(t)
	return nil
}

// copyAccounts gives the home n accounts as far as a cached get of one can see: each
// has a note, and in the file store an item, as files of their own. In a keyring it
// would also have an item, which a cached get does not ask for. To make them would
// take gnome-keyring, which writes all of them each time, a quarter of an hour.
func copyAccounts(h *run.Home, n int) error {
	var files []string
	for _, pattern := range []string{".local/state/t2-cred/*/notes-*/*", ".local/share/t2-cred/*/*", ".local/share/t2-cred/*/*/*"} {
		found, err := filepath.Glob(filepath.Join(h.Dir, pattern+",default*"))
		if err != nil {
			return err
		}
		files = append(files, found...)
	}
	if len(files) == 0 {
		return errors.New("the exchange has left no file of the account")
	}
	for _, from := range files {
		text, err := os.ReadFile(from)
		if err != nil {
			return err
		}
		for i := 1; i < n; i++ {
			name := fmt.Sprintf("job-%05d", i)
			to := filepath.Join(filepath.Dir(from), strings.Replace(filepath.Base(from), "default", name, 1))
			other := bytes.ReplaceAll(text, []byte(" default\n"), []byte(" "+name+"\n"))
			if err := os.WriteFile(to, other, 0o600); err != nil {
				return err
			}
		}
	}
	return nil
}

// wantAccounts fails unless t2-cred itself knows n accounts. The copied records name
// another account, so list calls them unreadable and ends with 5.
func wantAccounts(h *run.Home, n int) error {
	var listed []json.RawMessage
	if err := json.Unmarshal([]byte(h.Run("list", "--json").Stdout), &listed); err != nil {
		return fmt.Errorf("list --json: %w", err)
	}
	if len(listed) != n {
		return fmt.Errorf("list knows %d accounts after %d were made", len(listed), n)
	}
	return nil
}

// manyProfiles is a home with n profiles, each in a file of its own.
func (b *bench) manyProfiles(n int) (*run.Home, error) {
	h := b.newHome("keyring")
	dir := filepath.Join(h.Dir, ".config/t2-cred/profiles.d")
	text, err := os.ReadFile(filepath.Join(dir, "bench.toml"))
	if err != nil {
		return nil, err
	}
	for i := 1; i < n; i++ {
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("p%05d.toml", i)), text, 0o600); err != nil {
			return nil, err
		}
	}
	return h, nil
}
