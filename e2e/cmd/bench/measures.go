package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/terradue/t2-cred/e2e/run"
)

// gives fails unless that is in what the command prints.
func (b *bench) gives(c command, want string) error {
	got, err := b.output(c)
	if err == nil && !strings.Contains(got, want) {
		err = fmt.Errorf("%s did not print the token that it should have", strings.Join(c.argv, " "))
	}
	return err
}

// cachedGet is a get, proven to come from the cache: a refresh would print another.
func (b *bench) cachedGet(h *run.Home) (command, error) {
	c := b.t2(h, "get")
	first, err := b.output(c)
	if err != nil {
		return command{}, err
	}
	return c, b.gives(c, first)
}

// cached measures what everybody waits for each time.
func (b *bench) cached(r *report) error {
	const base, ours, inFile = "an empty Go program", "t2-cred get, keyring store", "t2-cred get, file store"
	tasks := []task{once(base, b.empty)}
	for _, of := range []struct {
		name string
		make func() (command, error)
	}{
		{ours, func() (command, error) { return b.cachedGet(b.keyring) }},
		{inFile, func() (command, error) { return b.cachedGet(b.file) }},
		{"t2-cred version (its start alone)", func() (command, error) { return b.t2(b.keyring, "version"), nil }},
		{"oidc-token, with oidc-agent running", b.oidcToken},
		{"secret-tool lookup", b.secretTool},
		{"docker-credential-secretservice get", b.dockerHelper},
	} {
		c, err := of.make()
		if err != nil {
			return err
		}
		tasks = append(tasks, once(of.name, c))
	}
	got, err := b.sample(b.size.cached, tasks...)
	if err != nil {
		return err
	}
	r.add(timing("A cached token", fmt.Sprintf(`From start to exit, %d rounds. The token is %d bytes long. With the keyring store it
lies in the kernel's keyring, with the file store in an encrypted file. oidc-agent is a
daemon that holds it in memory; secret-tool and docker's helper read it from the Secret
Service.`, b.size.cached, len(b.aToken())), got, tasks))
	r.judge("cached get, keyring store / an empty Go program", 2.0, got[ours].over(got[base]), "×")
	r.judge("cached get, file store / an empty Go program", 2.3, got[inFile].over(got[base]), "×")
	return nil
}

// refresh measures a round trip to the issuer.
func (b *bench) refresh(r *report) error {
	const base, ours, inFile = "curl, the same POST", "t2-cred get --fresh, keyring store", "t2-cred get --fresh, file store"
	curl, err := b.curl()
	if err != nil {
		return err
	}
	in, err := b.put("secret", b.aToken())
	if err != nil {
		return err
	}
	tasks := []task{
		once(base, curl),
		once(ours, b.t2(b.keyring, "get", "--fresh")),
		once(inFile, b.t2(b.file, "get", "--fresh")),
		once("curl --version (its start alone)", command{argv: []string{"curl", "--version"}}),
		once("secret-tool store (one item written)", b.secretToolStore(in)),
	}
	got, err := b.sample(b.size.refresh, tasks...)
	if err != nil {
		return err
	}
	dbus := got[ours].median() - got[inFile].median()
	r.add(timing("A refresh", fmt.Sprintf(`From start to exit on %s, %d rounds: one round trip. Each answer has a new
refresh token, so t2-cred verifies, writes and reads back what curl throws away. The
difference between the stores, %s, is the Secret Service: items are read, one of
them again before it is written, and read back. gnome-keyring writes its whole file for it and waits for
the disk, which is most of what secret-tool store shows. The next table has the steps.`, b.issuer.about, b.size.refresh, ms(dbus)), got, tasks))
	r.judge("refresh, keyring store / curl", 1.3, got[ours].over(got[base]), "×")
	r.judge("refresh, file store / curl", 1.3, got[inFile].over(got[base]), "×")
	r.add(steps())
	return nil
}

// memory measures the peaks, and the size of the binary.
func (b *bench) memory(r *report) error {
	user, err := b.put("user.jwt", b.issuer.user)
	if err != nil {
		return err
	}
	t := table{
		title: "Memory and size", head: []string{"", "MiB"},
		text: "The most memory that was resident, the greatest of some runs.",
	}
	var most float64
	for _, of := range []struct {
		name string
		c    command
	}{
		{"an empty Go program", b.empty},
		{"t2-cred get, cached", b.t2(b.keyring, "get")},
		{"t2-cred get --fresh", b.t2(b.keyring, "get", "--fresh")},
		{"t2-cred get --fresh, file store", b.t2(b.file, "get", "--fresh")},
		{"t2-cred exchange", b.t2(b.keyring, "exchange", "--token-file", user)},
	} {
		peak, err := b.peakOf(of.c)
		if err != nil {
			return err
		}
		most = max(most, peak)
		t.rows = append(t.rows, []string{of.name, fmt.Sprintf("%.1f", peak)})
	}
	info, err := os.Stat(b.program.Path)
	if err != nil {
		return err
	}
	size := float64(info.Size()) / (1 << 20)
	t.rows = append(t.rows, []string{"the stripped binary", fmt.Sprintf("%.1f", size)})
	r.add(t)
	r.judge("peak memory", 20, most, " MiB")
	r.judge("stripped binary", 12, size, " MiB")
	return nil
}

// peakOf is the most memory that the command held, in MiB.
func (b *bench) peakOf(c command) (float64, error) {
	c.argv = append([]string{b.peak}, c.argv...)
	var most float64
	for range b.size.memory {
		out, err := b.output(c)
		if err != nil {
			return 0, err
		}
		kib, err := strconv.ParseFloat(out, 64)
		if err != nil {
			return 0, err
		}
		most = max(most, kib/1024)
	}
	return most, nil
}

// flow measures everything, from a user's token to a refreshed one of our own.
func (b *bench) flow(r *report) error {
	const base, ours = "the notebook's steps in Python", "t2-cred exchange; claims; get --fresh"
	user, err := b.put("user.jwt", b.issuer.user)
	if err != nil {
		return err
	}
	python, err := b.notebook()
	if err != nil {
		return err
	}
	ourTask := func(name string, h *run.Home) task {
		return task{name, []command{b.t2(h, "exchange", "--token-file", user), b.t2(h, "claims"), b.t2(h, "get", "--fresh")}}
	}
	tasks := []task{once(base, python), ourTask(ours, b.keyring), ourTask(ours+" (file store)", b.file)}
	got, err := b.sample(b.size.flow, tasks...)
	if err != nil {
		return err
	}
	imports, steps, err := notebookTimes(python.out)
	if err != nil {
		return err
	}
	r.add(timing("The whole flow", fmt.Sprintf(`Exchange, verified claims, a refresh, on %s, %d rounds: three processes of
t2-cred, which write and read back, and one of Python (authlib and requests), which
keeps nothing. Of Python's time %s are imports and %s are the steps.`,
		b.issuer.about, b.size.flow, ms(imports), ms(steps)), got, tasks))
	return nil
}

func ms(d time.Duration) string { return fmt.Sprintf("%.2f ms", d.Seconds()*1000) }

var timingHead = []string{"", "10 %", "median", "95 %", "ratio"}

// timingRow is a line of times, with the ratio of the median to that of base.
func timingRow(name string, of, base times) []string {
	return []string{name, ms(of.at(0.1)), ms(of.median()), ms(of.at(0.95)), fmt.Sprintf("%.2f ×", of.over(base))}
}

// timing is a table of tasks, all compared to the first.
func timing(title, text string, got map[string]times, tasks []task) table {
	t := table{title: title, text: text, head: timingHead}
	for _, task := range tasks {
		t.rows = append(t.rows, timingRow(task.name, got[task.name], got[tasks[0].name]))
	}
	return t
}
