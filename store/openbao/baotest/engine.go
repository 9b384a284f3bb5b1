// Package baotest is an engine in memory that speaks what package openbao needs of
// OpenBao's API, with the faults that a cluster has: standbys with old states, refused
// check-and-sets, lost answers, redirects, a sealed engine, quotas.
//
// The package's Go API is internal to t2-cred and may change at any time.
package baotest

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// Faults of an engine. They hold until they are changed.
type Faults struct {
	Stale    bool // a standby reads, and checks and sets, by the state before the last write
	Redirect bool // a standby refers to the active node
	Sealed   bool
	NoLeader bool // every node answers 500, as between two leaders
	NoPages  bool // limit, after and detailed-metadata do not exist, as in HashiCorp Vault
	Busy     int  // so many requests are answered 429
	Lose     int  // so many writes take place, and their answer is lost
	Hang     int  // so many requests are never answered
	Young    int  // so many requests meet an engine that was made a moment ago
	Deny     bool // every path is forbidden
	Away     bool // connections are cut
	// Clock is how far the engine's clock is ahead.
	Clock time.Duration
	// Before is called before each request is served.
	Before func(method, path string)
}

// An Engine has one active node, the first, and standbys.
type Engine struct {
	t     testing.TB
	nodes []*httptest.Server

	mu     sync.Mutex
	f      Faults
	now    map[string]*item // the active node's
	past   map[string]*item // as it was before the last write
	writes int
	tokens map[string]time.Time
	logins int
	calls  map[string]int
	life   time.Duration
}

type item struct {
	version int
	value   map[string]any // nil for a version that was deleted
	before  map[string]any // of the version before
	about   map[string]string
}

const (
	// Mount is where the engine has KV version 2.
	Mount = "kv"
	// RootToken is a token that is always taken.
	RootToken = "root-token-Zk3qP8vXw1"
	// SecretID is what auth/approle/login takes.
	SecretID = "secret-id-5tVb9QmR2c"
)

// New starts an engine of so many nodes.
func New(t testing.TB, nodes int) *Engine {
	e := &Engine{t: t, now: map[string]*item{}, past: map[string]*item{}, tokens: map[string]time.Time{}, calls: map[string]int{}, life: time.Hour}
	for n := range nodes {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { e.serve(w, r, n) }))
		t.Cleanup(server.Close)
		e.nodes = append(e.nodes, server)
	}
	return e
}

// Addresses are those of the nodes, the active one first.
func (e *Engine) Addresses() (all []string) {
	for _, n := range e.nodes {
		all = append(all, n.URL)
	}
	return all
}

// Set changes the faults.
func (e *Engine) Set(change func(*Faults)) {
	e.mu.Lock()
	defer e.mu.Unlock()
	change(&e.f)
}

// EndTokens ends all tokens but the root's, and gives new ones that life.
func (e *Engine) EndTokens(life time.Duration) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.tokens, e.life = map[string]time.Time{}, life
}

// Calls is how often such a request was served, such as "GET data" or "POST login".
func (e *Engine) Calls(what string) int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.calls[what]
}

// ResetCalls forgets what was served.
func (e *Engine) ResetCalls() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.calls = map[string]int{}
}

// Total is how many requests were served.
func (e *Engine) Total() (n int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, c := range e.calls {
		n += c
	}
	return n
}

// Names are those of all items, sorted.
func (e *Engine) Names() (names []string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for name := range e.now {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// Value is the newest value of an item by its whole path; empty where there is none.
func (e *Engine) Value(path string) string {
	e.mu.Lock()
	defer e.mu.Unlock()
	if i := e.now[path]; i != nil {
		text, _ := i.value["value"].(string)
		return text
	}
	return ""
}

// Put writes an item past every check.
func (e *Engine) Put(path, value string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.change(path, func(i *item) { i.version++; i.before, i.value = i.value, map[string]any{"value": value} })
}

// Undo deletes the newest version of an item, as an administrator's `kv delete` does.
func (e *Engine) Undo(path string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.change(path, func(i *item) { i.value = nil })
}

// Drop deletes an item whole.
func (e *Engine) Drop(path string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.change(path, func(i *item) { i.version = 0 })
}

// change makes a write. What was there is the state of the standbys until the next one.
func (e *Engine) change(path string, f func(*item)) {
	e.past = map[string]*item{}
	for name, i := range e.now {
		e.past[name] = i
	}
	next := item{}
	if old := e.now[path]; old != nil {
		next = *old
	}
	f(&next)
	if next.version == 0 {
		delete(e.now, path)
	} else {
		e.now[path] = &next
	}
	e.writes++
}

func (e *Engine) serve(w http.ResponseWriter, r *http.Request, node int) {
	path := strings.TrimPrefix(r.URL.Path, "/v1/")
	e.mu.Lock()
	before, f := e.f.Before, e.f
	take := func(count *int) bool {
		if *count > 0 {
			*count--
			return true
		}
		return false
	}
	busy, hang, young := take(&e.f.Busy), take(&e.f.Hang), take(&e.f.Young)
	e.mu.Unlock()
	if before != nil {
		before(r.Method, path)
	}
	w.Header().Set("Date", time.Now().Add(f.Clock).UTC().Format(http.TimeFormat))
	switch {
	case f.Away:
		cut(w)
	case hang:
		time.Sleep(6 * time.Second) // longer than anybody waits
		cut(w)
	case busy:
		w.Header().Set("Retry-After", "1")
		fail(w, http.StatusTooManyRequests, "request path quota exceeded")
	case young:
		fail(w, http.StatusBadRequest, "Waiting for the primary to upgrade from non-versioned to versioned data. This backend will be unavailable for a brief period and will resume service when the primary is finished.")
	case f.Sealed:
		fail(w, http.StatusServiceUnavailable, "Vault is sealed")
	case f.NoLeader:
		fail(w, http.StatusInternalServerError, "local node not active but active cluster node not found")
	case f.Redirect && node > 0 && path != "sys/leader":
		http.Redirect(w, r, e.nodes[0].URL+r.URL.RequestURI(), http.StatusTemporaryRedirect)
	default:
		e.route(w, r, node, path)
	}
}

func (e *Engine) route(w http.ResponseWriter, r *http.Request, node int, path string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	words := strings.SplitN(path, "/", 3)
	switch {
	case path == "sys/leader":
		give(w, http.StatusOK, map[string]any{"ha_enabled": len(e.nodes) > 1, "is_self": node == 0, "leader_address": e.nodes[0].URL})
		return
	case path == "sys/health":
		give(w, http.StatusOK, map[string]any{"sealed": false, "standby": node > 0, "version": "2.7.2", "server_time_utc": time.Now().Unix()})
		return
	case strings.HasPrefix(path, "auth/") && strings.HasSuffix(path, "/login"):
		e.login(w, r)
		return
	}
	token := r.Header.Get("X-Vault-Token")
	end, known := e.tokens[token]
	if e.f.Deny || token != RootToken && (!known || time.Now().After(end)) {
		e.calls["denied"]++
		fail(w, http.StatusForbidden, "permission denied")
		return
	}
	switch {
	case path == "auth/token/renew-self":
		e.calls["renew"]++
		e.tokens[token] = time.Now().Add(e.life)
		give(w, http.StatusOK, map[string]any{"auth": map[string]any{"client_token": token, "lease_duration": int(e.life.Seconds()), "renewable": true}})
	case path == "sys/capabilities-self":
		var body struct{ Paths []string }
		_ = json.NewDecoder(r.Body).Decode(&body)
		data := map[string]any{}
		for _, p := range body.Paths {
			data[p] = []string{"create", "read", "update", "delete", "list"}
		}
		give(w, http.StatusOK, map[string]any{"data": data})
	case len(words) < 3 || words[0] != Mount:
		fail(w, http.StatusNotFound, "no handler for route \""+path+"\". route entry not found.")
	default:
		e.calls[r.Method+" "+words[1]]++
		e.items(w, r, node, words[1], words[2])
	}
}

func (e *Engine) login(w http.ResponseWriter, r *http.Request) {
	e.calls["POST login"]++
	var body map[string]string
	if json.NewDecoder(r.Body).Decode(&body) != nil || body["secret_id"] != SecretID && body["jwt"] == "" && body["name"] == "" {
		fail(w, http.StatusBadRequest, "invalid role or secret ID")
		return
	}
	e.logins++
	token := "s.login-" + strconv.Itoa(e.logins) + "-Qw7xN2"
	e.tokens[token] = time.Now().Add(e.life)
	give(w, http.StatusOK, map[string]any{"auth": map[string]any{"client_token": token, "lease_duration": int(e.life.Seconds()), "renewable": true}})
}

// items serves the KV engine.
func (e *Engine) items(w http.ResponseWriter, r *http.Request, node int, kind, path string) {
	state := e.now
	if e.f.Stale && node > 0 && (r.Header.Get("X-Vault-Index") == "" || r.Header.Get("X-Vault-Inconsistent") != "forward-active-node") {
		state = e.past
	}
	i := state[path]
	switch {
	case r.Method == http.MethodGet && r.URL.Query().Get("list") == "true":
		e.list(w, r, state, kind, path)
	case r.Method == http.MethodGet && kind == "data":
		if v := r.URL.Query().Get("version"); v != "" && i != nil && v != strconv.Itoa(i.version) {
			if i = (&item{version: i.version - 1, value: i.before}); v != strconv.Itoa(i.version) {
				i = nil
			}
		}
		read(w, i)
	case r.Method == http.MethodPost && kind == "data":
		e.set(w, r, i, path)
	case r.Method == http.MethodPost && kind == "metadata":
		var body struct {
			About map[string]string `json:"custom_metadata"`
		}
		if json.NewDecoder(r.Body).Decode(&body) != nil {
			fail(w, http.StatusBadRequest, "not JSON")
			return
		}
		if e.now[path] != nil { // no version is made
			e.now[path].about = body.About
		}
		w.WriteHeader(http.StatusNoContent)
	case r.Method == http.MethodDelete && kind == "metadata":
		e.change(path, func(i *item) { i.version = 0 })
		e.answered(w, http.StatusNoContent, nil)
	default:
		fail(w, http.StatusMethodNotAllowed, "unsupported operation")
	}
}

func read(w http.ResponseWriter, i *item) {
	switch {
	case i == nil:
		fail(w, http.StatusNotFound)
	case i.value == nil:
		give(w, http.StatusNotFound, map[string]any{"data": map[string]any{"data": nil, "metadata": map[string]any{"version": i.version, "deletion_time": "2026-11-30T05:59:19Z"}}})
	default:
		give(w, http.StatusOK, map[string]any{"data": map[string]any{"data": i.value, "metadata": map[string]any{"version": i.version, "custom_metadata": i.about}}})
	}
}

func (e *Engine) set(w http.ResponseWriter, r *http.Request, seen *item, path string) {
	var body struct {
		Options struct{ CAS *int }
		Data    map[string]any
	}
	if json.NewDecoder(r.Body).Decode(&body) != nil || body.Options.CAS == nil {
		fail(w, http.StatusBadRequest, "check-and-set parameter required for this call")
		return
	}
	version := func(i *item) int {
		if i == nil {
			return 0
		}
		return i.version
	}
	if version(seen) != *body.Options.CAS || version(e.now[path]) != *body.Options.CAS {
		e.calls["refused"]++
		fail(w, http.StatusBadRequest, "check-and-set parameter did not match the current version")
		return
	}
	e.change(path, func(i *item) { i.version++; i.before, i.value = i.value, body.Data })
	e.answered(w, http.StatusOK, map[string]any{"data": map[string]any{"version": e.now[path].version}})
}

// answered gives the answer to a write, unless it is to be lost.
func (e *Engine) answered(w http.ResponseWriter, status int, body map[string]any) {
	if e.f.Lose > 0 {
		e.f.Lose--
		cut(w)
		return
	}
	w.Header().Set("X-Vault-Index", "index-"+strconv.Itoa(e.writes))
	give(w, status, body)
}

func (e *Engine) list(w http.ResponseWriter, r *http.Request, state map[string]*item, kind, prefix string) {
	var names []string
	for name := range state {
		if rest, ok := strings.CutPrefix(name, prefix+"/"); ok {
			first, _, isFolder := strings.Cut(rest, "/")
			if isFolder {
				first += "/"
			}
			names = append(names, first)
		}
	}
	slices.Sort(names)
	names = slices.Compact(names)
	detailed := kind == "detailed-metadata"
	if detailed && e.f.NoPages || len(names) == 0 {
		fail(w, http.StatusNotFound)
		return
	}
	if q := r.URL.Query(); !e.f.NoPages {
		names = slices.DeleteFunc(names, func(name string) bool { return name <= q.Get("after") })
		if limit, _ := strconv.Atoi(q.Get("limit")); limit > 0 && len(names) > limit {
			names = names[:limit]
		}
		if len(names) == 0 {
			fail(w, http.StatusNotFound)
			return
		}
	}
	data := map[string]any{"keys": names}
	if detailed {
		info := map[string]any{}
		for _, name := range names {
			if i := state[prefix+"/"+name]; i != nil {
				info[name] = map[string]any{"custom_metadata": i.about}
			}
		}
		data["key_info"] = info
	}
	give(w, http.StatusOK, map[string]any{"data": data})
}

func give(w http.ResponseWriter, status int, body map[string]any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if body != nil {
		_ = json.NewEncoder(w).Encode(body)
	}
}

func fail(w http.ResponseWriter, status int, words ...string) {
	if words == nil {
		words = []string{}
	}
	give(w, status, map[string]any{"errors": words})
}

// cut ends the connection without an answer.
func cut(w http.ResponseWriter) {
	if conn, _, err := http.NewResponseController(w).Hijack(); err == nil {
		_ = conn.Close()
	}
}
