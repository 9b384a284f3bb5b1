package helper

import (
	"crypto/sha256"
	"encoding/base64"
	"io"
	"net/http"
	"strings"
	"testing"
)

// TestLoopback_goesOnAfterWhatIsNoAnswer: a port scan does not end a login, and the
// answer that comes after it is taken, once.
func TestLoopback_goesOnAfterWhatIsNoAnswer(t *testing.T) {
	b, err := listen(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	get := func(address string) (status int, page string) {
		t.Helper()
		resp, err := http.Get(address)
		if err != nil {
			t.Error(err)
			return 0, ""
		}
		defer resp.Body.Close()
		body, _ := io.ReadAll(resp.Body)
		return resp.StatusCode, string(body)
	}
	for address, want := range map[string]int{b.uri: http.StatusBadRequest, b.uri + "?state=x": http.StatusBadRequest, b.uri + "x": http.StatusNotFound} {
		if status, page := get(address); status != want || strings.Contains(page, "Login failed") {
			t.Errorf("%s: %d\n%s", address, status, page)
		}
	}
	last := make(chan string)
	go func() { _, page := get(b.uri + "?code=c&state=s"); last <- page }()
	query, err := b.wait(t.Context())
	if err != nil || query.Get("code") != "c" {
		t.Fatalf("%v, %v", query, err)
	}
	if status, _ := get(b.uri + "?code=other"); status != http.StatusGone {
		t.Errorf("a second answer: %d", status)
	}
	b.finish(nil)
	if page := <-last; !strings.Contains(page, "You are logged in") {
		t.Error(page)
	}
}

// TestScriptHash: a browser runs the page's script only if the policy names its hash.
func TestScriptHash(t *testing.T) {
	sum := sha256.Sum256([]byte(script))
	if want := "sha256-" + base64.StdEncoding.EncodeToString(sum[:]); scriptHash != want {
		t.Errorf("the script's hash is %s", want)
	}
	if !strings.Contains(pageHTML, "<script>"+script+"</script>") {
		t.Error("the page's script is another")
	}
}
