package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/terradue/t2-cred/helper"
	"github.com/terradue/t2-cred/helper/hint"
	"github.com/terradue/t2-cred/helper/oidc"
	"github.com/terradue/t2-cred/helper/safefile"
)

func (a *app) writeCommand() *cobra.Command {
	var (
		output, shape string
		minValid      time.Duration
		watch         bool
		less          narrowFlags
	)
	cmd := &cobra.Command{
		Use: "write --output FILE", Short: "Put a fresh access token into a file, and keep it fresh", Args: noArgs,
		Long: `Put an access token into a file, for tools that read it from one. The file has mode 0600
whatever the umask is, and is replaced as a whole. The token is not encrypted there, so
choose a directory in memory ($XDG_RUNTIME_DIR).

  --format token    the token (the default)
  --format header   Authorization: Bearer TOKEN
  --format headers  {"Authorization": "Bearer TOKEN"}
  --format json     {"access_token", "token_type", "expires_at", …}
  --format env      export T2_CRED_ACCESS_TOKEN='TOKEN'
  --format rattler  {"HOST": {"BearerToken": "TOKEN"}}, for the profile's exact hosts

With --watch it runs until it is stopped. It renews the token when a third of its life is
left (or --min-valid). While the issuer or the store is in trouble it tries again, at most
once a minute. An ended grant, or another error that time does not repair, ends it with
get's exit code. SIGTERM ends it with 0. The file stays in each case: its token expires, and
a watcher that is started again takes the file over. --timeout bounds each try.`,
		Example: `  t2-cred write --output "$XDG_RUNTIME_DIR/gdal-header" --format header --watch
  GDAL_HTTP_HEADER_FILE=$XDG_RUNTIME_DIR/gdal-header gdalinfo /vsicurl/https://data.example.org/a.tif`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			f, err := formatNamed(shape)
			if err != nil {
				return err
			}
			if minValid < 0 {
				return usageError(errors.New("--min-valid must not be negative"))
			}
			if err := checkOutput(output); err != nil {
				return err
			}
			h, r, err := a.openNarrow(cmd, less)
			if err != nil {
				return err
			}
			if cmd.Flags().Changed("min-valid") {
				r.MinValid = &minValid
			}
			w := &watcher{
				request: r, now: a.Now, timeout: a.flags.timeout, output: output,
				get: func(ctx context.Context, r helper.Request, warn func(string)) (helper.Credential, error) {
					h.Warn = warn
					return h.Get(ctx, r)
				},
				put:  func(c helper.Credential) error { return a.writeToken(output, f, r.Profile, c) },
				say:  func(line string) { fmt.Fprintf(a.Stderr, "%s\n", oneLine(line)) },
				warn: a.warn, hintFor: a.hintFor,
			}
			if watch {
				// Not the command's own context, which ends at --timeout.
				return untilStopped(a.deadline.Context, w.watch)
			}
			_, err = w.once(cmd.Context())
			return err
		},
	}
	cmd.Flags().StringVarP(&output, "output", "o", "", "the file to write")
	cmd.Flags().StringVar(&shape, "format", "token", "one of "+formatNames())
	cmd.Flags().DurationVar(&minValid, "min-valid", helper.DefaultMinValid, "how long the token must still be valid; with --watch, when to renew it (never before half of its life)")
	cmd.Flags().BoolVar(&watch, "watch", false, "go on, and renew the token before it expires")
	less.add(cmd)
	return cmd
}

// writeToken is the one way from a credential to a file.
func (a *app) writeToken(output string, f format, p helper.Profile, c helper.Credential) error {
	now := a.Now()
	if !c.Expiry.After(now) {
		return &oidc.VerifyError{What: "access_token", Why: "it came expired, so it was not written; the clock may be wrong"}
	}
	content, err := f(p, c, now)
	if err != nil {
		return err
	}
	if err := checkOutput(output); err != nil {
		return err
	}
	sweepLeftovers(output)
	if err := safefile.Replace(output, content, safefile.Write{Durable: true}); err != nil {
		return outputError(output, err)
	}
	return nil
}

// checkOutput refuses what must not be replaced by a file: a directory, a device
// (/dev/stdout, and root could), a link, whose target would stay as it is.
func checkOutput(path string) error {
	switch path {
	case "":
		return usageError(errors.New("--output FILE is missing"))
	case "-":
		return usageError(errors.New("--output is a file; for standard output there is t2-cred get"))
	}
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return outputError(path, err)
	case !info.Mode().IsRegular():
		return outputError(path, safefile.ErrNotRegular)
	}
	return nil
}

// sweepLeftovers removes the temporary files of killed writers before release 0.2,
// which gave each a name of its own. One that is young may be of a writer at work.
func sweepLeftovers(output string) {
	dir, base := filepath.Split(output)
	left, err := os.ReadDir(or(dir, "."))
	if err != nil {
		return
	}
	for _, e := range left {
		if !strings.HasPrefix(e.Name(), "."+base+".") || !strings.HasSuffix(e.Name(), ".t2-cred.tmp") {
			continue
		}
		if info, err := e.Info(); err == nil && info.Mode().IsRegular() && time.Since(info.ModTime()) > time.Minute {
			_ = os.Remove(filepath.Join(dir, e.Name()))
		}
	}
}

// outputError is the error of a file that cannot be written.
func outputError(path string, err error) error {
	remedy := hint.Say("name a file in a directory that is yours: --output FILE")
	if errors.Is(err, fs.ErrNotExist) {
		remedy = hint.Do(hint.Words("make the directory first: "), hint.Shell("mkdir", "-m", "700", "-p", filepath.Dir(path)))
	}
	return &hint.Error{Kind: errOutput, Detail: "write " + path, Remedy: remedy, Err: err}
}
