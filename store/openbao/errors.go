package openbao

import (
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/terradue/t2-cred/helper/hint"
	"github.com/terradue/t2-cred/helper/secret"
	"github.com/terradue/t2-cred/store/backend"
)

func (c *client) unavailable(cause error, format string, args ...any) error {
	remedy := hint.Of(cause)
	if remedy == nil {
		remedy = hint.Do(hint.Words("see what of the engine works: "), hint.Run("doctor"))
	}
	return backend.Errorf(backend.ErrUnavailable, cause, remedy, format, args...)
}

// unusable is the error of a file that the configuration names.
func (c *client) unusable(cause error, format string, args ...any) error {
	remedy := hint.Of(cause)
	if remedy == nil {
		remedy = hint.Do(hint.Words("mend the file, or name another one in the table stores.openbao of the file that this shows: "), hint.Run("config", "path"))
	}
	return backend.Errorf(backend.ErrConfig, cause, remedy, format, args...)
}

// said are the engine's words in an answer that is an error.
func said(body []byte) string {
	var e struct{ Errors []string }
	if json.Unmarshal(body, &e) != nil {
		return ""
	}
	return shown(strings.Join(e.Errors, "; "))
}

// shown makes words from outside printable, on one line, and bounds them.
func shown(text string) string {
	text = strings.Join(strings.Fields(strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, text)), " ")
	if len(text) > 300 {
		text = text[:300] + "…"
	}
	return text
}

// repeatedBytes are so many of a secret that words from outside may not have.
const repeatedBytes = 16

// repeats reports whether words have one of these secrets, or a part of one.
func repeats(words string, secrets []secret.Secret) bool {
	return slices.ContainsFunc(secrets, func(one secret.Secret) bool {
		text := one.Reveal() // looked for, not passed on
		if text == "" || len(text) <= repeatedBytes {
			return text != "" && strings.Contains(words, text)
		}
		for i := range max(0, len(words)-repeatedBytes+1) {
			if strings.Contains(text, words[i:i+repeatedBytes]) {
				return true
			}
		}
		return false
	})
}

// isAway makes an error of an answer that another try, or another node, may better.
func (c *client) isAway(rep reply) error {
	words := said(rep.body)
	switch {
	case rep.status == http.StatusTooManyRequests:
		return &away{
			err: backend.Errorf(backend.ErrUnavailable, nil, hint.Say("try again later; the engine's administrator sets its rate limit quotas"),
				"the engine at %s asks to slow down (429)", rep.at),
			patience: gonePatience + rep.retry, retry: rep.retry,
		}
	case rep.status == http.StatusServiceUnavailable && strings.Contains(strings.ToLower(words), "sealed"):
		return &away{
			err: backend.Errorf(backend.ErrLocked, nil, hint.Say("ask the engine's administrator to unseal it"),
				"the engine at %s is sealed", rep.at),
			patience: gonePatience,
		}
	case rep.status == http.StatusPreconditionFailed, rep.status >= 500 && rep.status <= 504:
		if words == "" {
			words = http.StatusText(rep.status)
		}
		return &away{err: c.unavailable(nil, "the engine at %s answers %d: %s", rep.at, rep.status, words), patience: awayPatience}
	case rep.status == http.StatusBadRequest && strings.Contains(words, "unavailable for a brief period"):
		// So says a KV engine that was made a moment ago, until it is one of version 2.
		return &away{err: c.unavailable(nil, "the engine at %s is being made ready: %s", rep.at, words), patience: awayPatience}
	}
	return nil
}

// refused is the error of an answer that says no.
func (c *client) refused(rep reply, what, path string) error {
	words := said(rep.body)
	switch {
	case rep.status == http.StatusForbidden:
		return backend.Errorf(backend.ErrUnavailable, nil,
			hint.Do(hint.Run("store", "init", "--store", "openbao"), hint.Words(" shows the policy that the engine's administrator has to write")),
			"the engine does not permit to %s %s, or the machine's token has ended: %s", what, path, words)
	case strings.Contains(words, "no handler for route"):
		return backend.Errorf(backend.ErrUnavailable, nil, hint.Say("mend mount in the configuration, or ask the engine's administrator for a KV version 2 engine there"),
			"the engine has nothing mounted at %s", c.cfg.Mount)
	case rep.status == http.StatusRequestEntityTooLarge:
		return backend.Errorf(backend.ErrTooLarge, nil, nil, "the engine refuses the size of %s", path)
	}
	return c.unavailable(nil, "the engine answers %d to %s %s: %s", rep.status, what, path, words)
}

var errNotKV2 = errors.New("this is not the KV engine of version 2")
