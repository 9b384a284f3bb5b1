package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/gofrs/flock"
	"github.com/pelletier/go-toml/v2"

	"github.com/terradue/t2-cred/helper/hint"
	"github.com/terradue/t2-cred/helper/safefile"
	"github.com/terradue/t2-cred/store"
)

// changeConfig reads the configuration and changes files of it under a lock: what
// was read while a person was asked for a secret may be old by now.
func (a *app) changeConfig(ctx context.Context, change func(*config) error) error {
	files, err := a.configFiles()
	if err != nil {
		return err
	}
	if err := safefile.MakeDir(files.dir); err != nil {
		return notWritten(files.dir, err)
	}
	lock := flock.New(filepath.Join(files.dir, ".lock"), flock.SetPermissions(safefile.FileMode))
	if _, err := lock.TryLockContext(ctx, 20*time.Millisecond); err != nil {
		return notLocked(lock.Path(), err)
	}
	defer func() { _ = lock.Unlock() }()
	c, err := a.readConfig()
	if err != nil {
		return err
	}
	return change(c)
}

// notLocked says why the configuration's lock was not got. An interrupt is nobody's
// fault, and a lock that another process holds is no wrong configuration.
func notLocked(path string, err error) error {
	switch {
	case errors.Is(err, context.Canceled):
		return err
	case errors.Is(err, context.DeadlineExceeded):
		return &hint.Error{Kind: store.ErrBusy, Detail: fmt.Sprintf("%v: the configuration's, %s", store.ErrBusy, path)}
	}
	return notWritten(filepath.Dir(path), err)
}

// saveProfile writes the file of a profile. The first profile becomes the default.
func (c *config) saveProfile(name string, p profileConfig) error {
	if err := c.mayWrite(name, p); err != nil {
		return err
	}
	text := append([]byte("# t2-cred profile edit writes this file as a whole.\n"), profileText(p)...)
	var again profileConfig
	if err := errors.Join(decodeStrictly(c.files.profile(name), text, &again), checkProfile(name, again)); err != nil {
		return err
	}
	if err := writeConfigFile(c.files.profile(name), text); err != nil {
		return err
	}
	if len(c.Profiles) > 0 || c.DefaultProfile != "" {
		return nil
	}
	c.set.DefaultProfile = name
	return c.saveSettings()
}

// mayWrite refuses to write a profile that config.toml has, and a name whose file is
// another one.
func (c *config) mayWrite(name string, p profileConfig) error {
	switch lower := strings.ToLower(name); {
	case c.byHand.Profiles[name].Issuer != "":
		return c.writtenByHand("profile "+name, profileTable(name, p), "profiles", name)
	case lower == settingsName, slices.Contains(windowsDevices(), lower):
		return usageError(fmt.Errorf("a profile cannot be called %s: its file would be %s", name, c.files.profile(lower)))
	}
	for other := range c.Profiles {
		if other != name && strings.EqualFold(other, name) {
			return usageError(fmt.Errorf("there is a profile %s, whose file has the same name on some systems", other))
		}
	}
	return nil
}

// windowsDevices are names that Windows keeps for devices, whatever the extension.
func windowsDevices() []string {
	names := []string{"con", "prn", "aux", "nul"}
	for n := range 10 {
		names = append(names, fmt.Sprintf("com%d", n), fmt.Sprintf("lpt%d", n))
	}
	return names
}

// profileText is a profile as TOML.
func profileText(p profileConfig) []byte {
	text, err := toml.Marshal(p)
	if err != nil {
		panic(err) // strings and lists of them always encode
	}
	return text
}

// saveSettings writes settings.toml.
func (c *config) saveSettings() error {
	text, err := toml.Marshal(c.set)
	if err != nil {
		return err
	}
	return writeConfigFile(c.files.settings(), append([]byte("# t2-cred writes this file as a whole; config.toml wins.\n"), text...))
}

// useProfile makes a profile the default one.
func (c *config) useProfile(name string) error {
	if c.byHand.DefaultProfile != "" && c.byHand.DefaultProfile != name {
		return c.writtenByHand("default_profile", fmt.Appendf(nil, "default_profile = %q\n", name), "default_profile")
	}
	c.set.DefaultProfile = name
	return c.saveSettings()
}

// useStore makes a store the one in use.
func (c *config) useStore(name string) error {
	if c.byHand.Store != "" {
		if c.byHand.Store == name {
			return nil
		}
		return c.writtenByHand("store", fmt.Appendf(nil, "store = %q\n", name), "store")
	}
	c.set.Store = name
	return c.saveSettings()
}

// removeProfile removes the file of a profile.
func (c *config) removeProfile(name string) error {
	if err := c.mayRemove(name); err != nil {
		return err
	}
	if c.set.DefaultProfile == name {
		c.set.DefaultProfile = ""
		if err := c.saveSettings(); err != nil {
			return err
		}
	}
	if err := safefile.Remove(c.files.profile(name), true); err != nil {
		return notWritten(c.files.dir, err)
	}
	return nil
}

// mayRemove refuses to remove a profile that config.toml has or names.
func (c *config) mayRemove(name string) error {
	switch _, ok := c.byHand.Profiles[name]; {
	case ok:
		return byHandFirst(c.writtenByHand("profile "+name, nil, "profiles", name),
			"delete the table at "+c.at("profiles", name)+", then: ", hint.Run("profile", "remove", name))
	case c.byHand.DefaultProfile == name:
		return byHandFirst(c.writtenByHand("default_profile", nil, "default_profile"),
			"delete the line "+c.at("default_profile")+", then: ", hint.Run("profile", "remove", name))
	}
	return nil
}

// A handError refuses to change config.toml, which is a person's, and has the text
// that the person may put there.
type handError struct {
	what *hint.Error
	text []byte
}

func (e *handError) Error() string { return e.what.Error() }
func (e *handError) Unwrap() error { return e.what }

// writtenByHand is the error of a command that would change something in config.toml.
func (c *config) writtenByHand(what string, text []byte, key ...string) error {
	where := c.at(key...)
	remedy := hint.Say("edit " + where + " by hand")
	if len(text) > 0 {
		remedy = hint.Say("put the text above in its place: " + where)
	}
	return &handError{&hint.Error{
		Kind: errConfig, Remedy: remedy,
		Detail: fmt.Sprintf("%s is in %s, which t2-cred does not change", what, where),
	}, text}
}

// byHandFirst replaces the remedy of a handError: words, then a command.
func byHandFirst(err error, words string, then hint.Command) error {
	if byHand, ok := errors.AsType[*handError](err); ok {
		byHand.what.Remedy = hint.Do(hint.Words(words), then)
	}
	return err
}

// profileTable is a profile as it stands in config.toml.
func profileTable(name string, p profileConfig) []byte {
	return slices.Concat(fmt.Appendf(nil, "[profiles.%s]\n", name), narrowTables(name, profileText(p)))
}

// writeConfigFile writes a file of the configuration. A dotfile manager's link stays
// one.
func writeConfigFile(path string, text []byte) error {
	target := path
	if linked, err := filepath.EvalSymlinks(path); err == nil {
		target = linked
	}
	if err := safefile.Replace(target, text, safefile.Write{Durable: true}); err != nil {
		return notWritten(filepath.Dir(target), err)
	}
	return nil
}

// notWritten is the error of a directory of the configuration that takes no file.
func notWritten(dir string, err error) error {
	var remedy hint.Remedy
	switch {
	case hint.Of(err) != nil: // it says itself what mends it
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS), errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		remedy = hint.Say(safefile.WriteAdvice(dir, "name another file with --config", err))
	}
	return &hint.Error{Kind: errConfig, Detail: "configuration", Err: err, Remedy: remedy}
}

// changedLines are the lines of a profile that another one has not, as a difference.
func changedLines(before, after profileConfig) string {
	var b strings.Builder
	old, now := bytes.Split(profileText(before), []byte("\n")), bytes.Split(profileText(after), []byte("\n"))
	only := func(sign string, lines, others [][]byte) {
		for _, line := range lines {
			if !slices.ContainsFunc(others, func(o []byte) bool { return bytes.Equal(o, line) }) {
				fmt.Fprintf(&b, "%s %s\n", sign, clean(string(line)))
			}
		}
	}
	only("-", old, now)
	only("+", now, old)
	return b.String()
}
