package oidctest

import (
	"net/http"
	"slices"
)

// A Fault is one way to misbehave. Those with a name are listed by [Faults]; a
// test can as well make up its own. Each function may be nil; with several
// faults on one request they are called in the order of injection.
type Fault struct {
	// Name is what a test names the fault by.
	Name string
	// Endpoint is where it strikes; Any for all.
	Endpoint Endpoint
	// Grant narrows a fault of the token endpoint to one grant, as "refresh_token".
	Grant string
	// About says in a line what happens.
	About string
	// Harmless says that a good client gets its token all the same.
	Harmless bool

	// Before is called before the request is processed. An answer from it stands
	// for the processing, which does not happen; it may panic with
	// http.ErrAbortHandler to cut the connection.
	Before func(*Call) *Answer
	// Token changes a JWT of the answer, before or after it is signed.
	Token func(*Call, *Draft)
	// Edit changes the answer's JSON object.
	Edit func(*Call, map[string]any)
	// After changes the answer as a whole, when all has been processed.
	After func(*Call, *Answer)
	// Send writes the answer, in whatever way.
	Send func(*Call, http.ResponseWriter, Answer)
}

// On is the fault moved to another endpoint, for those that are about HTTP.
func (f Fault) On(e Endpoint) Fault {
	f.Endpoint = e
	return f
}

// A When chooses among the requests that a fault could strike at.
type When func(*injection)

type injection struct {
	fault   Fault
	grant   string
	seen    int
	strikes func(n int) bool
}

// Nth strikes at the n-th request since the injection only, counted from 1; at
// each of several if several are given.
func Nth(n ...int) When {
	return func(j *injection) { j.strikes = func(seen int) bool { return slices.Contains(n, seen) } }
}

// First strikes at the first n requests since the injection.
func First(n int) When {
	return func(j *injection) { j.strikes = func(seen int) bool { return seen <= n } }
}

// From strikes at the n-th request since the injection and all later ones.
func From(n int) When {
	return func(j *injection) { j.strikes = func(seen int) bool { return seen >= n } }
}

// OnGrant strikes at requests for one grant only: "token-exchange",
// "refresh_token". Others are not counted.
func OnGrant(grant string) When {
	return func(j *injection) { j.grant = grant }
}

// Inject arms a fault, for all requests that it can strike at unless told when.
// The function returned disarms it.
func (i *Issuer) Inject(f Fault, when ...When) (remove func()) {
	j := &injection{fault: f, grant: f.Grant, strikes: func(int) bool { return true }}
	for _, w := range when {
		w(j)
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.injected = append(i.injected, j)
	return func() {
		i.mu.Lock()
		defer i.mu.Unlock()
		i.injected = slices.DeleteFunc(i.injected, func(other *injection) bool { return other == j })
	}
}

// Clear disarms all faults.
func (i *Issuer) Clear() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.injected = nil
}

// due are the faults that strike at a request.
func (i *Issuer) due(c *Call) []Fault {
	i.mu.Lock()
	defer i.mu.Unlock()
	var due []Fault
	for _, j := range i.injected {
		e := c.Endpoint
		if e == Metadata {
			e = Discovery
		}
		if j.fault.Endpoint != Any && j.fault.Endpoint != e || j.grant != "" && j.grant != c.Grant {
			continue
		}
		j.seen++
		if j.strikes(j.seen) {
			due = append(due, j.fault)
		}
	}
	return due
}

// Faults are all faults that have a name. Those about HTTP are listed for the
// token endpoint; [Fault.On] moves them.
func Faults() []Fault {
	return slices.Concat(
		statusFaults(), connectionFaults(), redirectFaults(), bodyFaults(),
		answerFaults(), errorFaults(), echoFaults(), refusals(),
		algorithmFaults(), signatureFaults(), headerFaults(), claimFaults(), timeFaults(), idTokenFaults(), shapeFaults(),
		metadataFaults(), keySetFaults(), signingKeyFaults(),
	)
}

// FaultNamed is the fault of that name; it panics when there is none.
func FaultNamed(name string) Fault {
	for _, f := range Faults() {
		if f.Name == name {
			return f
		}
	}
	panic("oidctest: no fault " + name)
}
