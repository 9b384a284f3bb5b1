package hook

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/terradue/t2-cred/helper"
	"github.com/terradue/t2-cred/helper/hint"
	"github.com/terradue/t2-cred/helper/secret"
)

// An stsRequest is AssumeRoleWithWebIdentity of the AWS Security Token Service,
// which MinIO and Ceph speak too:
// https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRoleWithWebIdentity.html
type stsRequest struct {
	endpoint *url.URL
	role     string // empty for a MinIO whose policies are in a claim: it must be absent then
	session  string // empty for the user's subject
	duration time.Duration
	caFile   string
	agent    string // what we are, as User-Agent
}

// maxSTSAnswer bounds an answer, which has about 3 kB.
const maxSTSAnswer = 1 << 20

// send asks for keys. The duration is always said: without it MinIO's keys end
// with the token.
func (r stsRequest) send(ctx context.Context, cred helper.Credential) (keys awsKeys, ends time.Time, err error) {
	client, err := newClient(r.caFile)
	if err != nil {
		return keys, ends, err
	}
	session := r.session
	if session == "" {
		session = "t2-cred"
		if isSessionName(cred.Subject) {
			session = cred.Subject
		}
	}
	form := url.Values{
		"Action": {"AssumeRoleWithWebIdentity"}, "Version": {"2011-06-15"}, "RoleSessionName": {session},
		"DurationSeconds": {strconv.Itoa(int(r.duration / time.Second))}, "WebIdentityToken": {cred.Token.Reveal()},
	}
	if r.role != "" {
		form.Set("RoleArn", r.role)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, r.endpoint.String(), strings.NewReader(form.Encode()))
	if err != nil {
		return keys, ends, r.refused("the request cannot be made", "")
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Accept", "text/xml, application/xml")
	req.Header.Set("User-Agent", r.agent)
	resp, err := client.Do(req)
	if err != nil {
		return keys, ends, r.unreachable(quiet(err), cred.Token)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxSTSAnswer+1))
	if err != nil {
		return keys, ends, r.unreachable(quiet(err), cred.Token)
	}
	if len(body) > maxSTSAnswer {
		return keys, ends, r.unreachable(errors.New("the answer is larger than 1 MiB"), cred.Token)
	}
	if resp.StatusCode != http.StatusOK {
		return keys, ends, r.refusal(resp.StatusCode, body, cred.Token)
	}
	if keys, ends, err = readSTS(body); err != nil {
		return keys, ends, r.unreachable(err, cred.Token)
	}
	return keys, ends, nil
}

// stsKeys is the answer. AWS, MinIO and Ceph differ in the namespace.
type stsKeys struct {
	XMLName     xml.Name
	Credentials []struct {
		AccessKeyID     string `xml:"AccessKeyId"`
		SecretAccessKey string
		SessionToken    string
		Expiration      string
	} `xml:"AssumeRoleWithWebIdentityResult>Credentials"`
}

// readSTS reads the keys. Its errors quote nothing of the answer, which holds secrets.
func readSTS(body []byte) (keys awsKeys, ends time.Time, err error) {
	var answer stsKeys
	if err := xml.NewDecoder(bytes.NewReader(body)).Decode(&answer); err != nil || answer.XMLName.Local != "AssumeRoleWithWebIdentityResponse" {
		return keys, ends, errors.New("the answer is not an STS'; check --endpoint")
	}
	if len(answer.Credentials) != 1 {
		return keys, ends, fmt.Errorf("the answer has %d sets of keys, not one", len(answer.Credentials))
	}
	got := answer.Credentials[0]
	for name, value := range map[string]string{"AccessKeyId": got.AccessKeyID, "SecretAccessKey": got.SecretAccessKey, "SessionToken": got.SessionToken} {
		if value == "" || strings.ContainsFunc(value, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
			return keys, ends, fmt.Errorf("the answer's %s is missing or not printable ASCII", name)
		}
	}
	ends, err = time.Parse(time.RFC3339, got.Expiration)
	if err != nil {
		return keys, ends, errors.New("the answer's Expiration is not a time")
	}
	return awsKeys{1, got.AccessKeyID, got.SecretAccessKey, got.SessionToken, ends.UTC().Format(time.RFC3339)}, ends, nil
}

// stsError is the ErrorResponse of AWS and MinIO, or the bare Error of S3 and Ceph.
type stsError struct {
	Code        string `xml:"Error>Code"`
	Message     string `xml:"Error>Message"`
	BareCode    string `xml:"Code"`
	BareMessage string `xml:"Message"`
}

// refusal is an answer that has no keys.
func (r stsRequest) refusal(status int, body []byte, token helper.Secret) error {
	var answer stsError
	if xml.NewDecoder(bytes.NewReader(body)).Decode(&answer) != nil {
		answer = stsError{} // a half of it may have been read
	}
	code := words(answer.Code+answer.BareCode, token)
	said := fmt.Sprintf("HTTP %d %s", status, http.StatusText(status))
	if code != "" {
		said = code
		if message := words(answer.Message+answer.BareMessage, token); message != "" {
			said += fmt.Sprintf(` "%s"`, message)
		}
	}
	if status >= 500 || status == http.StatusTooManyRequests || isTemporary(code) {
		return r.problem(helper.ErrUnreachable, said, "nothing that is kept was touched; try again later")
	}
	if status >= 300 && status < 400 {
		return r.refused(said+", a redirect, which is not followed", "check --endpoint: it must be the STS' own address")
	}
	return r.refused(said, hintFor(code))
}

// isTemporary reports whether the same request may succeed later.
func isTemporary(code string) bool {
	switch code {
	case "IDPCommunicationError", "Throttling", "ThrottlingException", "RequestLimitExceeded", "SlowDown":
		return true
	}
	return false
}

// hintFor says where to look. MinIO has InvalidParameterValue for nearly
// everything.
func hintFor(code string) string {
	const decides = "t2-cred claims shows what an STS decides by: iss, aud, azp, sub, exp"
	switch strings.TrimSuffix(code, "Exception") {
	case "ExpiredToken", "ExpiredIdentityToken":
		return "the token is not expired here, so compare the clocks; " + decides
	case "ValidationError", "InvalidParameterValue", "MissingParameter", "MissingParameterValue":
		return "check --role-arn (a MinIO whose policies are in a claim wants none), --duration, --session-name; " + decides
	}
	return decides + "; the role's trust policy must admit them"
}

func (r stsRequest) refused(said, hint string) error {
	return r.problem(helper.ErrNotGranted, said, hint)
}

// quiet is an error of net/http without what it quotes of the answer, which has keys.
func quiet(err error) error {
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		err = wrapped.Err // the rest repeats the address
	}
	if hint.Of(err) != nil {
		return err // ours: an address of a proxy that cannot be read
	}
	return secret.TransportError(err)
}

// unreachable is a failure to get an answer that can be understood.
func (r stsRequest) unreachable(err error, token helper.Secret) error {
	said, hint := words(err.Error(), token), "nothing that is kept was touched; try again later"
	var unknown x509.UnknownAuthorityError
	switch {
	case errors.Is(err, context.Canceled):
		return err
	case errors.Is(err, context.DeadlineExceeded):
		said = "no answer in time"
	case errors.As(err, &unknown):
		hint = "if its certificate is from a private CA, name its PEM file: --ca-file"
	}
	return r.problem(helper.ErrUnreachable, said, hint)
}

func (r stsRequest) problem(kind error, said, remedy string) error {
	return &hint.Error{Kind: kind, Detail: fmt.Sprintf("STS %s: %s", r.endpoint.Host, said), Remedy: hint.Say(remedy)}
}

// maxWords bounds the part of a server's message that is shown.
const maxWords = 300

// words makes a server's text fit for a terminal and a log. It hides the token, which a
// server may echo.
func words(s string, token helper.Secret) string {
	sent := token.Reveal() // compared with, not shown
	for _, form := range append([]string{sent, url.QueryEscape(sent)}, strings.Split(sent, ".")...) {
		if len(form) >= 7 {
			s = strings.ReplaceAll(s, form, token.String())
		}
	}
	if runes := []rune(s); len(runes) > maxWords {
		s = string(runes[:maxWords]) + "…"
	}
	quoted := strconv.Quote(s) // escapes control, bidirectional and invisible characters
	return strings.ReplaceAll(quoted[1:len(quoted)-1], `\"`, `"`)
}
