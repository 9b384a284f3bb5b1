package store

import (
	"context"
	"path/filepath"

	"filippo.io/age"

	"github.com/terradue/t2-cred/helper/safefile"
	"github.com/terradue/t2-cred/store/backend"
)

// Supplies are what room for a copy needs. A refresh begins them early, while it waits for
// something else, and makeRoom what was not begun. They are to be dropped.
type supplies struct {
	place     func() (*safefile.Reservation, error) // on disk
	recipient func() (*age.X25519Recipient, error)
	hurry     context.CancelFunc
}

// headRoom is more than the head of a copy takes, in bytes.
const headRoom = 1 << 10

// placePath is of the file until room is made of it. A killed process may leave it.
func (s *Store) placePath(k Key) string {
	return safefile.Temporary(filepath.Join(s.copyDir(), itemName(kindCopy, k.Profile, k.Account)))
}

// beginPlace takes the place on disk. The account's lock must be held.
func (p *supplies) beginPlace(s *Store, k Key) {
	if p.place != nil {
		return
	}
	p.place = meanwhile[*safefile.Reservation](nil, func() (*safefile.Reservation, error) {
		if err := s.checkOwner(); err != nil {
			return nil, err
		}
		if err := safefile.MakeDir(s.copyDir()); err != nil {
			return nil, err
		}
		return safefile.Reserve(s.placePath(k), headRoom+backend.MaxValue+sealOverhead)
	})
}

// beginRecipient asks the store whom copies are sealed to. The store must be open by then,
// as a second question to somebody who is asked to unlock it would be one too many.
func (p *supplies) beginRecipient(ctx context.Context, s *Store) {
	if p.recipient != nil {
		return
	}
	ctx, p.hurry = context.WithCancel(ctx)
	p.recipient = meanwhile[*age.X25519Recipient](nil, func() (*age.X25519Recipient, error) { return s.recipient(ctx) })
}

// drop gives back what no room was made of.
func (p *supplies) drop() {
	if p.recipient != nil {
		p.hurry()
		_, _ = p.recipient()
	}
	if p.place != nil {
		if place, err := p.place(); err == nil {
			place.Drop()
		}
	}
	*p = supplies{}
}
