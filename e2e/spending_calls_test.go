package e2e

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/terradue/t2-cred/e2e/keycloak"
	"github.com/terradue/t2-cred/e2e/syscalls"
	"github.com/terradue/t2-cred/helper/oidc/oidctest"
)

// TestSpending_everyCall fails, kills and stops the program at every call of a refresh
// that works on a file, a socket, a key, a lock or a name, and fills the disk there.
// After each, the next `get` works; or the loss belongs to a POST whose answer the
// program had no chance to keep. No refresh token arrives twice but where the first
// answer was lost so.
func TestSpending_everyCall(t *testing.T) {
	for _, world := range []struct {
		store    string
		noKernel bool
	}{{"file", false}, {"keyring", false}, {"file", true}, {"keyring", true}} {
		name := world.store
		if world.noKernel {
			name += ", the kernel keyring is refused"
		}
		t.Run(name, func(t *testing.T) { newCallTable(t, world.store, world.noKernel).run() })
	}
}

// callTable is the table of one store: a row for each call.
type callTable struct {
	t      *testing.T
	rig    *rig
	tracer syscalls.Tracer
	// noKernel has all calls of the kernel's keyring refused in every run, as a
	// container does.
	noKernel bool
	// counts are the rows by what was done and how it ended.
	counts map[string]map[string]int
	bad    []string
}

func newCallTable(t *testing.T, store string, noKernel bool) *callTable {
	t.Helper()
	if os.Getuid() != 0 {
		t.Log("without root the program's memory cannot be read, as it hides it: objects are known by their descriptors only")
	}
	r := newRig(t, store, rigOptions{})
	if notes, err := os.Stat(filepath.Join(r.home.Dir, ".local/state/t2-cred")); err != nil {
		t.Fatal(err)
	} else if uid, _ := owner(notes); uid == 0 || uid != r.user.uid {
		t.Fatalf("the program runs as user %d, which is no ordinary one", uid)
	}
	c := &callTable{t: t, rig: r, counts: map[string]map[string]int{}, noKernel: noKernel}
	bus := ""
	for _, kv := range r.home.Env() {
		if address, ok := strings.CutPrefix(kv, "DBUS_SESSION_BUS_ADDRESS=unix:path="); ok {
			bus = address
		}
	}
	issuer := strings.TrimPrefix(r.issuer.URL(), "http://")
	issuer, _, _ = strings.Cut(issuer, "/")
	c.tracer = newTracer(t, syscalls.Names(), func(o string) string {
		o = strings.ReplaceAll(o, r.home.Dir, "HOME")
		o = strings.ReplaceAll(o, "tcp "+issuer, "issuer")
		if bus != "" {
			o = strings.ReplaceAll(o, "unix "+bus, "bus")
		}
		return random.ReplaceAllString(o, "*")
	})
	c.tracer.Decide = c.standing
	if noKernel {
		// What the kernel keyring holds otherwise is kept elsewhere then.
		r.restore()
		r.issuer.Set(oidctest.Lifespan(shortLife))
		if e := r.get(&c.tracer, "--fresh"); e.Code != 0 {
			t.Fatalf("without the kernel keyring: %s", e)
		}
		time.Sleep(shortLife + 200*time.Millisecond)
		r.issuer.Set(oidctest.Lifespan(5 * time.Minute))
		r.save()
	}
	return c
}

// standing is what is refused in every run.
func (c *callTable) standing(call syscalls.Call) syscalls.Verdict {
	if c.noKernel && (call.Name == "add_key" || call.Name == "keyctl") {
		return syscalls.Fail(unix.EPERM)
	}
	return syscalls.Pass()
}

// random is what the name of a temporary file has of its own, and a home's namespace.
var random = regexp.MustCompile(`\d{4,}|\b[a-z2-7]{16}\b`)

// boring is what Go's runtime does at the start and to wake its own threads.
func boring(c syscalls.Call) bool {
	return strings.HasPrefix(c.Object, "anon_inode:") || strings.HasPrefix(c.Object, "/sys/kernel/mm/") ||
		strings.HasPrefix(c.Object, "/proc/") || strings.HasPrefix(c.Object, "/sys/fs/cgroup") || strings.HasPrefix(c.Object, "pipe")
}

// A callRow is one call and what becomes of it.
type callRow struct {
	call  syscalls.Call
	does  string
	errno unix.Errno // of fails
}

// What becomes of a call.
const (
	kills = "kill at"
	fails = "fail"
	fills = "disk full from" // on: nothing can be written any more
	stops = "stop at"        // longer than --timeout
)

func (r callRow) String() string {
	if r.does == fails {
		return unix.ErrnoName(r.errno) + " from " + r.call.String()
	}
	return r.does + " " + r.call.String()
}

// verdict is what becomes of a call, where the row's call has come.
func (c *callTable) verdict(r callRow, call syscalls.Call, first bool) syscalls.Verdict {
	switch {
	case r.does == fills && c.refused(call):
		return syscalls.Fail(unix.ENOSPC)
	case !first:
	case r.does == kills:
		return syscalls.Kill()
	case r.does == fails:
		return syscalls.Fail(r.errno)
	case r.does == stops:
		return syscalls.Stop(stopped)
	}
	return syscalls.Pass()
}

// stopped is for how long a program is stopped, and shorter its --timeout then.
const (
	stopped = 1200 * time.Millisecond
	shorter = "1s"
)

// refused tells the calls that a full disk refuses. Where the kernel has room instead,
// the disk also refuses to overwrite what is there, as a file system that copies on
// write does.
func (c *callTable) refused(call syscalls.Call) bool {
	return writes(call) || call.Name == "pwrite64" && strings.HasPrefix(call.Object, "HOME") && !c.noKernel
}

// writes tells the calls that need new room on a disk.
func writes(c syscalls.Call) bool {
	if !strings.HasPrefix(c.Object, "HOME") {
		return false
	}
	switch c.Name {
	case "openat":
		return c.Args[2]&unix.O_CREAT != 0
	case "write", "ftruncate", "fallocate", "mkdirat", "linkat", "symlinkat":
		return true
	}
	return false
}

// isStopped tells the calls at which a program is stopped: where it waits, and where
// it holds what it must not lose.
func isStopped(c syscalls.Call) bool {
	return c.Object == "issuer" || c.Name == "flock" || c.Name == "renameat" || c.Name == "add_key" || c.Name == "fsync"
}

// known tells whether a call is the row's.
func (r callRow) known(c syscalls.Call) bool {
	return c.Name == r.call.Name && c.Object == r.call.Object && c.N == r.call.N
}

// errnos are the errors that a call can end with in earnest.
func errnos(c syscalls.Call) []unix.Errno {
	onSocket := c.Object == "issuer" || c.Object == "bus" || strings.HasPrefix(c.Object, "tcp ") || strings.HasPrefix(c.Object, "unix ") || c.Object == "socket"
	switch c.Name {
	case "openat":
		if c.Args[2]&unix.O_CREAT != 0 {
			return []unix.Errno{unix.ENOSPC, unix.EACCES}
		}
		return []unix.Errno{unix.EACCES, unix.EIO}
	case "read", "pread64", "recvfrom", "recvmsg":
		if onSocket {
			return []unix.Errno{unix.ECONNRESET}
		}
		return []unix.Errno{unix.EIO}
	case "write", "pwrite64", "sendto", "sendmsg":
		if onSocket {
			return []unix.Errno{unix.EPIPE}
		}
		return []unix.Errno{unix.ENOSPC, unix.EIO}
	case "ftruncate", "fallocate", "mkdirat", "linkat", "symlinkat":
		return []unix.Errno{unix.ENOSPC}
	case "fsync", "fdatasync":
		return []unix.Errno{unix.EIO}
	case "renameat", "renameat2", "unlinkat":
		return []unix.Errno{unix.EACCES, unix.EIO}
	case "flock":
		return []unix.Errno{unix.EINTR, unix.ENOLCK}
	case "fchmod", "fchmodat":
		return []unix.Errno{unix.EPERM}
	case "connect":
		return []unix.Errno{unix.ECONNREFUSED}
	case "add_key":
		return []unix.Errno{unix.EDQUOT, unix.EPERM}
	case "keyctl":
		return []unix.Errno{unix.EACCES, unix.EPERM}
	}
	return []unix.Errno{unix.EIO}
}

// rows are those of a refresh that nothing happens to. Two of them are looked at, as
// threads come in another order now and then.
func (c *callTable) rows() (all []callRow) {
	c.t.Helper()
	seen := map[string]bool{}
	for range 2 {
		c.rig.restore()
		e := c.rig.get(&c.tracer)
		if e.Code != 0 || len(c.rig.spent.All()) != 1 || !e.posted || !e.answered {
			c.t.Fatalf("a refresh that nothing happens to: POST %v, answer read %v, spent %d: %s", e.posted, e.answered, len(c.rig.spent.All()), e)
		}
		for _, call := range e.calls {
			if boring(call) || seen[call.String()] || c.standing(call) != syscalls.Pass() || c.noKernel && call.Name == "recvmsg" {
				continue
			}
			seen[call.String()] = true
			all = append(all, callRow{call: call, does: kills})
			for _, errno := range errnos(call) {
				all = append(all, callRow{call, fails, errno})
			}
			if c.refused(call) {
				all = append(all, callRow{call: call, does: fills})
			}
			if isStopped(call) && !c.noKernel {
				all = append(all, callRow{call: call, does: stops})
			}
		}
	}
	c.t.Logf("%d calls, %d rows", len(seen), len(all))
	if len(seen) < 40 {
		c.t.Errorf("%d calls are too few for a refresh: %v", len(seen), slices.Sorted(maps.Keys(seen)))
	}
	return all
}

func (c *callTable) run() {
	began := time.Now()
	rows := c.rows()
	for _, r := range rows {
		c.t.Run(r.String(), func(t *testing.T) {
			how, words := c.meet(t, r)
			kind := r.does + " " + r.call.Name
			if c.counts[kind] == nil {
				c.counts[kind] = map[string]int{}
			}
			c.counts[kind][how]++
			if words != "" {
				c.bad = append(c.bad, how+": "+r.String())
				t.Errorf("%s: %s", how, words)
			}
		})
	}
	var table strings.Builder
	for _, kind := range slices.Sorted(maps.Keys(c.counts)) {
		fmt.Fprintf(&table, "%-26s", kind)
		for _, how := range slices.Sorted(maps.Keys(c.counts[kind])) {
			fmt.Fprintf(&table, " %s %d;", how, c.counts[kind][how])
		}
		table.WriteString("\n")
	}
	c.t.Logf("%d rows in %s, %d wrong\n%s%s", len(rows), time.Since(began).Round(time.Second), len(c.bad), table.String(), strings.Join(c.bad, "\n"))
	missed := 0
	for _, hows := range c.counts {
		missed += hows[notMet]
	}
	if missed > len(rows)/5 {
		c.t.Errorf("%d of %d rows did not come to their call", missed, len(rows))
	}
}

// How a row ends. The first five are right.
const (
	works      = "works"
	notMet     = "call did not come"
	inFlight   = "named loss, answer not read"
	atFirst    = "named loss, killed at the first call after the read"
	lost       = "LOST"
	twice      = "SENT TWICE"
	wrongEnd   = "WRONG END"
	wrongFive  = "EXIT 5 AFTER A POST"
	wrongFour  = "EXIT 4, BUT THE GRANT LIVES"
	wrongFirst = "NEXT GET FAILS, LATER ONE WORKS"
)

// meet does one row: it puts all back, has the call fail or kills at it, and looks
// whether the next commands work. words say what is wrong.
func (c *callTable) meet(t *testing.T, r callRow) (how, words string) {
	c.rig.t = t
	c.rig.restore()
	var met *syscalls.Call
	var after []string // calls that came between the read of the answer and this one
	tracer := c.tracer
	tracer.Decide = func(call syscalls.Call) syscalls.Verdict {
		if v := c.standing(call); v != syscalls.Pass() {
			return v
		}
		first := met == nil && r.known(call)
		if first {
			met = &call
		}
		if met != nil {
			return c.verdict(r, call, first)
		}
		if call.Answered && !boring(call) && call.Object != "issuer" {
			after = append(after, call.Name+" "+call.Object)
		}
		return syscalls.Pass()
	}
	timeout := "5s"
	if r.does == stops {
		timeout = shorter
	}
	e := c.rig.get(&tracer, "--timeout", timeout)
	if met == nil {
		return notMet, ""
	}
	spent := c.rig.spent.All()
	if words := saneEnd(e, r.does == kills); words != "" {
		return wrongEnd, words + ": " + e.String()
	}
	unread := (e.posted || len(spent) > 0) && !e.answered // the issuer may be at it still
	killedFirst := r.does == kills && e.answered && len(after) == 0

	next := c.rig.get(&c.tracer)
	later := next
	if next.Code == 0 && len(c.rig.spent.All()) == len(spent) {
		later = c.rig.get(&c.tracer, "--fresh") // next had it from the cache
	}
	story := fmt.Sprintf("%s\nnext: %s\nlater: %s\nspent: %s\nPOST %v, answer read %v, and then: %q", e, next, later, tell(c.rig.spent.All()), e.posted, e.answered, after)
	isLost := next.Code != 0 || later.Code != 0
	switch {
	case isLost && unread:
		return inFlight, ""
	case isLost && killedFirst:
		return atFirst, ""
	case next.Code != 0 && c.rig.get(&c.tracer).Code == 0:
		return wrongFirst, story
	case isLost:
		return lost, story
	case len(c.rig.spent.Twice()) > 0 && !unread && !killedFirst:
		return twice, story
	case e.Code == 5 && len(spent) > 0:
		return wrongFive, story
	case e.Code == 4:
		return wrongFour, story
	case keycloak.Claims(next.Token())["sub"] != c.rig.issuer.Sub("alice"):
		return wrongEnd, "the token is not alice's: " + story
	}
	return works, ""
}

// saneEnd says what is wrong with how a run ended.
func saneEnd(e ended, killed bool) string {
	switch {
	case e.Hung:
		return "it hung"
	case killed && e.Signal != unix.SIGKILL:
		return "it was not killed"
	case !killed && e.Signal != 0:
		return "a signal ended it"
	case strings.Contains(e.Stderr, "goroutine "):
		return "it panicked"
	case killed:
		if e.Stdout != "" && !strings.HasSuffix(e.Stdout, "\n") {
			return "half a token is on stdout"
		}
		return ""
	case e.Code != 0 && e.Stdout != "":
		return "it failed and printed"
	case e.Code == 0 && strings.Count(e.Stdout, "\n") != 1:
		return "it printed no token"
	case e.Code == 2 || e.Code == 8 || e.Code == 130:
		return "no such exit code belongs to this fault"
	}
	return ""
}

// tell is what was spent, with numbers for tokens.
func tell(all []oidctest.Spending) string {
	number := map[string]int{"": 0}
	name := func(token string) int {
		if _, known := number[token]; !known {
			number[token] = len(number)
		}
		return number[token]
	}
	var words []string
	for _, s := range all {
		words = append(words, fmt.Sprintf("token %d: status %d, given %d", name(s.Token), s.Status, name(s.Given)))
	}
	return strings.Join(words, "; ")
}
