package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestSession: the picture in the documentation is that of the program of this checkout.
func TestSession(t *testing.T) {
	binary := filepath.Join(t.TempDir(), "t2-cred")
	build := exec.Command("go", "build", "-o", binary, ".")
	build.Dir = "../../.."
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	text, err := record(t.Context(), binary)
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile("../../../docs/pictures/session.svg")
	if err != nil || !bytes.Equal(got, draw(text)) {
		t.Errorf("the picture is not that of this program (%v): make pictures\n%s", err, text)
	}
}
