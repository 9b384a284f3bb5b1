package store

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"time"

	"github.com/terradue/t2-cred/helper/secret"
)

// recovery keeps the record of a grant whose saving failed after its old refresh
// token was spent: in the kernel's keyring of this user or, where that is
// refused, in a file. That file is the one thing that is ever written in clear
// without being asked for, since the other choice is a grant lost for good.
//
// On Linux the copy is made in the kernel before the backend is written to, so a
// process killed between the two loses nothing either.
type recovery struct {
	prefix string // of key names
	dir    string // RuntimeDir
	kernel kernelRing
	off    bool
}

// recoveryCopy is a record that should have been saved. Base is the digest of
// what the backend held then: a copy is put in place only of that. Whoever did
// not see the copy (in a container with the same home, another kernel keyring)
// and stored something newer must not lose it.
type recoveryCopy struct {
	V     int    `json:"v"`
	Seq   int    `json:"seq"` // the higher of two copies is the newer
	Base  string `json:"base"`
	Value string `json:"value"`
}

// copyLife is how long the kernel keeps a copy that nobody picks up, whose
// configuration may be gone. An offline session that is not used for so long has
// ended at most issuers.
const copyLife = 30 * 24 * time.Hour

// errGivenUp is wrapped by a backend's error when asking it again in this process
// is of no use.
var errGivenUp = errors.New("not asked again")

// retryDelays are the pauses before another attempt to save.
func retryDelays() []time.Duration {
	return []time.Duration{200 * time.Millisecond, 600 * time.Millisecond, 1500 * time.Millisecond}
}

func digest(value secret.Secret) string {
	if value == "" {
		return ""
	}
	sum := sha256.Sum256([]byte(value.Reveal()))
	return hex.EncodeToString(sum[:16])
}

// keepItem saves the item, and where that fails the copy. Once the copy lies in the
// kernel, which has room for little, beside may run at the same time.
func (s *Store) keepItem(ctx context.Context, k Key, st state, rec Record, value secret.Secret, beside func()) error {
	atStake := rec.RefreshToken != "" && rec.RefreshToken != st.rec.RefreshToken || st.pending
	c := recoveryCopy{V: codecVersion, Seq: st.seq + 1, Base: st.base, Value: value.Reveal()}
	ahead := atStake && s.recovery.putKernel(k, c)
	var wait sync.WaitGroup
	wait.Go(beside)
	defer wait.Wait()
	err := s.save(ctx, k.item(kindGrant), value)
	if atStake {
		for _, d := range retryDelays() {
			if err == nil || errors.Is(err, ErrTooLarge) || errors.Is(err, errGivenUp) || !sleep(ctx, d) {
				break
			}
			err = s.save(ctx, k.item(kindGrant), value)
		}
	}
	switch {
	case err == nil:
		if ahead || st.seq > 0 {
			// A copy that cannot be removed is not of what is stored now, and is
			// no longer used.
			_ = s.recovery.remove(k)
		}
		return nil
	case !atStake:
		return err
	}
	where := "in the memory of the kernel until the machine is restarted, at most 30 days"
	if !ahead {
		path, fileErr := s.recovery.putFile(k, c)
		if fileErr != nil {
			return fmt.Errorf("%w (and the new refresh token could not be kept elsewhere: %w)", err, fileErr)
		}
		where = "UNENCRYPTED in " + path
	}
	s.opt.Warn(fmt.Sprintf("the renewed credential of account %v could not be stored (%v); it is kept %s, "+
		"and the next t2-cred command for this account stores it: make the store work, then run t2-cred get", k, err, where))
	return nil
}

// sleep returns false when ctx ended first.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// recover puts the copy in the place of what it was to replace, and says what the
// record is: stored and loadErr are what the backend gave.
func (s *Store) recover(ctx context.Context, k Key, c recoveryCopy, st *state, stored secret.Secret, loadErr error) (secret.Secret, error) {
	readable := loadErr == nil || errors.Is(loadErr, ErrNotFound)
	if readable && st.base != c.Base {
		// It was saved after all, or somebody has stored a later one.
		_ = s.recovery.remove(k)
		return stored, loadErr
	}
	st.seq, st.base = c.Seq, c.Base
	value := secret.Secret(c.Value)
	if readable || errors.Is(loadErr, ErrCorrupt) {
		loadErr = s.save(ctx, k.item(kindGrant), value)
	}
	if loadErr != nil {
		st.pending = true // still the newest there is
		return value, nil
	}
	st.seq, st.base = 0, digest(value)
	_ = s.recovery.remove(k)
	return value, nil
}

func (r recovery) name(k Key) string { return r.prefix + "recovery:" + k.item(kindGrant) }

func (r recovery) path(k Key) string {
	return filepath.Join(r.dir, "recovery-"+shortHash(r.prefix)+"-"+k.item(kindGrant)+".json")
}

// get returns the newest copy.
func (r recovery) get(k Key) (c recoveryCopy, ok bool) {
	if r.off {
		return c, false
	}
	raw, err := r.kernel.get(r.name(k))
	if err == nil {
		c, ok = decodeCopy([]byte(raw))
	}
	if file, err := ReadFile(r.path(k)); err == nil {
		if f, fileOK := decodeCopy(file); fileOK && (!ok || f.Seq > c.Seq) {
			c, ok = f, true
		}
	}
	return c, ok
}

func decodeCopy(raw []byte) (recoveryCopy, bool) {
	var c recoveryCopy
	err := json.Unmarshal(raw, &c)
	return c, err == nil && c.V == codecVersion
}

// putKernel reports whether the kernel has the copy.
func (r recovery) putKernel(k Key, c recoveryCopy) bool {
	return !r.off && r.kernel.put(r.name(k), asciiJSON(c).Reveal(), copyLife) == nil
}

func (r recovery) putFile(k Key, c recoveryCopy) (path string, err error) {
	if r.off {
		return "", errors.ErrUnsupported
	}
	if err := ensureDir(r.dir); err != nil {
		return "", err
	}
	if err := ownDir(r.dir); err != nil {
		return "", err
	}
	path = r.path(k)
	return path, writeFile(path, []byte(asciiJSON(c).Reveal()), true)
}

// remove removes both copies.
func (r recovery) remove(k Key) error {
	if r.off {
		return nil
	}
	r.kernel.remove(r.name(k))
	return removeFile(r.path(k), true)
}
