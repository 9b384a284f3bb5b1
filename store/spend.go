package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/terradue/t2-cred/helper/hint"
	"github.com/terradue/t2-cred/helper/secret"
	"github.com/terradue/t2-cred/store/backend"
)

// A spending is a refresh under way: locked, room made, marked, sent, answered, saved,
// verified. Each step is a method, and what an interruption before the next one leaves
// is settled by look. The last two are under way together.
type spending struct {
	s    *Store
	k    Key
	lock *heldLock
	st   known
	room *room
	name string // of the lock
	// patience bounds the wait for another machine's claim; zero is as long as the
	// context lasts.
	patience time.Duration
	// inItem says that the item holds the newest record, and no copy waits.
	inItem bool

	forget func()     // of what loadAhead has begun to load; nil for nothing
	needs  supplies   // of the room
	claim  *heldClaim // of the item of a shared store; nil when it is given up
	// keepsDoubt says that a save leaves the doubt of the claim as it is.
	keepsDoubt bool
	// holdsClaim says that a save does not give the claim up.
	holdsClaim bool
}

// saveLimit bounds everything that is left to do once the issuer has answered.
const saveLimit = 10 * time.Second

// errAgain says that nothing was sent, and the refresh begins again. Either the lock file was
// removed, or the claim on a shared store was on another item. Or it lasted no longer, such
// as while the engine had no leader.
var errAgain = errors.New("store: the refresh begins again")

// Refresh returns a record with a token that is enough: the cached one if another
// process got it meanwhile, else one that the spender gets for the refresh token. The
// token may come alone, as Record{Token: …}, when the item was not loaded.
//
// The error wraps the spender's own, or ErrBusy (the lock was not got in time),
// ErrNotFound, ErrLocked, ErrUnavailable, ErrTooLarge, ErrCorrupt or ErrName.
func (s *Store) Refresh(ctx context.Context, k Key, want Want, sp Spender) (Record, error) {
	if err := k.Validate(); err != nil {
		return Record{}, err
	}
	before := s.locks.refreshes(k.item(kindGrant))
	if enough := want.Enough; want.Fresh && enough != nil {
		stale, _ := s.cachedToken(ctx, k) // the zero Token where there is none
		want.Enough = func(t Token) bool { return t.AccessToken != stale.AccessToken && enough(t) }
	}
	for {
		rec, err := s.refreshOnce(ctx, k, want, sp, before)
		if !errors.Is(err, errAgain) {
			return rec, err
		}
	}
}

func (s *Store) refreshOnce(ctx context.Context, k Key, want Want, sp Spender, before uint64) (Record, error) {
	r := &spending{s: s, k: k, name: k.item(kindGrant), patience: want.Patience}
	// enough looks whether another process has brought a token that will do.
	var brought Token
	enough := func() bool {
		if want.Enough == nil || want.Fresh && s.locks.refreshes(r.name) == before {
			return false
		}
		t, err := s.cachedToken(ctx, k)
		brought = t
		return err == nil && want.Enough(t)
	}
	patient, cancel := want.patient(ctx)
	defer cancel()
	lock, err := s.lockUnless(patient, r.name, s.onNews(k, enough))
	if err != nil {
		return Record{}, err
	}
	if lock == nil {
		return Record{Token: brought}, nil
	}
	r.lock = lock
	defer lock.release()
	if enough() {
		return Record{Token: brought}, nil
	}
	asked := s.locks.refreshes(r.name) != before
	mayServe := want.Enough != nil && (!want.Fresh || asked)
	if s.shared() {
		return r.refreshShared(ctx, want, sp, asked)
	}
	r.loadAhead(ctx)
	defer r.forgetAhead()
	if r.st, err = s.look(ctx, k); err != nil && !errors.Is(err, ErrNotFound) {
		return Record{}, err
	}
	if mayServe && r.st.rec.Token.AccessToken != "" && want.Enough(r.st.rec.Token) {
		s.writeNote(k, r.st, r.st.rec, r.st.place)
		return r.st.rec, nil
	}
	return r.run(ctx, sp, asked)
}

// onNews asks again only after the account's note was written anew, as it is after each
// token. Opening a cached token takes its time, and a thousand may wait.
func (s *Store) onNews(k Key, enough func() bool) func() bool {
	asked, last := false, os.FileInfo(nil)
	return func() bool {
		now := s.notes.stat(k)
		if asked && sameNote(now, last) {
			return false
		}
		asked, last = true, now
		return enough()
	}
}

// run does the steps from here on.
func (r *spending) run(ctx context.Context, sp Spender, asked bool) (Record, error) {
	old := r.st.rec
	machine := r.s.machine()
	if r.s.shared() {
		machine = "" // a record of many machines is of none
	}
	found := Found{Record: old, Doubt: r.st.doubt, Asked: asked, Elsewhere: old.Machine != "" && machine != "" && old.Machine != machine}
	leased, cancel := r.leaseContext(ctx)
	defer cancel()
	r.needs.beginRecipient(ctx, r.s)
	prepared, err := sp.Prepare(leased, found)
	if err != nil {
		if err := r.checked(ctx); err != nil {
			return Record{}, err
		}
		if isZero(prepared) {
			if r.claim != nil && errors.Is(leased.Err(), context.DeadlineExceeded) && ctx.Err() == nil {
				err = fmt.Errorf("%w: %w", errAgain, err)
			}
			return Record{}, err
		}
		return prepared, errors.Join(err, r.conclude(ctx, prepared))
	}
	if r.st.waiting != nil && prepared.Grant == old.Grant {
		return Record{}, stillWaits(r.k, r.st.waiting)
	}
	if err := r.makeRoom(ctx, prepared); err != nil {
		return Record{}, unspent(err)
	}
	if err := r.checked(ctx); err != nil {
		return Record{}, errors.Join(r.notSent(), unspent(err))
	}
	if err := r.mark(); err != nil {
		return Record{}, errors.Join(r.notSent(), unspent(err))
	}
	next, verdict, err := sp.Send(leased, r.ready)
	// From here on nobody may interrupt: next may be all that is left of a grant.
	ctx, cancelSave := r.saving(ctx)
	defer cancelSave()
	switch verdict {
	case NotSent:
		return Record{}, errors.Join(err, r.notSent())
	case Granted:
		next.Machine = machine
		return r.granted(ctx, sp, next, err)
	case Refused:
		r.s.locks.countRefresh(r.name)
		if isZero(next) { // it was refused for another reason, so an earlier doubt stays
			return Record{}, errors.Join(err, r.notSent())
		}
		return next, errors.Join(err, r.conclude(ctx, next))
	}
	r.room.close() // the mark stays
	r.unanswered()
	return Record{}, err
}

// checked is checkClaim before the refresh token is sent.
func (r *spending) checked(ctx context.Context) error {
	err := r.checkClaim(ctx)
	if errors.Is(err, backend.ErrConflict) {
		return fmt.Errorf("%w: %w", errAgain, err)
	}
	return err
}

// saving bounds what is left to do once the issuer has answered. Nobody may interrupt it.
func (r *spending) saving(ctx context.Context) (context.Context, context.CancelFunc) {
	limit := saveLimit
	if r.claim != nil { // a save is safe at any time; while the lease runs nobody takes over
		limit = max(r.s.saveTime, min(2*r.s.saveTime, r.claim.until-r.s.boot()))
	}
	return context.WithTimeout(context.WithoutCancel(ctx), limit)
}

// stillWaits is the error of a copy that would be overwritten.
func stillWaits(k Key, c *foundCopy) error {
	return backend.Errorf(ErrUnavailable, nil, hint.Do(hint.Words("make the store work, then: "), hint.Run("get").For(k.Profile, k.Account)),
		"the renewed credential of account %v waits %s, and must be stored first", k, c.where)
}

// makeRoom is the step before anything is sent: there is a place for the new token. With
// an earlier doubt the old mark stays until the new one is written over it.
func (r *spending) makeRoom(ctx context.Context, rec Record) (err error) {
	value := encodeRecord(r.k, rec)
	head := copyHead{grant: rec.Grant, base: r.st.base}
	if r.st.mark != nil {
		head.state = stateSent
	}
	r.room, err = r.s.makeRoom(ctx, r.k, head, len(value), &r.needs)
	return err
}

// mark writes down that the refresh token is being spent.
func (r *spending) mark() error {
	if err := r.room.mark(); err != nil {
		return backend.Errorf(ErrUnavailable, err, nil, "cannot write into the room for the new refresh token")
	}
	return nil
}

// unspent says of an error before the request that the refresh token is unspent. Other
// requests (discovery, introspection) may have been sent.
func unspent(err error) error { return fmt.Errorf("%w; so nothing was spent", err) }

// ready is asked right before the first byte leaves: the lock is still ours.
func (r *spending) ready() error {
	if err := r.lock.lost(); err != nil {
		return fmt.Errorf("%w: %w", errAgain, err)
	}
	return r.checkLease()
}

// notSent takes back the room and the mark. Without an earlier doubt nothing is left.
func (r *spending) notSent() error {
	if r.st.mark == nil || r.room.head.grant != r.st.rec.Grant {
		return r.room.remove()
	}
	return r.room.restore(r.st.mark)
}

// granted keeps the new refresh token, first sealed beside the item and then in it. Once
// it is sealed, the access token is verified and cached while the item is saved. Refused or
// not, the refresh token stays.
func (r *spending) granted(ctx context.Context, sp Spender, next Record, unfit error) (Record, error) {
	if r.claim != nil {
		return r.grantedShared(ctx, sp, next, unfit)
	}
	sealErr := r.seal(next) // nothing comes between the answer and this
	st := r.st
	rest := func() (Record, error) {
		r.s.locks.countRefresh(r.name)
		verified, err := next, unfit
		if unfit == nil {
			verified, err = sp.Verify(ctx, next)
		}
		r.s.keepRest(ctx, r.k, st.used(r.s.opt.Now(), verified, err), verified)
		return verified, err
	}
	if sealErr == nil {
		rest = meanwhile(next, rest)
	}
	if err := r.save(ctx, next, sealErr); err != nil { // this goes before what is wrong with the access token
		r.s.locks.countRefresh(r.name)
		return next, lost(err)
	}
	verified, unfit := rest()
	if encodeRecord(r.k, verified) != encodeRecord(r.k, next) && r.inItem {
		if err := r.saveItem(ctx, verified); err != nil { // for display; the next refresh brings it again
			verified.GrantInfo = next.GrantInfo
		}
	}
	return verified, unfit
}

// used notes when a refresh was that leaves the record's own token as it is, such as one
// for a narrower token.
func (st known) used(now time.Time, verified Record, unfit error) known {
	if unfit == nil && verified.Token.equal(st.rec.Token) {
		st.note.Refreshed = now
	}
	return st
}

// meanwhile begins f, and returns what waits for its end. After a panic of f the value is
// the one that is given here.
func meanwhile[T any](value T, f func() (T, error)) (wait func() (T, error)) {
	var err error
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer caught(&err)
		value, err = f()
	}()
	return func() (T, error) {
		<-done
		return value, err
	}
}

// lost is the error of a new refresh token that could be kept nowhere.
func lost(err error) error {
	return &hint.Error{
		Kind: ErrLost, Detail: "the refresh token was spent, and the new one, which lives on at the issuer, could not be stored: " + err.Error(), Remedy: hint.Of(err),
	}
}

// seal is the first half of the step after the answer. The error says why there can be no
// sealed copy.
func (r *spending) seal(next Record) error {
	if r.same(next) {
		return nil
	}
	return r.room.fill(encodeRecord(r.k, next))
}

// same says that the old refresh token goes on, and nothing else is new.
func (r *spending) same(next Record) bool {
	return r.claim == nil && encodeRecord(r.k, next) == encodeRecord(r.k, r.st.rec)
}

// save is the second half. When the item cannot be saved, the sealed copy is kept and a
// warning says where: that is no error, as nothing is lost.
func (r *spending) save(ctx context.Context, next Record, sealErr error) error {
	if r.same(next) {
		r.inItem = true
		return r.settled()
	}
	err := r.saveItem(ctx, next)
	if err == nil {
		return r.settled()
	}
	if sealErr != nil {
		r.room.close()
		return fmt.Errorf("store the credential of account %v: %w (and the new refresh token could not be kept elsewhere: %w)", r.k, err, sealErr)
	}
	where, keepErr := r.room.keep()
	if keepErr != nil {
		where += " (" + keepErr.Error() + ")"
	}
	r.s.opt.Warn(fmt.Sprintf("the renewed credential of account %v could not be stored (%v); it is kept %s, "+
		"and the next t2-cred command for this account stores it: make the store work, then run %s", r.k, err, where,
		hint.Do(hint.Run("get").For(r.k.Profile, r.k.Account))))
	r.room = nil
	return nil
}

// retryDelays are the pauses before another attempt to save.
func retryDelays() []time.Duration {
	return []time.Duration{200 * time.Millisecond, 600 * time.Millisecond, 1500 * time.Millisecond}
}

// saveItem saves the record, several times if a new refresh token is at stake. An item
// that changed meanwhile, by a program that does not take our lock, is looked at again:
// what was got last counts for the same grant.
func (r *spending) saveItem(ctx context.Context, next Record) error {
	delays := retryDelays()
	switch {
	case r.room == nil:
		delays = nil
	case r.claim != nil: // until the time for it is over
		delays = slices.Repeat([]time.Duration{500 * time.Millisecond}, 100)
	}
	for {
		err := r.saveOnce(ctx, next)
		if err == nil || errors.Is(err, ErrTooLarge) || errors.Is(err, backend.ErrNoAnswer) || errors.Is(err, errOtherGrant) || len(delays) == 0 || !sleep(ctx, delays[0]) {
			return err
		}
		delays = delays[1:]
	}
}

func (r *spending) saveOnce(ctx context.Context, next Record) error {
	if r.s.shared() {
		return r.saveShared(ctx, next)
	}
	name, value := r.k.item(kindGrant), encodeRecord(r.k, next)
	rev, err := r.s.save(ctx, name, value, r.st.rev)
	if errors.Is(err, backend.ErrConflict) {
		var other secret.Secret
		if other, rev, err = r.s.backend.Load(ctx, name); err != nil && !errors.Is(err, ErrNotFound) {
			return err
		}
		if rec, decodeErr := decodeFor(r.k, other); decodeErr == nil && rec.Grant != next.Grant && rec.Grant != r.st.rec.Grant {
			return backend.Conflict(name)
		}
		rev, err = r.s.save(ctx, name, value, rev)
	}
	if err == nil {
		r.st.rev, r.st.base, r.inItem = rev, digest(value), true
	}
	return err
}

// settled removes the copy: there was an outcome.
func (r *spending) settled() error {
	if r.room == nil {
		return nil
	}
	err := r.room.remove()
	r.room = nil
	if err != nil {
		// A stale copy is ignored: its base is not the stored item any more.
		r.s.opt.Warn("cannot remove the copy of account " + r.k.String() + ": " + err.Error())
	}
	return nil
}

// conclude saves a record that has no new refresh token, such as one whose grant was
// revoked.
func (r *spending) conclude(ctx context.Context, next Record) error {
	ctx, cancel := r.saving(ctx)
	defer cancel()
	r.keepsDoubt = next.RevokedBy == ""
	if err := r.saveItem(ctx, next); err != nil {
		return fmt.Errorf("store the credential of account %v: %w", r.k, err)
	}
	r.s.keepRest(ctx, r.k, r.st, next)
	if r.room != nil && r.st.mark != nil && next.RevokedBy == "" {
		return r.notSent() // it was refused for another reason, so the doubt stays
	}
	r.dropDoubt()
	return r.settled()
}

// dropDoubt removes an earlier mark: the outcome is known by now.
func (r *spending) dropDoubt() {
	if r.st.mark == nil || r.room != nil {
		return
	}
	for _, c := range r.s.findCopy(r.k, r.st.rec.Grant) {
		c.remove()
	}
}
