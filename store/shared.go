package store

import (
	"context"
	"errors"
	"os"
	"time"

	"github.com/terradue/t2-cred/helper/hint"
	"github.com/terradue/t2-cred/helper/secret"
	"github.com/terradue/t2-cred/store/backend"
)

// verifyTime is for how long the save of a refresh token waits for the verification of the
// access token that came with it. One save then does for both. The refresh token lies in a
// sealed copy by then.
const verifyTime = 250 * time.Millisecond

// refreshShared is refreshOnce on a shared store, with this machine's lock held.
func (r *spending) refreshShared(ctx context.Context, want Want, sp Spender, asked bool) (Record, error) {
	var first *secret.Secret // the item's token when it was first looked at
	serve := func(t Token) bool {
		if first == nil {
			first = &t.AccessToken
		}
		return want.Enough != nil && (!want.Fresh || asked || t.AccessToken != *first) && want.Enough(t)
	}
	defer r.forgetAhead()
	served, err := r.takeClaim(ctx, true, serve)
	if err != nil {
		return Record{}, err
	}
	if served {
		r.s.keepHere(r.k, r.st, r.st.rec)
		return r.st.rec, nil
	}
	defer r.giveUp(ctx)
	if t := r.st.rec.Token; t.AccessToken != "" && serve(t) { // a copy of this machine had it
		r.s.keepHere(r.k, r.st, r.st.rec)
		return r.st.rec, nil
	}
	return r.run(ctx, sp, asked)
}

// repairShared stores what copies of this machine hold, with its lock held.
func (s *Store) repairShared(ctx context.Context, k Key) (Record, error) {
	r := &spending{s: s, k: k, name: k.item(kindGrant)}
	if _, err := r.takeClaim(ctx, false, nil); err != nil {
		return Record{}, err
	}
	defer r.giveUp(ctx)
	if r.st.waiting != nil {
		return r.st.rec, stillWaits(k, r.st.waiting)
	}
	if r.st.rec.Grant == "" {
		return Record{}, backend.NotFound()
	}
	return r.st.rec, nil
}

// loadShared is Load on a shared store: one read, unless a copy of this machine waits.
func (s *Store) loadShared(ctx context.Context, k Key) (Record, error) {
	i, _, err := s.loadItem(ctx, k)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return Record{}, err
	}
	var rec Record
	if err == nil {
		if rec, err = decodeFor(k, secret.Secret(i.Record)); err != nil {
			return Record{}, err
		}
		rec.Token = i.token(rec.Grant, s.opt.Now())
	}
	copies, copyErr := s.findCopies(k, rec.Grant)
	if copyErr != nil {
		return Record{}, copyErr
	}
	for _, c := range copies {
		if !c.holdsRecord() {
			continue
		}
		wait, cancel := context.WithTimeout(ctx, rescueWait)
		defer cancel()
		lock, lockErr := s.lock(wait, k.item(kindGrant))
		if lockErr != nil {
			break // its holder is about to do what we would
		}
		defer lock.release()
		if repaired, repairErr := s.repairShared(ctx, k); repaired.Grant != "" {
			return repaired, repairErr
		}
		break
	}
	return rec, err
}

// leaseContext ends when the lease no longer lasts for the request and the save.
func (r *spending) leaseContext(ctx context.Context) (context.Context, context.CancelFunc) {
	if r.claim == nil {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, r.claim.until-r.s.boot()-r.s.sendTime-r.s.saveTime)
}

// checkLease is the last check, at the moment of writing to the connection. A clock that
// goes on while the machine is suspended decides.
func (r *spending) checkLease() error {
	if r.claim == nil || r.s.boot()+r.s.sendTime+r.s.saveTime < r.claim.until {
		return nil
	}
	return backend.Errorf(ErrBusy, errClaimOver, hint.Do(hint.Words("try again: "), hint.Run("get").For(r.k.Profile, r.k.Account)),
		"the claim of account %v has too little time left for a refresh, so nothing was spent", r.k)
}

// unanswered keeps the doubt of a request of this process that got no answer. Nobody else
// can have got one.
func (r *spending) unanswered() {
	if c := r.claim; c != nil {
		c.doubt = r.s.newDoubt(c.item.Claim)
		c.doubt.Lost = true
	}
}

// giveUp releases a claim that had no outcome. The doubt stays.
func (r *spending) giveUp(ctx context.Context) {
	c := r.claim
	if r.claim = nil; c == nil {
		return
	}
	if c.check != nil {
		if _, err := c.check(); errors.Is(err, backend.ErrConflict) {
			return
		}
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseTime)
	defer cancel()
	left := c.item
	left.Claim, left.Doubt = nil, c.doubt
	if left.Record == "" {
		if r.s.boot()+releaseTime < c.until {
			_ = r.s.backend.Delete(ctx, r.name) // the claim proved that there is nothing
		}
		return
	}
	// A refusal says that the claim ran out and was taken over.
	_, _ = r.s.backend.Save(ctx, r.name, left.encode(), r.st.rev)
}

// saveShared saves a record with its token and gives the claim up, in one write. It is
// tried until it is known to have taken place.
func (r *spending) saveShared(ctx context.Context, next Record) error {
	s, value := r.s, encodeRecord(r.k, next)
	left := item{Record: value.Reveal(), Listed: r.claim.item.Listed} // leaves for the engine
	if next.Token.AccessToken != "" {
		left.Token = encodeToken(next.Grant, next.Token).Reveal() // as above
	}
	if r.keepsDoubt {
		left.Doubt = r.claim.doubt
	}
	list := r.isNews(next, left.Doubt)
	if list {
		left.Listed = atRest(s.opt.Now())
	}
	if r.holdsClaim {
		left.Claim = r.claim.item.Claim
	}
	rev, err := s.backend.Save(ctx, r.name, left.encode(), r.st.rev)
	if errors.Is(err, backend.ErrConflict) {
		rev, err = r.overwrite(ctx, left)
	}
	if err != nil {
		return err
	}
	r.st.rev, r.st.base, r.inItem = rev, digest(value), true
	if r.claim.item, r.claim.doubt = left, left.Doubt; !r.holdsClaim {
		r.claim = nil
	}
	if list {
		s.annotate(ctx, r.k, next, left.Doubt)
	}
	return nil
}

// overwrite saves over a claim that took ours over. For the same refresh token ours is the
// newer record: it is what the issuer gave for that token. A grant that was just obtained
// replaces any other, as it would have without the claim that took over.
func (r *spending) overwrite(ctx context.Context, left item) (backend.Revision, error) {
	for {
		now, rev, err := r.s.loadItem(ctx, r.k)
		switch {
		case err != nil && !errors.Is(err, ErrNotFound):
			return rev, err
		case err == nil && now.Record == left.Record && now.Token == left.Token:
			return rev, nil
		case r.room != nil && r.room.head.grant == newGrant:
		case err == nil && now.Record != r.claim.item.Record && now.Record != left.Record, err != nil && r.claim.item.Record != "":
			return rev, errOtherGrant
		}
		rev, err = r.s.backend.Save(ctx, r.name, left.encode(), rev)
		if !errors.Is(err, backend.ErrConflict) || !sleep(ctx, 50*time.Millisecond) {
			return rev, err
		}
	}
}

// errOtherGrant is of a save that would replace what somebody else got meanwhile.
var errOtherGrant = backend.Errorf(backend.ErrConflict, nil, nil, "the store has another credential of this account by now")

// settleCopy settles one copy of this machine, with the item claimed.
func (r *spending) settleCopy(ctx context.Context, c *foundCopy) error {
	s := r.s
	newer, err := s.openCopy(ctx, r.k, c)
	if err != nil {
		return err
	}
	value := secret.Secret(r.claim.item.Record)
	same := c.grant == r.st.rec.Grant && c.state == stateSent
	switch {
	case newer != "" && c.base == r.st.base && newer != value:
		return r.adoptShared(ctx, *c, newer)
	case newer != "" && (newer == value || same):
		c.remove() // it was saved, or a later one was
	case newer != "": // of another grant, which is not ours to judge
	case c.state == stateRoom && s.isOurs(*c), c.grant == newGrant && s.isOurs(*c):
		c.remove() // nothing was sent, or no refresh token was at stake
	case same && c.base == r.st.base && r.st.waiting == nil && r.claim.doubt != nil:
		r.st.mark = &Doubt{Since: c.since, PID: c.pid, Elsewhere: !s.isOurs(*c)}
		if r.claim.doubt.Owner == s.owner() {
			// The process that sent it has ended, and has left no sealed answer.
			r.claim.doubt.Lost = true
		}
	case same:
		c.remove() // a later record was saved, or a person has cleared the doubt
	}
	return nil
}

// adoptShared puts the record of a copy in the item's place: the newest refresh token was
// on this machine. That resolves the doubt.
func (r *spending) adoptShared(ctx context.Context, c foundCopy, newer secret.Secret) error {
	rec, err := decodeFor(r.k, newer)
	if err != nil {
		return nil //nolint:nilerr // openCopy has decoded it
	}
	next := r.claim.item
	next.Record, next.Token, next.Doubt = newer.Reveal(), "", nil // leaves for the engine
	r.st.rec = rec
	rev, err := r.s.backend.Save(ctx, r.name, next.encode(), r.st.rev)
	if err != nil {
		r.st.waiting = &c
		r.s.opt.Warn("the renewed credential of account " + r.k.String() + " still waits " + c.where + ", as it cannot be stored: " + err.Error())
		return nil
	}
	r.st.rev, r.st.base, r.st.mark = rev, digest(newer), nil
	r.claim.item, r.claim.doubt = next, nil
	c.remove()
	return nil
}

// grantedShared is granted on a shared store. The sealed copy is made first, and one save
// then brings the record and the verified token, and gives the claim up. A verification
// that takes long is not waited for: the record is saved under the claim, and the token
// after it. So it is where no copy could be made.
func (r *spending) grantedShared(ctx context.Context, sp Spender, next Record, unfit error) (Record, error) {
	r.claim.doubt = r.s.newDoubt(r.claim.item.Claim)
	sealErr := r.room.fill(encodeRecord(r.k, next))
	kept, wait := next, func() (Record, error) { return next, unfit }
	done := unfit != nil
	switch {
	case done:
	case sealErr == nil:
		wait, done = r.verified(ctx, sp, next)
	default: // nothing comes before the save
		wait = func() (Record, error) { return sp.Verify(ctx, next) }
	}
	if done {
		kept, unfit = wait()
	}
	st := r.st
	rest := func() (Record, error) {
		r.s.locks.countRefresh(r.name)
		r.s.keepHere(r.k, st.used(r.s.opt.Now(), kept, unfit), kept)
		return kept, unfit
	}
	if done && sealErr == nil {
		rest = meanwhile(kept, rest)
	}
	r.holdsClaim = !done
	err := r.save(ctx, kept, sealErr)
	r.holdsClaim = false
	if err != nil {
		r.s.locks.countRefresh(r.name)
		r.claim.doubt.Lost = true
		return kept, lost(err)
	}
	if !done {
		if kept, unfit = wait(); unfit == nil && r.inItem {
			_ = r.saveItem(ctx, kept) // without it the others refresh once more
		}
	}
	return rest()
}

// verified verifies a record whose sealed copy lies on this machine. done is false when
// that takes so long that the record is to be stored first.
func (r *spending) verified(ctx context.Context, sp Spender, next Record) (wait func() (Record, error), done bool) {
	finished := make(chan struct{})
	wait = meanwhile(next, func() (Record, error) {
		defer close(finished)
		return sp.Verify(ctx, next)
	})
	timer := time.NewTimer(verifyTime)
	defer timer.Stop()
	select {
	case <-finished:
		return wait, true
	case <-timer.C:
		return wait, false
	}
}

// keepHere caches the item's token on this machine and writes its note.
func (s *Store) keepHere(k Key, st known, rec Record) {
	s.writeNote(k, st, rec, s.cacheHere(k, rec))
}

// cacheHere caches a token in the kernel, or says that it is in the item.
func (s *Store) cacheHere(k Key, rec Record) string {
	t, now := rec.Token, s.opt.Now()
	if t.AccessToken == "" || expired(t, now) {
		s.kernel.remove(s.kernelName(k))
		return placeItem
	}
	ttl := maxCached
	if !t.Expiry.IsZero() {
		ttl = t.Expiry.Sub(now)
	}
	if s.kernel.put(s.kernelName(k), encodeToken(rec.Grant, t).Reveal(), ttl) == nil {
		return placeKernel
	}
	return placeItem
}

// listEvery is how exact the time of the last refresh is in a list of the engine.
const listEvery = time.Hour

// isNews reports whether the list of the engine is to be told of a record.
func (r *spending) isNews(next Record, d *doubt) bool {
	old, err := decodeFor(r.k, secret.Secret(r.claim.item.Record))
	if err != nil || d != nil || r.claim.item.Doubt != nil || r.s.opt.Now().Sub(r.claim.item.Listed) > listEvery {
		return true
	}
	old.RefreshExpiry, next.RefreshExpiry = time.Time{}, time.Time{} // it moves with each refresh
	old.RefreshToken, next.RefreshToken = "", ""
	return encodeRecord(r.k, old) != encodeRecord(r.k, next)
}

// annotate writes what a list shows of an account. Failing costs a list the newest state.
func (s *Store) annotate(ctx context.Context, k Key, rec Record, d *doubt) {
	n := Note{Key: k, Backend: s.Name(), GrantInfo: rec.GrantInfo, Refreshed: rec.Token.Obtained, TokenExpiry: rec.Token.Expiry}
	if parts := about(n, d); parts != nil {
		_ = s.sharer.Annotate(ctx, k.item(kindGrant), parts)
	}
}

// hostname is this machine's name, for people.
func hostname() string {
	name, err := os.Hostname()
	if err != nil || name == "" {
		return "?"
	}
	return name
}
