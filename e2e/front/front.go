// Package front has servers that stand before an issuer and treat connections badly:
// one that speaks HTTP/2 and refuses streams or drains, one that speaks HTTP/1.1 and
// closes a connection in the middle of a request or of an answer. Both count what
// arrives.
package front

import (
	"sync"
)

// An Arrival is a POST that began to arrive.
type Arrival struct {
	Proto string // "HTTP/1.1" or "HTTP/2"
	Bytes int    // of the request, or of the body with HTTP/2
	Whole bool   // the issuer was given all of it
}

// arrivals is a list of POSTs.
type arrivals struct {
	mu   sync.Mutex
	list []*Arrival
}

// POSTs are those that arrived since the start or since Forget, also in part.
func (a *arrivals) POSTs() []Arrival {
	a.mu.Lock()
	defer a.mu.Unlock()
	all := make([]Arrival, len(a.list))
	for n, one := range a.list {
		all[n] = *one
	}
	return all
}

// Forget begins a new list.
func (a *arrivals) Forget() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.list = nil
}

func (a *arrivals) begin(proto string) *Arrival {
	a.mu.Lock()
	defer a.mu.Unlock()
	one := &Arrival{Proto: proto}
	a.list = append(a.list, one)
	return one
}

// change changes an arrival that is in the list.
func (a *arrivals) change(f func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	f()
}
