package store

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/terradue/t2-cred/helper/safefile"
	"github.com/terradue/t2-cred/helper/secret"
	"github.com/terradue/t2-cred/store/backend"
)

// On a shared store no lock on one machine keeps the others out. A process claims the
// item by check-and-set: a claim that was accepted proves that what was read is the
// newest. docs/spec has a model of this.
//
// The claim counts for its lease, by the boot-time clock of the claimer, from before the
// claim left. The machine's own lock is taken first, so that one process of a machine
// claims at a time.

const (
	// sendTime is how long the answer to a refresh token is waited for, and saveTime how
	// long the save may take. Both must fit into the lease when the request leaves.
	sendTime = 30 * time.Second
	saveTime = 15 * time.Second
	// releaseTime bounds giving up a claim that came to nothing.
	releaseTime = 3 * time.Second
	maxPoll     = 500 * time.Millisecond
	// freshPoll is the pause from which on a waiter asks where writes are decided.
	freshPoll = 200 * time.Millisecond
)

// errClaimOver says that the claim's lease does not last for the request and the save.
var errClaimOver = errors.New("store: the claim has run out")

// A heldClaim is a claim of this process that stands in the item.
type heldClaim struct {
	item  item
	until time.Duration // by the boot-time clock
	// doubt is what stays when the claim is given up without an outcome. earlier is what
	// was there before the claim.
	doubt, earlier *doubt
}

// takeClaim waits until the item is free, or its claim has run out, and claims it. With
// serve it gives up, and says so, once the item has a token that serve takes. Then the
// account's copies are settled.
func (r *spending) takeClaim(ctx context.Context, spends bool, serve func(Token) bool) (served bool, err error) {
	s, started := r.s, r.s.boot()
	var holder *claim // of the claim that was waited for
	if r.st.note, err = s.notes.get(r.k); err == nil {
		r.st.noted = true
	}
	for pause := 50 * time.Millisecond; ; pause = min(pause*3/2, maxPoll) {
		now, rev, err := r.poll(ctx, holder != nil && pause > freshPoll)
		if err != nil && !errors.Is(err, ErrNotFound) {
			r.st.rev = rev
			return false, waitOver(ctx, err, holder, s.boot()-started)
		}
		if served, err := r.serves(now, rev, serve); served || err != nil {
			return served, err
		}
		if who := now.Claim; who != nil && !s.isMine(who) && !s.ranOut(r.name, rev, who) {
			holder = who
			if !sleep(ctx, pause/2+mathrand.N(pause)) { //nolint:gosec // only to wait apart from the others
				return false, waitOver(ctx, ctx.Err(), holder, s.boot()-started)
			}
			continue
		}
		before := now.Claim
		switch err = r.claimItem(ctx, now, rev, spends); {
		case errors.Is(err, backend.ErrConflict) && sleep(ctx, mathrand.N(pause)): //nolint:gosec // as above
			continue
		case err != nil:
			return false, waitOver(ctx, err, holder, s.boot()-started)
		}
		if err = r.settleClaimed(ctx, before); err != nil {
			r.giveUp(ctx)
			return false, err
		}
		return false, nil
	}
}

// poll reads the item. Whoever waits for long asks where writes are decided: a standby that
// is cut off would show the claim for ever.
func (r *spending) poll(ctx context.Context, newest bool) (item, backend.Revision, error) {
	if newest {
		return itemOf(r.s.sharer.LoadNewest(ctx, r.name))
	}
	return r.s.loadItem(ctx, r.k)
}

// waitOver is the error of a wait that ended. An interrupt is not the engine's fault, and
// neither is the time that another machine takes.
func waitOver(ctx context.Context, err error, holder *claim, waited time.Duration) error {
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		return ctx.Err()
	case ctx.Err() != nil && holder != nil:
		return busy(ctx, waited, fmt.Sprintf("machine %s has claimed it since %s", holder.Node, holder.Since.UTC().Format(time.RFC3339)))
	}
	return err
}

// serves takes the item's token, if it will do. Such a token is right however old the
// read is.
func (r *spending) serves(now item, rev backend.Revision, serve func(Token) bool) (bool, error) {
	if serve == nil || now.Record == "" {
		return false, nil
	}
	rec, err := decodeFor(r.k, secret.Secret(now.Record))
	if err != nil {
		return false, err
	}
	rec.Token = now.token(rec.Grant, r.s.opt.Now())
	if rec.Token.AccessToken == "" || !serve(rec.Token) {
		return false, nil
	}
	r.st.rec, r.st.rev = rec, rev
	return true, nil
}

// claimItem is the check-and-set. A claim that was there becomes a doubt, if the refresh
// token may have been sent under it.
func (r *spending) claimItem(ctx context.Context, now item, rev backend.Revision, spends bool) error {
	s, read := r.s, now
	earlier := now.Doubt
	if c := now.Claim; c != nil && c.Spends {
		now.Doubt = &doubt{Node: c.Node, Owner: c.Owner, Since: c.Since, Found: atRest(s.opt.Now())}
	}
	begun := s.boot()
	now.Claim = &claim{
		ID: rand.Text(), Node: s.node(), Owner: s.owner(), PID: os.Getpid(),
		Seconds: int((s.terms.Lease + time.Second - 1) / time.Second), Since: atRest(s.opt.Now()), Spends: spends,
	}
	if spends {
		r.loadAhead(ctx) // while the engine writes the claim
	}
	claimed, err := s.backend.Save(ctx, r.name, now.encode(), rev)
	if err != nil {
		return err
	}
	same := r.sameItem(ctx, read, rev, claimed)
	if errors.Is(same, backend.ErrConflict) {
		return same
	}
	r.st.rev = claimed
	r.claim = &heldClaim{item: now, until: begun + s.terms.Lease, doubt: now.Doubt, earlier: earlier}
	if same != nil {
		r.giveUp(ctx)
	}
	return same
}

// sameItem looks whether a claim replaced what was read. An item that was erased and made
// again since may have the same revision: what the claim replaced is put back then, and the
// error is ErrConflict.
func (r *spending) sameItem(ctx context.Context, read item, rev, claimed backend.Revision) error {
	if rev == "" {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), saveLimit)
	defer cancel()
	var value secret.Secret
	for _, newest := range []bool{false, true} { // a standby may still have the item that was erased
		var err error
		value, err = r.s.sharer.LoadRevision(ctx, r.name, rev, newest)
		if errors.Is(err, ErrNotFound) {
			return nil // it is not kept, or had no value
		}
		if err != nil {
			return err
		}
		if replaced, err := decodeItem(value); err == nil && replaced.encode() == read.encode() {
			return nil
		}
	}
	if _, err := r.s.backend.Save(ctx, r.name, value, claimed); err != nil && !errors.Is(err, backend.ErrConflict) {
		return err
	}
	return backend.Conflict(r.name)
}

// keepClaim has the claim last for a delete, which has no check-and-set. Where too little
// time is left it claims once more, over its own version: then nobody has taken it over.
// The error is ErrBusy when somebody has.
func (r *spending) keepClaim(ctx context.Context) error {
	if r.claim == nil || r.s.boot()+r.s.saveTime < r.claim.until {
		return nil
	}
	begun, again := r.s.boot(), *r.claim.item.Claim
	again.ID, again.Since = rand.Text(), atRest(r.s.opt.Now())
	next := r.claim.item
	next.Claim = &again
	rev, err := r.s.backend.Save(ctx, r.name, next.encode(), r.st.rev)
	if errors.Is(err, backend.ErrConflict) {
		r.claim = nil
		return backend.Errorf(ErrBusy, errClaimOver, nil, "another process has changed account %v in the %s store meanwhile, so it is not removed there", r.k, r.s.Name())
	}
	if err != nil {
		return err
	}
	r.st.rev, r.claim.item, r.claim.until = rev, next, begun+r.s.terms.Lease
	return nil
}

// isMine reports whether a claim was made by a process of this machine that has ended.
// This process holds the lock that the other one held.
func (s *Store) isMine(c *claim) bool {
	own := s.owner()
	return own != "" && c.Owner == own && (c.PID == os.Getpid() || !runs(c.PID))
}

// ranOut reports whether this machine has seen the same claim, in the same version of the
// item, for a quarter longer than its lease. What is seen is written down, as one process
// seldom waits for so long.
func (s *Store) ranOut(name string, rev backend.Revision, c *claim) bool {
	bootID, now := s.bootID(), s.boot()
	path := filepath.Join(s.locks.dir, name+".seen")
	text, err := safefile.Read(path, safefile.Want{Max: 1 << 10, Trust: safefile.Ours})
	if w := readWords(string(text), "seen1", 5); err == nil && w != nil && w[1] == bootID && w[2] == c.ID && w[3] == string(rev) {
		since, err := strconv.ParseInt(w[4], 10, 64)
		return err == nil && now-time.Duration(since) > c.life()*5/4
	}
	line := words("seen1", bootID, c.ID, string(rev), strconv.FormatInt(int64(now), 10))
	_ = safefile.Replace(path, []byte(line), safefile.Write{})
	return false
}

// settleClaimed reads the record that was claimed and goes through this machine's copies
// of it. before is the claim that was there.
func (r *spending) settleClaimed(ctx context.Context, before *claim) error {
	s, it := r.s, r.claim.item
	r.st.base = digest(secret.Secret(it.Record))
	if it.Record != "" {
		rec, err := decodeFor(r.k, secret.Secret(it.Record))
		if err != nil {
			return err
		}
		r.st.rec = rec
	}
	grant := r.st.rec.Grant
	if grant == "" {
		grant = r.st.note.Grant
	}
	copies, err := s.findCopies(r.k, grant)
	if err != nil {
		return err
	}
	for _, c := range copies {
		if err := r.settleCopy(ctx, &c); err != nil {
			return err
		}
	}
	if before != nil && before.Spends && before.Owner == s.owner() && before.Owner != "" && r.st.mark == nil && r.st.waiting == nil {
		// The mark comes before the request, so the process that ended has sent nothing.
		r.claim.doubt = r.claim.earlier
	}
	r.st.doubt = s.doubtOf(r.claim.doubt)
	r.st.rec.Token = r.claim.item.token(r.st.rec.Grant, s.opt.Now())
	return nil
}
