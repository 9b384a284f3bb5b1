package e2e

import (
	"encoding/json"
	"errors"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/terradue/t2-cred/e2e/keycloak"
	"github.com/terradue/t2-cred/e2e/run"
)

// A victim refreshes, where each refresh token serves once, and is killed at it.
type victim struct {
	*stage
	tap *tap
	// answered is told when an answer was handed to the client.
	answered chan struct{}
	usual    time.Duration // of one refresh that is left alone

	confirmed int           // of tap.granted, when the grant was last seen alive
	mayBeLost bool          // since then the server has spent a token and we may not know
	judged    int           // of tap.granted, when a kill was last found to be in time
	late      time.Duration // of that kill: how long after the answer
	losses    int
	latest    time.Duration // the latest kill that lost the grant
}

func newVictim(t *testing.T) *victim {
	t.Helper()
	v := &victim{stage: newStage(t, server(t).NewRealm(t, keycloak.Rotation)), answered: make(chan struct{}, 1)}
	v.tap = watch(v.realm, nil)
	v.exchange("alice")
	var took []time.Duration
	for range 9 {
		began := time.Now()
		v.get("alice", "--fresh")
		took = append(took, time.Since(began))
	}
	slices.Sort(took)
	v.usual = took[len(took)/2]
	v.confirmed = len(v.tap.granted(t))
	t.Logf("a refresh takes %s", v.usual.Round(time.Millisecond))
	return v
}

// alive notes that the grant was seen alive.
func (v *victim) alive() {
	v.confirmed = len(v.tap.granted(v.t))
	v.mayBeLost = false
}

// dead wants the loss of the grant to be the one that cannot be helped: the server
// had spent the token, and who was killed had not kept its successor. Then the user
// comes again.
func (v *victim) dead(r run.Result) {
	v.t.Helper()
	if !v.mayBeLost {
		v.t.Fatalf("the grant is lost, although every refresh token that the server gave was kept: %s", r)
	}
	v.losses++
	v.mayBeLost = false
	// What has had this long to keep an answer, on a machine however busy, has it.
	if v.latest = max(v.latest, v.late); v.latest > 2*time.Second {
		v.t.Fatalf("the grant is lost, although the kill came %s after the answer: %s", v.late, r)
	}
	v.exchange("alice")
	v.alive()
}

// judge looks at what is left after a run that was killed at that moment.
func (v *victim) judge(r run.Result, killed time.Time) {
	v.t.Helper()
	switch {
	case r.Code == 0:
		v.usual = (4*v.usual + r.Took) / 5 // the machine has its moods
		if sub := keycloak.Claims(r.Token())["sub"]; sub != v.realm.UserID("alice") {
			v.t.Fatalf("the token is not alice's, its sub is %v", sub)
		}
		v.alive()
		return
	case r.Code == 4:
		v.dead(r)
		return
	case r.Signal == 0 && r.Code != 130:
		v.t.Fatalf("no sane end: %s", r)
	case r.Stdout != "" && !strings.HasSuffix(r.Stdout, "\n"):
		v.t.Fatalf("half a token on stdout: %s", r)
	}
	granted := v.tap.granted(v.t)
	if len(granted) == v.confirmed {
		return // nothing was spent
	}
	last := granted[len(granted)-1]
	if v.stored(last.RefreshToken) {
		v.alive()
		return
	}
	// Not in the keyring; it may be in the kernel, for the next run to store.
	v.mayBeLost = true
	if r.Signal != syscall.SIGKILL {
		v.t.Fatalf("it ended by itself, and the refresh token is not stored: %s", r)
	}
	if len(granted) > v.judged {
		v.judged, v.late = len(granted), max(0, killed.Sub(last.Answered))
	}
}

// stored tells whether the keyring holds a refresh token, and wants all that it
// holds to be whole.
func (v *victim) stored(token string) (found bool) {
	v.t.Helper()
	for _, item := range v.ring.Items() {
		if name := item.Attributes["username"]; strings.HasPrefix(name, "grant,") && !strings.Contains(name, "/") {
			start := strings.IndexByte(item.Value, '{')
			if start < 0 || !json.Valid([]byte(item.Value[start:])) {
				v.t.Fatalf("the record %s is damaged: %q", name, item.Value)
			}
		}
		found = found || strings.Contains(item.Value, token)
	}
	return found
}

// intact wants all commands to work, all files to be readable, and the grant alive.
func (v *victim) intact() {
	v.t.Helper()
	r := v.Run("get", "--fresh")
	if r.Code == 4 {
		v.dead(r)
	}
	v.get("alice", "--fresh")
	v.alive()
	if !v.stored(v.tap.granted(v.t)[v.confirmed-1].RefreshToken) {
		v.t.Error("the keyring does not hold the last refresh token")
	}
	readJSON(v.t, v.Want(0, "status", "--json").Stdout).want(v.t, object{"state": "ok", "kind": "offline", "username": "alice"})
	var all []object
	if err := json.Unmarshal([]byte(v.Want(0, "list", "--json").Stdout), &all); err != nil || len(all) != 1 {
		v.t.Errorf("list: %v, %v", all, err)
	}
	noteOf(v.t, v.Home)
	if files, _ := filepath.Glob(filepath.Join(v.Dir, "run/t2-cred/*")); len(files) != 0 {
		v.t.Errorf("left in the runtime directory: %q", files)
	}
	if items := v.ring.Items(); len(items) != 3 {
		v.t.Errorf("the keyring has %d items, want the grant, the client's secret and the identity for copies", len(items))
	}
}

// TestKill_atAnyMoment kills refreshes at random moments, from before they begin
// until after they have ended.
func TestKill_atAnyMoment(t *testing.T) {
	v := newVictim(t)
	began := time.Now()
	const rounds = 200
	ended := 0
	for range rounds {
		r := v.Start(run.Cmd{Args: []string{"get", "--fresh"}})
		time.Sleep(time.Duration(rand.Int64N(int64(v.usual * 3 / 2))))
		killed := time.Now()
		r.Kill()
		res := r.Wait()
		if res.Signal == 0 {
			ended++
		}
		v.judge(res, killed)
	}
	v.intact()
	t.Logf("%d rounds in %s: %d ended before they were killed, %d refreshes reached the server, the user came again %d times",
		rounds, time.Since(began).Round(time.Second), ended, len(v.tap.granted(t)), v.losses)
	if ended == 0 || ended == rounds {
		t.Errorf("%d of %d ended before they were killed: the moments were not random", ended, rounds)
	}
	if v.losses > rounds/2 {
		t.Errorf("the grant was lost %d times in %d rounds", v.losses, rounds)
	}
}

// TestKill_afterTheAnswer kills refreshes in the moments that count: when the
// server has spent the token and its answer is on the way to the store.
func TestKill_afterTheAnswer(t *testing.T) {
	v := newVictim(t)
	const rounds = 100
	// How long it is at work once the answer is there.
	var tail time.Duration
	for range 5 {
		r := v.Start(run.Cmd{Args: []string{"get", "--fresh"}})
		res := r.Wait()
		if res.Code != 0 {
			t.Fatalf("got %s", res)
		}
		granted := v.tap.granted(t)
		tail = max(tail, r.Ended().Sub(granted[len(granted)-1].Answered))
	}
	v.alive()
	v.watchAnswers()
	for range rounds {
		r := v.Start(run.Cmd{Args: []string{"get", "--fresh"}})
		select {
		case <-v.answered:
			time.Sleep(time.Duration(rand.Int64N(int64(tail))))
		case <-r.Done(): // refused, without a round trip that counts
		case <-time.After(30 * time.Second):
			t.Fatal("no answer in 30 s")
		}
		killed := time.Now()
		r.Kill()
		v.judge(r.Wait(), killed)
		select {
		case <-v.answered:
		default:
		}
	}
	v.intact()
	t.Logf("killed up to %s after the answer: the user came again %d times in %d rounds, and never when the kill came later than %s after the answer",
		tail.Round(time.Millisecond), v.losses, rounds, v.latest.Round(time.Millisecond))
	// Until it has read and verified the answer there is nothing that it could keep.
	if v.losses > rounds/3 {
		t.Errorf("the grant was lost %d times in %d rounds", v.losses, rounds)
	}
}

// watchAnswers has answered told of the answers from now on.
func (v *victim) watchAnswers() {
	tapped := v.tap
	v.realm.Intercept(func(server http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if !strings.HasSuffix(r.URL.Path, "/token") {
				server.ServeHTTP(w, r)
				return
			}
			tapped.serve(server, w, r, nil)
			select {
			case v.answered <- struct{}{}:
			default:
			}
		})
	})
}

// TestKill_terminated: a signal that asks never costs a grant, whenever it comes.
func TestKill_terminated(t *testing.T) {
	v := newVictim(t)
	ends := map[string]int{}
	for n := range 50 {
		sig := []syscall.Signal{syscall.SIGTERM, syscall.SIGINT}[n%2]
		r := v.Start(run.Cmd{Args: []string{"get", "--fresh"}})
		time.Sleep(time.Duration(rand.Int64N(int64(v.usual * 5 / 4))))
		if err := r.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
			t.Fatal(err)
		}
		res := r.Wait()
		switch {
		case res.Code == 0:
			v.usual = (4*v.usual + res.Took) / 5
			ends["had ended"]++
		case res.Code == 130:
			ends["exit 130"]++
			wantInterrupted(t, res)
		case res.Signal == sig:
			ends["ended by the signal"]++
		default:
			t.Errorf("got %s", res)
		}
		// All that the server has given is in the store, and serves.
		if granted := v.tap.granted(t); !v.stored(granted[len(granted)-1].RefreshToken) {
			t.Errorf("the last refresh token is not stored after %s", res)
		}
		v.get("alice", "--fresh")
	}
	v.alive()
	v.intact()
	t.Logf("ends: %v", ends)
	if ends["exit 130"] == 0 {
		t.Error("no signal came while a request was under way")
	}
	if refused := v.realm.RefreshErrors(); refused != 0 {
		t.Errorf("the server refused %d refreshes", refused)
	}
}

func wantInterrupted(t *testing.T, r run.Result) {
	t.Helper()
	if r.Stdout != "" || !strings.HasPrefix(r.Stderr, "t2-cred: interrupted\n") {
		t.Errorf("got %s", r)
	}
}

// TestKill_exchange: an exchange that is killed leaves the account as it was, or
// the new grant whole.
func TestKill_exchange(t *testing.T) {
	v := newVictim(t)
	subject := v.realm.UserToken("alice")
	const rounds = 30
	for range rounds {
		r := v.Start(run.Cmd{Args: []string{"exchange"}, Stdin: subject})
		time.Sleep(time.Duration(rand.Int64N(int64(v.usual * 2))))
		r.Kill()
		if res := r.Wait(); res.Code != 0 && res.Signal != syscall.SIGKILL {
			t.Fatalf("got %s", res)
		}
		v.tap.all(t)
		v.get("alice", "--fresh")
	}
	// The last one may have left its copy. The next settles it.
	v.WantDo(0, run.Cmd{Args: []string{"exchange"}, Stdin: subject})
	v.tap.all(t)
	v.alive()
	v.intact()
	if refused := v.realm.RefreshErrors(); refused != 0 {
		t.Errorf("the server refused %d refreshes", refused)
	}
}

// TestKill_storeDiesAfterTheAnswer: the keyring goes away between the answer and
// the store. The rotated token waits in a sealed copy for the next run.
func TestKill_storeDiesAfterTheAnswer(t *testing.T) {
	realm := server(t).NewRealm(t, keycloak.Rotation)
	s := newStage(t, realm)
	s.exchange("alice")
	hold := true
	watch(realm, func(_ *http.Request, form url.Values) bool {
		if hold && form.Get("grant_type") == "refresh_token" {
			s.ring.Lock()
		}
		return true
	})
	r := s.Want(0, "get", "--fresh")
	if !strings.Contains(r.Stderr, "warning: the renewed credential") || !strings.Contains(r.Stderr, "it is kept encrypted in ") {
		t.Errorf("the trouble is not said: %s", r)
	}
	hold = false
	if _, err := os.Stat(filepath.Join(s.Dir, "run/t2-cred")); err == nil {
		t.Error("there is a runtime directory, although the copy is with the state")
	}
	s.ring.Unlock()
	s.get("alice", "--fresh")
	if n := realm.RefreshErrors(); n != 0 {
		t.Errorf("the server refused %d refreshes", n)
	}
}
