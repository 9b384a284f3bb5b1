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
	// leaderTime is how long the engine may be without a leader.
	leaderTime = 30 * time.Second
	maxPoll    = 500 * time.Millisecond
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
	// check waits for the check that the claim replaced what was read; nil when it was.
	check func() (Record, error)
}

// takeClaim is waitForClaim. Then the account's copies are settled.
func (r *spending) takeClaim(ctx context.Context, spends bool, serve func(Token) bool) (served bool, err error) {
	before, served, err := r.waitForClaim(ctx, spends, serve)
	if served || err != nil {
		return served, err
	}
	if err = r.settleClaimed(ctx, before); err != nil {
		r.giveUp(ctx)
	}
	return false, err
}

// waitForClaim waits until the item is free, or its claim has run out, and claims it. With
// serve it gives up, and says so, once the item has a token that serve takes. before is the
// claim that was there.
func (r *spending) waitForClaim(ctx context.Context, spends bool, serve func(Token) bool) (before *claim, served bool, err error) {
	s, started := r.s, r.s.boot()
	ctx, cancel := s.bounded(ctx, s.claimWait())
	defer cancel()
	others := "" // why it is not this machine's turn
	if r.st.note, err = s.notes.get(r.k); err == nil {
		r.st.noted = true
	}
	for pause := 50 * time.Millisecond; ; pause = min(pause*3/2, maxPoll) {
		now, rev, err := r.poll(ctx, others != "" && pause > freshPoll)
		if err != nil && !errors.Is(err, ErrNotFound) {
			r.st.rev = rev
			return nil, false, waitOver(ctx, err, others, s.boot()-started)
		}
		if served, err := r.serves(now, rev, serve); served || err != nil {
			return nil, served, err
		}
		if who := now.Claim; who != nil && !s.isMine(who) && !s.ranOut(r.name, rev, who) {
			others = fmt.Sprintf("machine %s has claimed it since %s", who.Node, who.Since.UTC().Format(time.RFC3339))
			if waited := s.boot() - started; r.patience > 0 && waited > r.patience {
				return nil, false, busy(ctx, waited, others)
			}
			if !sleep(ctx, pause/2+mathrand.N(pause)) { //nolint:gosec // only to wait apart from the others
				return nil, false, waitOver(ctx, ctx.Err(), others, s.boot()-started)
			}
			continue
		}
		switch err = r.claimItem(ctx, now, rev, spends); {
		case errors.Is(err, backend.ErrConflict) && sleep(ctx, mathrand.N(pause)): //nolint:gosec // as above
			others = "other machines write it all the time"
			continue
		case err != nil:
			return nil, false, waitOver(ctx, err, others, s.boot()-started)
		}
		return now.Claim, false, nil
	}
}

// claimWait bounds the wait for a claim of a caller without a deadline: the lease of a
// machine that has died runs out, and after that the engine gets another leader.
func (s *Store) claimWait() time.Duration { return s.terms.Lease*5/4 + s.leaderTime }

// bounded gives a caller without a deadline one.
func (s *Store) bounded(ctx context.Context, limit time.Duration) (context.Context, context.CancelFunc) {
	if _, ok := ctx.Deadline(); ok {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, limit)
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
// neither is the time that other machines take.
func waitOver(ctx context.Context, err error, others string, waited time.Duration) error {
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		return ctx.Err()
	case ctx.Err() != nil && errors.Is(err, backend.ErrConflict):
		return busy(ctx, waited, "other machines write it all the time")
	case ctx.Err() != nil && others != "":
		return busy(ctx, waited, others)
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
		now.Doubt = s.newDoubt(c)
	}
	begun := s.boot()
	now.Claim = s.newClaim(spends)
	if spends {
		r.loadAhead(ctx) // while the engine writes the claim
	}
	claimed, err := s.backend.Save(ctx, r.name, now.encode(), rev)
	if err != nil {
		return err
	}
	r.st.rev = claimed
	r.claim = &heldClaim{item: now, until: begun + s.terms.Lease, doubt: now.Doubt, earlier: earlier}
	r.claim.check = meanwhile(Record{}, func() (Record, error) { return Record{}, r.sameItem(ctx, read, rev, claimed) })
	if spends { // there is more to make ready first
		return nil
	}
	return r.checkClaim(ctx)
}

// checkClaim waits for the check of a claim, and gives up one that failed. With ErrConflict
// the claim was on another item, which was put back.
func (r *spending) checkClaim(ctx context.Context) error {
	if r.claim == nil || r.claim.check == nil {
		return nil
	}
	_, err := r.claim.check()
	switch {
	case errors.Is(err, backend.ErrConflict):
		r.claim = nil
	case err != nil:
		r.giveUp(ctx)
	}
	return err
}

// newClaim is a claim of this process.
func (s *Store) newClaim(spends bool) *claim {
	return &claim{
		ID: rand.Text(), Node: s.node(), Owner: s.owner(), PID: os.Getpid(),
		Seconds: int((s.terms.Lease + time.Second - 1) / time.Second), Since: atRest(s.opt.Now()), Spends: spends,
	}
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

// isMine reports whether a claim was made by a process of this machine that has ended.
// This process holds the lock that the other one held.
func (s *Store) isMine(c *claim) bool {
	own := s.owner()
	return own != "" && c.Owner == own && (c.PID == os.Getpid() || !runs(c.PID))
}

// ranOut reports whether this machine has seen the same claim, in the same version of the
// item, for a quarter longer than its lease.
func (s *Store) ranOut(name string, rev backend.Revision, c *claim) bool {
	return s.seenFor(name+".seen", c.ID, string(rev)) > c.life()*5/4
}

// seenFor is for how long this machine has seen the same thing: zero at first. What is seen
// is written down, as one process seldom waits for so long.
func (s *Store) seenFor(file, id, state string) time.Duration {
	bootID, now := s.bootID(), s.boot()
	path := filepath.Join(s.locks.dir, file)
	text, err := safefile.Read(path, safefile.Want{Max: 1 << 10, Trust: safefile.Ours})
	if w := readWords(string(text), "seen1", 5); err == nil && w != nil && w[1] == bootID && w[2] == id && w[3] == state {
		since, err := strconv.ParseInt(w[4], 10, 64)
		// Where runs of the machine have no name, a clock that is behind is of another run.
		if seen := now - time.Duration(since); err == nil && seen >= 0 {
			return seen
		}
	}
	line := words("seen1", bootID, id, state, strconv.FormatInt(int64(now), 10))
	_ = safefile.Replace(path, []byte(line), safefile.Write{})
	return 0
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
	if len(copies) > 0 {
		if err := r.checked(ctx); err != nil {
			return err
		}
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
	if d := r.claim.doubt; d != nil { // the engine's clock may have been set
		r.st.doubt.Age = max(r.st.doubt.Age, s.seenFor(r.name+".doubt", d.Owner+d.Since.String(), d.Found.String()))
	}
	r.st.rec.Token = r.claim.item.token(r.st.rec.Grant, s.opt.Now())
	return nil
}
