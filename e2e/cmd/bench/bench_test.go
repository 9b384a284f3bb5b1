package main

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

// TestQuick runs all of it, on the built-in issuer, in few rounds.
func TestQuick(t *testing.T) {
	r, err := measure(t.Context(), t, small)
	if err != nil {
		t.Fatal(err)
	}
	var page bytes.Buffer
	if err := r.write(&page); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"secret-tool lookup", "oidc-token", "curl, the same POST", "in Python", "cached get, 1000 accounts, file store", "refresh, 1000 accounts, file store", "keepalive, 1000 / 100 accounts", "erase --all, 1000 / 100 accounts", "list, 1000 / 100 accounts", "store move, 1000 / 100 accounts", "processor"} {
		if !strings.Contains(page.String(), want) {
			t.Errorf("the page does not speak of %q", want)
		}
	}
	for _, bad := range []string{"NaN", "Inf", "unknown", " 0.00 ms"} {
		if strings.Contains(page.String(), bad) {
			t.Errorf("the page has %q:\n%s", bad, page.String())
		}
	}
}

func TestTimes(t *testing.T) {
	var of times
	for i := range 100 {
		of = append(of, time.Duration(i+1)*time.Millisecond)
	}
	if got := of.median(); got != 51*time.Millisecond {
		t.Errorf("the median is %s", got)
	}
	if got := of.at(0.95); got != 96*time.Millisecond {
		t.Errorf("95 %% are below %s", got)
	}
	if got := of.over(times{17 * time.Millisecond}); got != 3 {
		t.Errorf("the ratio is %v", got)
	}
	if got := (times)(nil).median(); got != 0 {
		t.Errorf("the median of nothing is %s", got)
	}
}

func TestTable(t *testing.T) {
	var b bytes.Buffer
	table{title: "A", text: "Of words.", head: []string{"", "median"}, rows: [][]string{{"×", "1.00 ms"}, {"longer", "12.00 ms"}}}.write(&b)
	const want = `
## A

Of words.

|        |   median |
|--------|---------:|
| ×      |  1.00 ms |
| longer | 12.00 ms |
`
	if b.String() != want {
		t.Errorf("got:\n%s", b.String())
	}
}

func TestVerdict(t *testing.T) {
	if v := (verdict{limit: 2.2, got: 2.2}); !v.met() {
		t.Error("the limit itself is not met")
	}
	if v := (verdict{limit: 2.2, got: 2.21}); v.met() {
		t.Error("more than the limit is met")
	}
}
