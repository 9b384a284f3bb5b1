package oidctest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// serveControl lets another process, a shell script with curl, do what a test
// does by methods. With [Control] only; answers are plain text, a line each.
//
//	GET  /control/issuer                     the issuer's URL
//	GET  /control/client-secret
//	GET  /control/count?of=refresh_token     as [Issuer.Count]
//	GET  /control/refreshes                  as [Issuer.Refreshes]
//	GET  /control/grants?user=alice          as [Issuer.Grants]
//	GET  /control/requests                   as [Issuer.Requests], in JSON
//	GET  /control/secrets                    as [Issuer.Secrets]
//	GET  /control/faults                     names and descriptions
//	POST /control/user-token?user=alice      [&life=5m][&scope=openid+email]
//	POST /control/advance?by=5m              sets the clock forward
//	POST /control/logout?user=alice          likewise disable, enable, end-grants
//	POST /control/rotate-keys
//	POST /control/fault?name=status-503      [&first=2][&grant=refresh_token]
//	POST /control/clear                      disarms all faults
func (i *Issuer) serveControl(w http.ResponseWriter, r *http.Request) {
	what := strings.TrimPrefix(r.URL.Path, "/control/")
	text, err := "", error(nil)
	switch r.Method {
	case http.MethodGet:
		text, err = i.tell(what, r.URL.Query().Get)
	case http.MethodPost:
		text, err = i.do(what, r.URL.Query().Get)
	default:
		err = fmt.Errorf("no %s", r.Method)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = fmt.Fprintln(w, text)
}

func (i *Issuer) tell(what string, arg func(string) string) (string, error) {
	switch what {
	case "issuer":
		return i.URL(), nil
	case "client-secret":
		return i.ClientSecret(), nil
	case "count":
		return strconv.Itoa(i.Count(arg("of"))), nil
	case "refreshes":
		return strconv.Itoa(i.Refreshes()), nil
	case "grants":
		return strconv.Itoa(i.Grants(arg("user"))), nil
	case "secrets":
		return strings.Join(i.Secrets(), "\n"), nil
	case "requests":
		b, err := json.MarshalIndent(i.Requests(), "", "  ")
		return string(b), err
	case "faults":
		var b strings.Builder
		for _, f := range Faults() {
			fmt.Fprintf(&b, "%-24s %s: %s\n", f.Name, f.Endpoint, f.About)
		}
		return strings.TrimSuffix(b.String(), "\n"), nil
	}
	return "", fmt.Errorf("nothing to tell of %q", what)
}

func (i *Issuer) do(what string, arg func(string) string) (string, error) {
	switch what {
	case "user-token":
		return i.controlToken(arg)
	case "advance":
		d, err := time.ParseDuration(arg("by"))
		if err != nil {
			return "", err
		}
		i.Clock.Advance(d)
		return i.Clock.Now().UTC().Format(time.RFC3339), nil
	case "logout":
		i.Logout(arg("user"))
	case "disable":
		i.Disable(arg("user"))
	case "enable":
		i.Enable(arg("user"))
	case "end-grants":
		return strconv.Itoa(i.EndGrants(arg("user"))), nil
	case "rotate-keys":
		i.RotateKeys()
	case "fault":
		return "ok", i.controlFault(arg)
	case "clear":
		i.Clear()
	default:
		return "", fmt.Errorf("cannot %q", what)
	}
	return "ok", nil
}

func (i *Issuer) controlToken(arg func(string) string) (string, error) {
	name := arg("user")
	if name == "" {
		return "", fmt.Errorf("no user")
	}
	var opts []SubjectOption
	if life := arg("life"); life != "" {
		d, err := time.ParseDuration(life)
		if err != nil {
			return "", err
		}
		opts = append(opts, For(d))
	}
	if scope := arg("scope"); scope != "" {
		opts = append(opts, Scope(scope))
	}
	return i.UserToken(name, opts...), nil
}

func (i *Issuer) controlFault(arg func(string) string) error {
	var when []When
	if first := arg("first"); first != "" {
		n, err := strconv.Atoi(first)
		if err != nil {
			return err
		}
		when = append(when, First(n))
	}
	if grant := arg("grant"); grant != "" {
		when = append(when, OnGrant(grant))
	}
	for _, f := range Faults() {
		if f.Name == arg("name") {
			i.Inject(f, when...)
			return nil
		}
	}
	return fmt.Errorf("no fault is called %q", arg("name"))
}
