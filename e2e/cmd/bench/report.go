package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"
	"unicode/utf8"
)

// A report is all that was measured. It is written as Markdown, which a terminal
// shows well enough.
type report struct {
	began    time.Time
	took     time.Duration
	machine  table
	tables   []table
	verdicts []verdict
}

// A table has names in its first column and figures in the others.
type table struct {
	title, text string
	head        []string
	rows        [][]string
}

// A verdict is a figure beside its budget.
type verdict struct {
	what  string
	limit float64
	got   float64
	unit  string
}

func (v verdict) met() bool { return v.got <= v.limit }

func (r *report) add(t table) { r.tables = append(r.tables, t) }

func (r *report) judge(what string, limit, got float64, unit string) {
	r.verdicts = append(r.verdicts, verdict{what, limit, got, unit})
}

const preface = `# Benchmarks

Written by ` + "`make bench`" + `, which measures everything below in one run: on a private
gnome-keyring and a Keycloak of its own on loopback, every command from its start to
its exit. What is compared is run in turn, in a new order each round, and ratios are
those of the medians. Two copies of one program differ by up to 3 % in their
time. So t2-cred and the empty Go program have eight each, for an eighth of the rounds. On a machine that is busy with other things (see its load, below)
they come out too high for whatever is longer; the fastest tenth suffers least.

![Bars: how long a cached token and a refresh take](pictures/benchmarks.svg)
`

// write writes the whole page.
func (r *report) write(w io.Writer) error {
	var b bytes.Buffer
	b.WriteString(preface)
	verdicts := table{title: "Budgets", head: []string{"", "budget", "measured", ""}}
	for _, v := range r.verdicts {
		word := "met"
		if !v.met() {
			word = "**not met**"
		}
		verdicts.rows = append(verdicts.rows, []string{
			v.what, fmt.Sprintf("≤ %g%s", v.limit, spaced(v.unit)), fmt.Sprintf("%.2f%s", v.got, spaced(v.unit)), word,
		})
	}
	for _, t := range append([]table{verdicts}, append(r.tables, r.machine)...) {
		t.write(&b)
	}
	fmt.Fprintf(&b, "\nMeasured on %s, in %s.\n", r.began.Format("2 January 2006"), r.took.Round(time.Second))
	_, err := w.Write(b.Bytes())
	return err
}

func spaced(unit string) string { return " " + strings.TrimSpace(unit) }

// save puts the page in its place.
func (r *report) save(path string) error {
	var b bytes.Buffer
	if err := r.write(&b); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	picture, err := plot(b.String())
	if err != nil {
		return err
	}
	plotPath := filepath.Join(filepath.Dir(path), "pictures", "benchmarks.svg")
	if err := os.MkdirAll(filepath.Dir(plotPath), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(plotPath, picture, 0o644); err != nil {
		return err
	}
	return os.WriteFile(path, b.Bytes(), 0o644)
}

func (t table) write(b *bytes.Buffer) {
	fmt.Fprintf(b, "\n## %s\n\n", t.title)
	if t.text != "" {
		fmt.Fprintf(b, "%s\n\n", t.text)
	}
	widths := make([]int, len(t.head))
	for _, row := range append([][]string{t.head}, t.rows...) {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell), 3)
		}
	}
	line := func(row []string) {
		for i, cell := range row {
			fill := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell))
			if i > 0 {
				cell, fill = fill, cell
			}
			b.WriteString("| " + cell + fill + " ")
		}
		b.WriteString("|\n")
	}
	line(t.head)
	for i, w := range widths {
		if i == 0 {
			b.WriteString("|" + strings.Repeat("-", w+2))
		} else {
			b.WriteString("|" + strings.Repeat("-", w+1) + ":")
		}
	}
	b.WriteString("|\n")
	for _, row := range t.rows {
		line(row)
	}
}
