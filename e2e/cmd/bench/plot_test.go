package main

import (
	"flag"
	"os"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "draw the plot of the page anew")

// TestPlot: the plot beside the page shows the page's figures.
func TestPlot(t *testing.T) {
	page, err := os.ReadFile("../../../docs/benchmarks.md")
	if err != nil {
		t.Fatal(err)
	}
	want, err := plot(string(page))
	if err != nil {
		t.Fatal(err)
	}
	const path = "../../../docs/pictures/benchmarks.svg"
	if *update {
		if err := os.WriteFile(path, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := os.ReadFile(path); err != nil || string(got) != string(want) {
		t.Errorf("the plot is not that of the page (%v): go test ./cmd/bench -run TestPlot -update", err)
	}
	for _, title := range plotted {
		bars, err := barsOf(string(page), title)
		if err != nil || len(bars) < 3 {
			t.Errorf("%s: %d bars, %v", title, len(bars), err)
		}
	}
	if _, err := plot(strings.ReplaceAll(string(page), " ms |", " miles |")); err == nil {
		t.Error("it plots what is no time")
	}
}
