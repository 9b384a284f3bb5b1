package hook

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/terradue/t2-cred/helper"
)

// aws is credential_process of the AWS SDKs and all that is built on them:
// https://docs.aws.amazon.com/sdkref/latest/guide/feature-process-credentials.html
var aws = Protocol{
	Name: "aws", Args: "[serve]",
	Short: "AWS credential_process: S3 keys for the token, from an STS",
	Long: `Get temporary keys from an STS (AWS, MinIO, Ceph) for the access token, by
AssumeRoleWithWebIdentity, and print them as JSON. In ~/.aws/config:

  [profile eo]
  credential_process = /usr/local/bin/t2-cred aws --endpoint https://minio.example.org

Where no program can be run, as in a container, "t2-cred aws serve --endpoint …" gives the
keys by HTTP on loopback until it is stopped. The SDKs call that container credentials. Its
output is for a shell: two lines with the address, and the file (mode 0600) that holds the
authorization.

The endpoint must be among a profile's hosts. The keys are kept where access tokens
are, never in clear, until 16 minutes before they end.`,
	Options: []Option{
		{Name: "endpoint", Usage: "address of the STS: https://sts.eu-central-1.amazonaws.com, or that of MinIO or Ceph"},
		{Name: "role-arn", Usage: "role to take on; leave it out for a MinIO whose policies are in a claim"},
		{Name: "session-name", Usage: "what the STS calls the session in its logs (default: the user's subject)"},
		{Name: "duration", Default: "1h", Usage: "how long the keys are to live, as 1h or in seconds"},
		{Name: "format", Default: "process", Usage: "process, or container for the shape of the container credentials"},
		{Name: "ca-file", Usage: "PEM certificates to trust beside the system's (default: T2_CRED_CA_FILE, AWS_CA_BUNDLE)"},
		{Name: "port", Default: "0", Usage: "serve on this port of 127.0.0.1 (default: one that is free)"},
		{Name: "authorization-file", Usage: "where serve is to put what must be shown for the keys (default: a directory of its own)"},
		{Name: "fresh", Switch: true, Usage: "get new keys although those kept are still valid"},
	},
	Serve: serveAWS,
}

// awsKeys is the answer of credential_process, and the form in which keys are stored.
type awsKeys struct {
	Version         int
	AccessKeyID     string `json:"AccessKeyId"`
	SecretAccessKey string
	SessionToken    string
	Expiration      string
}

// containerKeys is the same for AWS_CONTAINER_CREDENTIALS_FULL_URI:
// https://docs.aws.amazon.com/sdkref/latest/guide/feature-container-credentials.html
type containerKeys struct {
	AccessKeyID     string `json:"AccessKeyId"`
	SecretAccessKey string
	Token           string
	Expiration      string
}

// keysMinValid is more than the 15 minutes before the end at which botocore asks
// again, at each use until it gets newer ones.
const keysMinValid = 16 * time.Minute

func serveAWS(ctx context.Context, c *Call) error {
	serve := len(c.Args) == 1 && c.Args[0] == "serve"
	if len(c.Args) > 0 && !serve {
		return fmt.Errorf("%w: aws takes options and serve alone, got %q", ErrUsage, c.Args[0])
	}
	ask, err := awsOptions(c)
	if err != nil {
		return err
	}
	format := c.Option["format"]
	if format != "process" && format != "container" {
		return fmt.Errorf("%w: --format %q is neither process nor container", ErrUsage, format)
	}
	if serve {
		s := &awsServer{Call: c, ask: ask}
		return c.UntilStopped(s.serve)
	}
	keys, err := getKeys(ctx, c, ask, c.Option["fresh"] == "true")
	if err != nil {
		return err
	}
	if format == "container" {
		return json.NewEncoder(c.Stdout).Encode(keys.forContainer())
	}
	return json.NewEncoder(c.Stdout).Encode(keys)
}

// getKeys are those that are kept, or new ones.
func getKeys(ctx context.Context, c *Call, ask stsRequest, fresh bool) (keys awsKeys, err error) {
	kept, err := c.Derive(ctx, helper.Request{URL: ask.endpoint, Fresh: fresh}, helper.Derivation{
		Name:     strings.Join([]string{"aws", ask.endpoint.String(), ask.role, ask.session, ask.duration.String()}, "\n"),
		MinValid: keysMinValid,
		Make: func(ctx context.Context, cred helper.Credential) (helper.Derived, error) {
			return assumeRole(ctx, ask, cred, c.Now)
		},
	})
	if err != nil {
		return keys, err
	}
	if err := json.Unmarshal([]byte(kept.Value.Reveal()), &keys); err != nil || keys.Version != 1 {
		return awsKeys{}, errors.New("the keys that are kept are damaged; --fresh gets new ones")
	}
	return keys, nil
}

func (k awsKeys) forContainer() containerKeys {
	return containerKeys{k.AccessKeyID, k.SecretAccessKey, k.SessionToken, k.Expiration}
}

// assumeRole gets new keys, in the form in which they are kept.
func assumeRole(ctx context.Context, ask stsRequest, cred helper.Credential, now func() time.Time) (helper.Derived, error) {
	asked := now()
	keys, ends, err := ask.send(ctx, cred)
	if err != nil {
		return helper.Derived{}, err
	}
	if !ends.After(now()) {
		return helper.Derived{}, ask.refused(fmt.Sprintf("it gave keys that ended at %s", ends.UTC().Format(time.RFC3339)),
			"compare the clocks: here it is "+now().UTC().Format(time.RFC3339))
	}
	text, err := json.Marshal(keys)
	if err != nil {
		return helper.Derived{}, err
	}
	return helper.Derived{Value: helper.Secret(text), Obtained: asked, Expiry: ends}, nil
}

// awsOptions reads the STS and what to ask of it.
func awsOptions(c *Call) (stsRequest, error) {
	ask := stsRequest{role: c.Option["role-arn"], session: c.Option["session-name"], agent: "t2-cred/" + c.Version}
	for _, file := range []string{c.Option["ca-file"], c.Getenv("T2_CRED_CA_FILE"), c.Getenv("AWS_CA_BUNDLE")} {
		if ask.caFile == "" {
			ask.caFile = file
		}
	}
	address := c.Option["endpoint"]
	if address == "" {
		return ask, fmt.Errorf("%w: --endpoint is missing: the address of the STS", ErrUsage)
	}
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return ask, fmt.Errorf("%w: --endpoint is not https://HOST[:PORT][/PATH]", ErrUsage)
	}
	ask.endpoint = u
	if ask.session != "" && !isSessionName(ask.session) {
		return ask, fmt.Errorf("%w: --session-name %q is not 2 to 64 letters, digits and _+=,.@-", ErrUsage, ask.session)
	}
	ask.duration, err = keyLife(c.Option["duration"])
	return ask, err
}

// keyLife reads --duration, as Go or as AWS would write it. Every STS refuses less
// than a quarter of an hour, and none gives more than a year.
func keyLife(text string) (time.Duration, error) {
	d, err := time.ParseDuration(text)
	if seconds, atoiErr := strconv.Atoi(text); atoiErr == nil && seconds <= int(maxKeyLife/time.Second) {
		d, err = time.Duration(seconds)*time.Second, nil
	}
	if err != nil || d < minKeyLife || d > maxKeyLife || d%time.Second != 0 {
		return 0, fmt.Errorf("%w: --duration %q is not between 15m (900) and 365 days, as 1h or in seconds", ErrUsage, text)
	}
	return d, nil
}

const (
	minKeyLife = 15 * time.Minute
	maxKeyLife = 365 * 24 * time.Hour
)

// isSessionName is AWS' pattern for RoleSessionName.
func isSessionName(s string) bool {
	for _, r := range s {
		if (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("_+=,.@-", r) {
			return false
		}
	}
	return len(s) >= 2 && len(s) <= 64
}
