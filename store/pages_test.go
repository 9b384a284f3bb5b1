package store

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

// TestPages_sayHowLongARefreshTakes compares the pages with the longest time from a refresh
// token that is sent to a record that is saved. A supervisor that stops sooner loses grants.
func TestPages_sayHowLongARefreshTakes(t *testing.T) {
	own, shared := sendTime+saveLimit, sendTime+2*saveTime
	grace := shared + 15*time.Second
	for page, wants := range map[string][]string{
		"commands.md":           {fmt.Sprintf("storing the answer up to %.0f s, on the shared store up to %.0f s", saveLimit.Seconds(), (2 * saveTime).Seconds())},
		"operations.md":         {fmt.Sprintf("on a shared store up to %.0f s", (2 * saveTime).Seconds()), fmt.Sprintf("with a shared store %.0f s", grace.Seconds())},
		"recipes/kubernetes.md": {fmt.Sprintf("terminationGracePeriodSeconds: %.0f # a refresh that is under way takes up to %.0f", grace.Seconds(), shared.Seconds()), fmt.Sprintf("takes up to %.0f\n", own.Seconds())},
		"fleet.md":              {fmt.Sprintf("takes up to %.0f s more.\nTimeoutStopSec=%.0fs", shared.Seconds(), grace.Seconds()), fmt.Sprintf("terminationGracePeriodSeconds: %.0f #", grace.Seconds())},
		"recipes/systemd.md":    {fmt.Sprintf("takes up to %.0f s more", own.Seconds())},
	} {
		text, err := os.ReadFile("../docs/" + page)
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range wants {
			if !strings.Contains(string(text), want) {
				t.Errorf("docs/%s does not say %q", page, want)
			}
		}
	}
}
