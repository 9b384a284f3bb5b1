package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/terradue/t2-cred/e2e/keycloak"
	"github.com/terradue/t2-cred/e2e/parts"
)

// notebook is the origin notebook's steps in Python.
func (b *bench) notebook() (command, error) {
	python, err := parts.Find("venv/bin/python3")
	if err != nil {
		return command{}, err
	}
	top, err := parts.Checkout()
	if err != nil {
		return command{}, err
	}
	text, err := json.Marshal(map[string]string{
		"issuer": b.issuer.url, "client_id": keycloak.ClientID, "client_secret": b.issuer.secret,
		"audience": keycloak.ClientID, "scope": keycloak.Scopes, "subject_token": b.issuer.user,
	})
	if err != nil {
		return command{}, err
	}
	settings, err := b.put("notebook.json", string(text))
	return command{
		argv: []string{python, "-W", "ignore", filepath.Join(top, "e2e", "cmd", "bench", "notebook.py"), settings},
		env:  []string{"PATH=" + os.Getenv("PATH"), "HOME=" + b.dir},
		out:  b.path("notebook.out"),
	}, err
}

// notebookTimes are the medians of what notebook.py said of itself: how long its
// imports took, and the steps themselves.
func notebookTimes(path string) (imports, steps time.Duration, err error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return 0, 0, err
	}
	var i, s times
	for line := range strings.Lines(string(raw)) {
		var seconds map[string]float64
		if err := json.Unmarshal([]byte(line), &seconds); err != nil {
			return 0, 0, fmt.Errorf("notebook.py: %w", err)
		}
		var all float64
		for _, of := range seconds {
			all += of
		}
		i = append(i, toDuration(seconds["import"]))
		s = append(s, toDuration(all-seconds["import"]))
	}
	slices.Sort(i)
	slices.Sort(s)
	return i.median(), s.median(), nil
}

func toDuration(seconds float64) time.Duration {
	return time.Duration(seconds * float64(time.Second))
}
