package e2e

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/terradue/t2-cred/e2e/keycloak"
	"github.com/terradue/t2-cred/e2e/parts"
)

// A notebook is what is looked at of an .ipynb file.
type notebook struct {
	Cells []struct {
		Type    string           `json:"cell_type"`
		Source  []string         `json:"source"`
		Count   *int             `json:"execution_count"`
		Outputs []notebookSaying `json:"outputs"`
	} `json:"cells"`
}

type notebookSaying struct {
	Type string          `json:"output_type"`
	Name string          `json:"name"`
	Text json.RawMessage `json:"text"`
}

func readNotebook(t *testing.T, text string) (n notebook) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &n); err != nil {
		t.Fatal(err)
	}
	return n
}

const notebookPath = "contrib/notebook/exchange-access-token.ipynb"

// TestNotebook_isClean: the notebook in the repository has no outputs.
func TestNotebook_isClean(t *testing.T) {
	n := readNotebook(t, readTop(t, notebookPath))
	for i, cell := range n.Cells {
		if cell.Count != nil || len(cell.Outputs) > 0 {
			t.Errorf("cell %d has been executed: %q", i, cell.Source)
		}
	}
	if len(n.Cells) < 20 {
		t.Errorf("%d cells", len(n.Cells))
	}
}

// TestNotebook executes it against a real Keycloak, on two days: the user logs out and
// all tokens expire before the kernel is started again. No output has a token.
func TestNotebook(t *testing.T) {
	const lifespan = 40 * time.Second
	realm := server(t).NewRealm(t, keycloak.Rotation)
	realm.SetAccessTokenLifespan(lifespan)
	s := &pythonStage{t: t, realm: realm, bin: installWheel(t, buildWheel(t, program(t).Path), "venv-notebook")}
	s.Home = program(t).NewHome(t).Set("T2_CRED_STORE=file", "PATH="+s.bin+":/usr/bin:/bin", "PYTHONDONTWRITEBYTECODE=1",
		"ISSUER="+realm.Issuer(), "JUPYTER_PLATFORM_DIRS=1")
	s.Want(0, "store", "init")
	top, err := parts.Checkout()
	if err != nil {
		t.Fatal(err)
	}
	secrets := map[string]string{"client-secret.txt": realm.ClientSecret(), "user.jwt": realm.UserToken("alice")}
	for name, secret := range secrets {
		if err := os.WriteFile(filepath.Join(s.Dir, name), []byte(secret+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	refreshes := 0
	night := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		realm.Logout("alice")
		refreshes = realm.RefreshCount()
		time.Sleep(lifespan)
	}))
	t.Cleanup(night.Close)

	output := filepath.Join(s.Dir, "executed")
	s.wantPython(4*time.Minute, filepath.Join(top, "e2e", "notebook_run.py"), filepath.Join(top, notebookPath), output, night.URL)
	for name := range secrets {
		if _, err := os.Stat(filepath.Join(s.Dir, name)); !os.IsNotExist(err) {
			t.Errorf("%s is still there: %v", name, err)
		}
	}
	text, html := readFile(t, output+".ipynb"), readFile(t, output+".html")
	for what, b := range map[string]string{"notebook": text, "HTML": html} {
		shared.ledger.Output("the executed "+what, b, false)
		if found := regexp.MustCompile(`eyJ[A-Za-z0-9_-]{10,}`).FindString(b); found != "" {
			t.Errorf("the %s has something like a token", what)
		}
	}
	wantNotebookSays(t, readNotebook(t, text))
	for _, words := range []string{"<h2 id=\"Tomorrow\">", "20 processes got 1 token", "alice"} {
		if !strings.Contains(html, words) {
			t.Errorf("the HTML lacks %q", words)
		}
	}
	// The second day: one for the first get, one for the twenty.
	if n := realm.RefreshCount() - refreshes; n != 2 {
		t.Errorf("%d refreshes on the second day, want 2", n)
	}
	// One is of profile add, which proves the client with a refresh token that is none.
	if n := realm.RefreshErrors(); n != 1 {
		t.Errorf("the server refused %d refreshes, want 1", n)
	}
}

// wantNotebookSays wants that every cell of code was executed, in order, and said what
// belongs to its step.
func wantNotebookSays(t *testing.T, n notebook) {
	t.Helper()
	said := ""
	for i, cell := range n.Cells {
		if cell.Type != "code" {
			said += "\n" + strings.Join(cell.Source, "") + "\n"
			continue
		}
		if cell.Count == nil {
			t.Errorf("cell %d was not executed: %q", i, cell.Source)
		}
		for _, o := range cell.Outputs {
			if o.Type != "stream" {
				t.Errorf("cell %d shows %s: %q", i, o.Type, cell.Source)
				continue
			}
			var lines []string
			if err := json.Unmarshal(o.Text, &lines); err != nil {
				t.Fatalf("cell %d: %v", i, err)
			}
			said += strings.Join(lines, "")
		}
	}
	for _, want := range []string{
		`(?s)## Discover.*token_endpoint +http.*## Exchange`,
		`(?s)## Exchange.*username +alice.*kind +offline.*## Look at the token`,
		`(?s)## Look at the token.*t2cred\.Token for gep/default.*Bearer token for.*## Verify`,
		`(?s)## Verify it.*preferred_username +alice.*\nsub +[0-9a-f-]{36}.*## Refresh`,
		`(?s)## Refresh.*another token, valid until.*## Tomorrow`,
		`(?s)## Tomorrow.*t2cred\.Token for gep/default.*kept since 20.*## From another process`,
		`(?s)## Many at once.*20 processes got 1 token.*## The end`,
		`(?s)## The end.*exit 4: nothing is stored for gep/default`,
	} {
		if !regexp.MustCompile(want).MatchString(said) {
			t.Errorf("what it says does not match %s:\n%s", want, said)
		}
	}
}
