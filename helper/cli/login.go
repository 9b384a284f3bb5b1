package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"rsc.io/qr"

	"github.com/terradue/t2-cred/helper"
	"github.com/terradue/t2-cred/helper/oidc"
)

func (a *app) loginCommand() *cobra.Command {
	var (
		device, browser, allowOnline, replace bool
		ports                                 []int
	)
	cmd := &cobra.Command{
		Use: "login", Short: "Log the user in to our client itself, and keep the offline token", Args: noArgs,
		Annotations: map[string]string{ownTimeout: "5m"}, // a person is slower than a server
		Long: `Get the client's own offline token by a login of the user. The user logs in with a browser
on this machine (authorization code with PKCE, answered on 127.0.0.1), or on another
device with a code (RFC 8628). This needs no exchange. Without --browser or --device, a
device is used if there is no display, over SSH and in a container. The default of
--timeout is 5m.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if device && browser {
				return usageError(errors.New("--device and --browser are two ways; choose one"))
			}
			h, r, err := a.openHelper()
			if err != nil {
				return err
			}
			r.Replace, r.MayReplace = replace, a.mayReplace()
			return a.logIn(cmd.Context(), h, helper.LoginRequest{Request: r, AllowOnline: allowOnline, Ports: ports}, device || !browser && a.headless())
		},
	}
	f := cmd.Flags()
	f.BoolVar(&device, "device", false, "log in on another device, with a code")
	f.BoolVar(&browser, "browser", false, "log in in a browser on this machine")
	f.IntSliceVar(&ports, "port", nil, "port on 127.0.0.1 for the browser's answer; may be repeated (default: any)")
	f.BoolVar(&allowOnline, "allow-online", false, "keep a refresh token that ends with the user's session, if that is all the issuer gives")
	addReplace(f, &replace)
	return cmd
}

// logIn logs the user in, on another device or in a browser, and says what was kept.
func (a *app) logIn(ctx context.Context, h *helper.Helper, login helper.LoginRequest, device bool) error {
	login.Browser = a.showBrowser
	if uid, err := strconv.Atoi(a.Getenv("SUDO_UID")); err == nil {
		login.Users = []int{uid} // the person at the browser
	}
	if device {
		login.Device = func(d *oidc.Device) (done func()) { return a.showDevice(ctx, d) }
	}
	// What is wrong with the document, Login says.
	if meta, err := h.Issuer(login.Profile).Metadata(ctx); err == nil && meta.Product == oidc.Keycloak {
		fmt.Fprintln(a.Stderr, "note: Keycloak 26 may end the browser's own session when a login asks for offline_access")
	}
	rec, err := h.Login(ctx, login)
	if err != nil {
		return err
	}
	return a.reportKept(login.Request, rec, h.Store)
}

// headless reports whether a browser on this machine is of no use to the user.
func (a *app) headless() bool {
	if a.Getenv("SSH_CONNECTION") != "" || a.Getenv("SSH_TTY") != "" {
		return true
	}
	for _, mark := range []string{"/.dockerenv", "/run/.containerenv"} {
		if _, err := os.Stat(mark); err == nil {
			return true
		}
	}
	return runtime.GOOS != "windows" && runtime.GOOS != "darwin" && a.Getenv("DISPLAY") == "" && a.Getenv("WAYLAND_DISPLAY") == ""
}

// showBrowser always says where to go, and opens it when somebody looks on. Other
// users can read the opener's arguments: the address has nothing that is good for
// more than one use.
func (a *app) showBrowser(address, redirectURI string) {
	fmt.Fprintf(a.Stderr, "Log in at:\n\n  %s\n\nThe answer comes to %s.\n", address, redirectURI)
	if a.Attended {
		openBrowser(address)
	}
}

// showDevice shows the code. The address is for the user to check: a code that
// somebody else sent is theirs (RFC 8628 §5.4).
func (a *app) showDevice(ctx context.Context, d *oidc.Device) (done func()) {
	fmt.Fprintf(a.Stderr, "On any device, go to:\n\n  %s\n\nand enter the code:\n\n  %s\n\n", d.VerificationURI, d.UserCode)
	if d.Complete != "" && a.Attended {
		if code, err := qr.Encode(d.Complete, qr.L); err == nil {
			fmt.Fprint(a.Stderr, blocks(code))
		}
	}
	fmt.Fprintf(a.Stderr, "The code is good for %s. Go on only if you started this login.\n", span(d.Expiry.Sub(a.Now())))
	end := d.Expiry
	if deadline, ok := ctx.Deadline(); ok {
		end = a.Now().Add(min(time.Until(deadline), end.Sub(a.Now()))) // the two may be of different clocks
	}
	return a.countDown(end)
}

// countDown shows on a terminal how much time is left, in one line that goes when done
// is called. A log gets no such line.
func (a *app) countDown(end time.Time) (done func()) {
	if !a.Attended {
		return func() {}
	}
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		_, _ = guarded(func() (any, error) { a.tickDown(end, stop); return nil, nil })
	}()
	return func() {
		close(stop)
		<-stopped
	}
}

// tickDown rewrites the line each second.
func (a *app) tickDown(end time.Time, stop <-chan struct{}) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		left := max(0, end.Sub(a.Now()).Round(time.Second))
		line := fmt.Sprintf("waiting for the login, %d:%02d left", int(left.Minutes()), int(left.Seconds())%60)
		fmt.Fprintf(a.terminal, "\r%-40s", line)
		select {
		case <-stop:
			fmt.Fprintf(a.terminal, "\r%40s\r", "")
			return
		case <-tick.C:
		}
	}
}

// blocks draws a QR code, two rows of dots to a line, with a margin of two.
func blocks(code *qr.Code) string {
	var b strings.Builder
	const margin = 2
	for y := -margin; y < code.Size+margin; y += 2 {
		for x := -margin; x < code.Size+margin; x++ {
			b.WriteString(map[[2]bool]string{
				{false, false}: "█", {false, true}: "▀", {true, false}: "▄", {true, true}: " ",
			}[[2]bool{code.Black(x, y), code.Black(x, y+1)}])
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// openBrowser starts the system's opener, detached and mute. That it fails is no
// error: the address is on the screen.
func openBrowser(address string) {
	opener := map[string][]string{"darwin": {"open"}, "windows": {"rundll32", "url.dll,FileProtocolHandler"}}[runtime.GOOS]
	if opener == nil {
		opener = []string{"xdg-open"}
	}
	path, err := exec.LookPath(opener[0]) // never one of the current directory
	if err != nil {
		return
	}
	cmd := exec.Command(path, append(opener[1:], address)...) //nolint:noctx // it outlives us
	if cmd.Start() == nil {
		go func() { _ = cmd.Wait() }() // no zombie while we wait for the answer
	}
}
